"""The name of the polytope that the represented features of a model form.

Only directions count: norms, rotations, reflections and the order of the features do not change the
name. Directions are compared through their cosines. The *deviation* of two sets of k directions is

    max( largest |difference| of their sorted cosines,
         largest |difference| of their sorted Gram eigenvalues, divided by k - 1 ),

which never exceeds the largest error of a cosine under the best matching of vertices. Directions
take the name of the nearest shape (see `shapes`) when they deviate by no more than a tolerance, 0.1
unless told: about 6° near a right angle. Minimising the loss of sparse inputs gives a pentagon in
two dimensions that deviates by less than 0.001 and a square antiprism in three by 0.015; the cube
lies 0.59 from that antiprism.

Directions without a name as a whole are split into blocks that are orthogonal within the tolerance
(the connected parts of |cos| > tolerance) and named as a sum, "digon + singleton".
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np
from scipy.sparse.csgraph import connected_components

from toylab.analysis.arguments import Numbers, real, weights
from toylab.analysis.shapes import shapes, sum_name
from toylab.analysis.superposition import REPRESENTED
from toylab.config import Rule
from toylab.errors import ConfigError

__all__ = ["THOMSON_ENERGIES", "TOLERANCE", "Block", "Polytope", "coulomb_energy", "name_polytope"]

TOLERANCE = 0.1
"""The deviation, in units of a cosine, up to which directions carry a shape's name."""

THOMSON_ENERGIES = {
    4: 3.674234614,
    5: 6.474691495,
    6: 9.985281374,
    7: 14.452977414,
    8: 19.675287861,
    12: 49.165253058,
}
"""The least Coulomb energy of k unit charges on the unit sphere (Thomson's problem).

The minima are the tetrahedron, the triangular bipyramid, the octahedron, the pentagonal bipyramid,
a square antiprism and the icosahedron (Wales and Ulker 2006, Phys. Rev. B 74, 212101).
"""

_IRREGULAR = "irregular"


class Block(NamedTuple):
    """Features that hang together, orthogonal to all others within the tolerance.

    Attributes:
        name: of the nearest shape, or "irregular" when that is farther than the tolerance.
        nearest: the name of the nearest shape.
        deviation: the distance to it, in units of a cosine, in [0, 2].
        features: indices of the columns of W, increasing.
    """

    name: str
    nearest: str
    deviation: float
    features: tuple[int, ...]


class Polytope(NamedTuple):
    """What `name_polytope` found.

    Attributes:
        name: such as "pentagon", "digon + singleton", "irregular", or "none" without any feature.
        n_vertices: how many features are represented.
        n_dropped: how many are not.
        deviation: the distance to `nearest`, in units of a cosine, in [0, 2].
        nearest: the name of the nearest shape, or the sum of the blocks' nearest shapes.
        blocks: the orthogonal parts, largest first; their deviation is that of each part alone.
    """

    name: str
    n_vertices: int
    n_dropped: int
    deviation: float
    nearest: str
    blocks: tuple[Block, ...]


def name_polytope(
    W: Numbers, tolerance: float = TOLERANCE, threshold: float = REPRESENTED
) -> Polytope:
    """The name of the shape that the represented columns of one concrete matrix form.

    Args:
        W: [m, n]; not traceable, since a name is not an array.
        tolerance: in (0, 0.5], the largest deviation, in units of a cosine, that keeps a name.
        threshold: norm above which a feature counts as represented, at least 0.

    Returns:
        Polytope(name, n_vertices, n_dropped, deviation, nearest, blocks).

    Raises:
        ConfigError: W is not one matrix, or tolerance or threshold is out of range.

    Source: TMS, "The geometry of superposition", for the shapes and their sums ("tegum products").
    Example: columns (1,0), (-1,0), (0,1) are "digon + singleton"; with (0,-1) added, a "square".
    """
    real("tolerance", tolerance, Rule("float", 0.0, 0.5, low_open=True))
    real("threshold", threshold, Rule("float", low=0.0))
    array = _one_matrix(W)
    kept = np.flatnonzero(np.linalg.norm(array, axis=0) > threshold)
    n_dropped = array.shape[1] - len(kept)
    if not len(kept):
        return Polytope("none", 0, n_dropped, 0.0, "none", ())
    cosines = _cosines(array[:, kept])
    whole, is_sum = _nearest_shape(cosines, kept, tolerance)
    if whole.name != _IRREGULAR and not is_sum:
        return Polytope(whole.name, len(kept), n_dropped, whole.deviation, whole.nearest, (whole,))
    blocks, overlap = _split(cosines, kept, tolerance)
    if whole.name != _IRREGULAR or len(blocks) == 1:
        return Polytope(whole.name, len(kept), n_dropped, whole.deviation, whole.nearest, blocks)
    name = sum_name(block.name for block in blocks)
    nearest = sum_name(block.nearest for block in blocks)
    deviation = max(overlap, *(block.deviation for block in blocks))
    return Polytope(name, len(kept), n_dropped, deviation, nearest, blocks)


