"""Explicit coordinates of the shapes that features form, and their names.

A shape of k directions is a matrix [d, k] of unit columns, d being the dimension that it spans: the
layout of a model's weights, so that a shape can be measured as if it had been trained.

Conventions. Two orthogonal digons are a "square", three an "octahedron", and a digon across a
polygon is its "bipyramid": classical names win where they exist, that is in up to three dimensions;
beyond, pairs are counted ("4 digons"). A "singleton" is a feature with a dimension of its own.

Source: Coxeter 1973, "Regular Polytopes", for the coordinates.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import scipy.linalg

from toylab.analysis.arguments import integer, real
from toylab.config import Rule

__all__ = [
    "THOMSON_HEIGHT",
    "UNIFORM_HEIGHT",
    "Shape",
    "cross_polytope",
    "cube",
    "dodecahedron",
    "icosahedron",
    "orthogonal_sum",
    "polygon",
    "shapes",
    "simplex",
    "square_antiprism",
    "sum_name",
]

UNIFORM_HEIGHT = 1 / math.sqrt(1 + 2 * math.sqrt(2))
"""Half the height, 0.5111, of the square antiprism in the unit sphere whose edges are all equal."""

THOMSON_HEIGHT = 0.5604367652904312
"""Half the height of the square antiprism in the unit sphere of least Coulomb energy."""

_GOLDEN = (1 + math.sqrt(5)) / 2
_SIMPLICES = {1: "digon", 2: "triangle", 3: "tetrahedron"}
_POLYGONS = {
    4: "square",
    5: "pentagon",
    6: "hexagon",
    7: "heptagon",
    8: "octagon",
    9: "nonagon",
    10: "decagon",
    11: "hendecagon",
    12: "dodecagon",
}
_BIPYRAMIDS = {3: "triangular bipyramid", 5: "pentagonal bipyramid", 6: "hexagonal bipyramid"}


class Shape(NamedTuple):
    """A named set of directions.

    Attributes:
        name: such as "pentagon".
        vertices: [d, k], unit columns, read-only.
    """

    name: str
    vertices: np.ndarray


def shapes(n_vertices: int) -> tuple[Shape, ...]:
    """All named shapes of k vertices.

    Every k has the orthogonal basis ("k singletons"), the simplex, the regular k-gon and, if even,
    the cross-polytope. To these come the bipyramids, the cube, the icosahedron, the dodecahedron
    and the square antiprism in two forms: with equal edges, which optimised 8→3 models approach,
    and of least Coulomb energy.

    Args:
        n_vertices: k, at least 1.

    Returns:
        Shapes of k columns; two of them may share a name.

    Raises:
        ConfigError: `n_vertices=0: must be an integer >= 1`.

    Example: the names for k = 5 are 5 singletons, 4-simplex, pentagon and triangular bipyramid.
    """
    return _shapes(integer("n_vertices", n_vertices, 1))


def polygon(k: int) -> np.ndarray:
    """The regular k-gon [2, k], k ≥ 1: columns (cos 2πi/k, sin 2πi/k)."""
    angles = 2 * np.pi * np.arange(integer("k", k, 1)) / k
    return np.stack([np.cos(angles), np.sin(angles)])


def simplex(d: int) -> np.ndarray:
    """The regular simplex [d, d+1], d ≥ 1, whose cosines are all -1/d: digon, triangle, ..."""
    orthonormal_to_ones = scipy.linalg.helmert(integer("d", d, 1) + 1)
    return orthonormal_to_ones * math.sqrt((d + 1) / d)


def cross_polytope(d: int) -> np.ndarray:
    """d orthogonal antipodal pairs [d, 2d], d ≥ 1: digon, square, octahedron, ..."""
    return np.kron(np.eye(integer("d", d, 1)), [[1.0, -1.0]])


def square_antiprism(height: float = UNIFORM_HEIGHT) -> np.ndarray:
    """Two squares at heights ±z in the unit sphere, one turned by 45°.

    The default makes all sixteen edges equal: z² = (1 - z²)/√2 - z². The Coulomb energy is least at
    `THOMSON_HEIGHT`, and the vertices form a tight frame at z = 1/√3 alone.

    Args:
        height: z in (0, 1).

    Returns:
        [3, 8] unit columns, the upper square first.

    Raises:
        ConfigError: `height=1.0: must be in (0, 1)`.
    """
    z = float(real("height", height, Rule("float", 0.0, 1.0, low_open=True, high_open=True)))
    upper = np.vstack([math.sqrt(1 - z * z) * polygon(4), np.full((1, 4), z)])
    half = math.sqrt(0.5)
    turned_and_flipped = np.array([[half, -half, 0.0], [half, half, 0.0], [0.0, 0.0, -1.0]])
    return np.hstack([upper, turned_and_flipped @ upper])


def cube() -> np.ndarray:
    """The cube [3, 8]: columns (±1, ±1, ±1)/√3, whose cosines are ±1/3 and -1."""
    return np.array([*itertools.product([1.0, -1.0], repeat=3)]).T / math.sqrt(3)


def icosahedron() -> np.ndarray:
    """The icosahedron [3, 12]: cyclic shifts of (0, ±1, ±φ), whose cosines are ±1/√5 and -1."""
    return _cyclic_shifts(1.0, _GOLDEN)


def dodecahedron() -> np.ndarray:
    """The dodecahedron [3, 20]: a cube and the cyclic shifts of (0, ±1/φ, ±φ)/√3."""
    return np.hstack([cube(), _cyclic_shifts(1 / _GOLDEN, _GOLDEN)])


def orthogonal_sum(*parts: np.ndarray) -> np.ndarray:
    """Shapes [d, k] in orthogonal subspaces (their tegum product): block-diagonal [Σd, Σk]."""
    return np.asarray(scipy.linalg.block_diag(*parts))


def sum_name(names: Iterable[str]) -> str:
    """The name of an orthogonal sum: equal parts counted, in the order of first appearance.

    Example: triangle, digon, digon are "triangle + 2 digons".
    """
    counts = Counter(names)
    return " + ".join(name if n == 1 else f"{n} {_plural(name)}" for name, n in counts.items())


@functools.lru_cache(maxsize=64)
def _shapes(k: int) -> tuple[Shape, ...]:
    found = tuple(Shape(name, vertices) for name, vertices in _named(k))
    for shape in found:
        shape.vertices.flags.writeable = False  # every caller shares the cached arrays
    return found


def _named(k: int) -> Iterator[tuple[str, np.ndarray]]:
    yield sum_name(["singleton"] * k), np.eye(k)
    if k >= 2:
        yield _SIMPLICES.get(k - 1, f"{k - 1}-simplex"), simplex(k - 1)
    if k >= 4:
        yield _POLYGONS.get(k, f"{k}-gon"), polygon(k)
    if k >= 6 and k % 2 == 0:
        name = "octahedron" if k == 6 else sum_name(["digon"] * (k // 2))
        yield name, cross_polytope(k // 2)
    if k - 2 in _BIPYRAMIDS:
        yield _BIPYRAMIDS[k - 2], orthogonal_sum(polygon(k - 2), simplex(1))
    if k == 8:
        yield "square antiprism", square_antiprism()
        yield "square antiprism", square_antiprism(THOMSON_HEIGHT)
        yield "cube", cube()
    if k == 12:
        yield "icosahedron", icosahedron()
    if k == 20:
        yield "dodecahedron", dodecahedron()


def _cyclic_shifts(a: float, b: float) -> np.ndarray:
    """The unit vectors along (0, ±a, ±b), (±a, ±b, 0) and (±b, 0, ±a), [3, 12]."""
    signed = [(0.0, s * a, t * b) for s in (1, -1) for t in (1, -1)]
    columns = np.array([point[i:] + point[:i] for point in signed for i in range(3)]).T
    return columns / math.hypot(a, b)


def _plural(name: str) -> str:
    for singular, plural in (("hedron", "hedra"), ("simplex", "simplices"), ("gular", "gular")):
        if name.endswith(singular):
            return name.removesuffix(singular) + plural
    return name + "s"