def coulomb_energy(W: Numbers) -> float:
    """Σ_{i<j} 1 / |ŵ_i - ŵ_j|: the energy of unit charges at the columns' directions.

    Args:
        W: [m, n] without a zero column.

    Returns:
        A float, at least 0; 0 for n = 1, inf when two directions coincide.

    Raises:
        ConfigError: W is not one matrix, or has a zero column.

    Source: Thomson 1904; for the minima in three dimensions see `THOMSON_ENERGIES`.
    Example: an antipodal pair has 1/2, the octahedron 12/√2 + 3/2 = 9.985281.
    """
    array = _one_matrix(W)
    if not array.any(axis=0).all():
        column = int(np.argmin(array.any(axis=0)))
        raise ConfigError(f"W with zero column {column}: must have a direction in every column")
    cosines = _cosines(array)[np.triu_indices(array.shape[1], 1)]
    with np.errstate(divide="ignore"):
        return float((1 / np.sqrt(2 * (1 - cosines))).sum())


def _one_matrix(W: Numbers) -> np.ndarray:
    checked = weights(W)
    if checked.ndim != 2:
        kind = f"{checked.dtype}{list(checked.shape)}"
        raise ConfigError(f"W={kind}: must be one matrix [n_hidden, n_features], not a stack")
    return np.asarray(W, np.float64)  # not the float32 of `weights`: energies have nine decimals


def _cosines(array: np.ndarray) -> np.ndarray:
    unit = array / np.linalg.norm(array, axis=0)
    return np.clip(unit.T @ unit, -1.0, 1.0)


class _Fingerprint(NamedTuple):
    """What rotations and permutations leave of k directions."""

    cosines: np.ndarray  # [k (k-1) / 2], sorted
    spectrum: np.ndarray  # [k], sorted Gram eigenvalues / (k - 1)


def _fingerprint(cosines: np.ndarray) -> _Fingerprint:
    k = len(cosines)
    spectrum = np.linalg.eigvalsh(cosines) / max(k - 1, 1)
    return _Fingerprint(np.sort(cosines[np.triu_indices(k, 1)]), spectrum)


def _distance(one: _Fingerprint, other: _Fingerprint) -> float:
    gaps = [np.abs(a - b).max(initial=0.0) for a, b in zip(one, other, strict=True)]
    return float(max(gaps))


@functools.lru_cache(maxsize=64)
def _references(k: int) -> tuple[tuple[str, _Fingerprint, bool], ...]:
    """Of each shape of k vertices: name, fingerprint, and whether it is an orthogonal sum."""
    grams = [(shape.name, _cosines(shape.vertices)) for shape in shapes(k)]
    return tuple((name, _fingerprint(gram), bool(_parts(gram, 1e-9).any())) for name, gram in grams)


def _nearest_shape(
    cosines: np.ndarray, features: np.ndarray, tolerance: float
) -> tuple[Block, bool]:
    own = _fingerprint(cosines)
    distances = [_distance(own, reference) for _, reference, _ in _references(len(features))]
    best = int(np.argmin(distances))
    nearest, _, is_sum = _references(len(features))[best]
    name = nearest if distances[best] <= tolerance else _IRREGULAR
    return Block(name, nearest, distances[best], tuple(features.tolist())), is_sum


def _split(
    cosines: np.ndarray, features: np.ndarray, tolerance: float
) -> tuple[tuple[Block, ...], float]:
    """The orthogonal blocks, largest first, and the largest |cos| between two of them."""
    labels = _parts(cosines, tolerance)
    parts = [np.flatnonzero(labels == label) for label in range(labels.max() + 1)]
    blocks = [
        _nearest_shape(cosines[np.ix_(part, part)], features[part], tolerance)[0] for part in parts
    ]
    overlap = np.abs(cosines[labels[:, None] != labels[None, :]]).max(initial=0.0)
    return tuple(sorted(blocks, key=lambda b: (-len(b.features), b.features))), float(overlap)


def _parts(cosines: np.ndarray, tolerance: float) -> np.ndarray:
    """A label 0, 1, ... for each direction; directions linked by |cos| > tolerance share one."""
    return connected_components(np.abs(cosines) > tolerance, directed=False)[1]
