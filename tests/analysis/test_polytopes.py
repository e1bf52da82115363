"""Names under noise, rotation and permutation; energies against the Thomson minima."""

import math

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import ortho_group

from toylab.analysis.polytopes import (
    THOMSON_ENERGIES,
    TOLERANCE,
    coulomb_energy,
    name_polytope,
)
from toylab.analysis.shapes import (
    THOMSON_HEIGHT,
    cross_polytope,
    cube,
    icosahedron,
    orthogonal_sum,
    polygon,
    shapes,
    simplex,
    square_antiprism,
)
from toylab.errors import ConfigError

ONE = np.eye(1)


def disturbed(vertices, seed, noise=0.02, extra_dimensions=0):
    """The shape rotated, reordered, with unequal norms and a little noise; and the order."""
    generator = np.random.default_rng(seed)
    m = len(vertices) + extra_dimensions
    padded = np.pad(vertices, ((0, extra_dimensions), (0, 0)))
    rotation = ortho_group.rvs(m, random_state=seed) if m > 1 else -np.eye(1)
    order = generator.permutation(padded.shape[1])
    W = rotation @ padded[:, order] * generator.uniform(0.8, 1.4, padded.shape[1])
    return W + noise * generator.normal(size=W.shape), order


@pytest.mark.parametrize("k", [*range(1, 13), 20])
def test_every_shape_is_found_again_after_a_disturbance(k):
    for shape in shapes(k):
        W, _ = disturbed(shape.vertices, seed=k, noise=0.1 / max(k, 5))
        found = name_polytope(W)
        assert found.name == found.nearest == shape.name
        assert 0 <= found.deviation <= TOLERANCE
        assert (found.n_vertices, found.n_dropped) == (k, 0)


@pytest.mark.parametrize(
    ("parts", "name"),
    [
        ([simplex(1), ONE], "digon + singleton"),
        ([simplex(1), simplex(1), ONE], "2 digons + singleton"),
        ([polygon(3), polygon(3)], "2 triangles"),
        ([polygon(3), simplex(1), simplex(1)], "triangle + 2 digons"),
        ([polygon(5), ONE, ONE], "pentagon + 2 singletons"),
        ([simplex(3), polygon(3), simplex(1)], "tetrahedron + triangle + digon"),
        ([polygon(3), simplex(1)], "triangular bipyramid"),
        ([simplex(1)] * 3, "octahedron"),
        ([simplex(1)] * 5, "5 digons"),
    ],
)
def test_orthogonal_sums(parts, name):
    W, _ = disturbed(orthogonal_sum(*parts), seed=1, extra_dimensions=2)
    found = name_polytope(W)
    assert found.name == name
    assert [len(block.features) for block in found.blocks] == sorted(
        (part.shape[1] for part in parts), reverse=True
    )


def test_blocks_name_the_columns_and_dropped_ones_are_counted():
    W = [[0.0, 1.0, 0.0, -1.0, 0.1], [0.0, 0.0, 1.2, 0.0, 0.1]]
    found = name_polytope(W)
    assert (found.name, found.n_vertices, found.n_dropped) == ("digon + singleton", 3, 2)
    assert [(block.name, block.features) for block in found.blocks] == [
        ("digon", (1, 3)),
        ("singleton", (2,)),
    ]
    assert name_polytope(W, threshold=1.1).name == "singleton"
    assert name_polytope(np.zeros((2, 3)))[:4] == ("none", 0, 3, 0.0)


def test_a_square_is_two_digons_and_a_simplex_of_small_cosines_is_not_thirteen_singletons():
    square = name_polytope(polygon(4))
    assert (square.name, [block.name for block in square.blocks]) == ("square", ["digon", "digon"])
    found = name_polytope(simplex(12))  # every |cos| = 1/12 is within the tolerance of 0
    assert (found.name, len(found.blocks)) == ("12-simplex", 1)


def test_rotation_and_permutation_change_no_deviation():
    W = np.random.default_rng(3).normal(size=(3, 6))
    rotated = ortho_group.rvs(3, random_state=3) @ W
    order = np.array([3, 1, 5, 0, 2, 4])
    assert name_polytope(rotated[:, order]).deviation == pytest.approx(name_polytope(W).deviation)


def test_deviation_is_the_largest_gap_between_sorted_cosines():
    angle = math.radians(100)
    bent = [[1.0, math.cos(angle), math.cos(-angle)], [0.0, math.sin(angle), math.sin(-angle)]]
    # cos 100° = -0.174 twice and cos 200° = -0.940 once, against -1/2 three times.
    found = name_polytope(bent)
    assert found.deviation == pytest.approx(-0.5 - math.cos(2 * angle), abs=1e-6)
    assert (found.name, found.nearest) == ("irregular", "triangle")
    assert name_polytope(bent, tolerance=0.45).name == "triangle"


def test_an_irregular_part_does_not_hide_its_neighbours():
    crooked = np.array([[1.0, 0.0, 0.8], [0.0, 1.0, 0.6]])
    found = name_polytope(orthogonal_sum(crooked, simplex(1)))
    assert found.name == "irregular + digon"
    # Gaps of 0.8 and 0.6 to an orthogonal basis, of 1.3 to a triangle.
    assert found.nearest == "3 singletons + digon"
    assert found.deviation == found.blocks[0].deviation == pytest.approx(0.8)


@pytest.mark.parametrize(
    ("one", "other", "gap"),
    [
        (cube(), "square antiprism", 0.59),
        (polygon(8), "square antiprism", 0.3),
        (simplex(3), "square", 0.3),
        (polygon(6), "octahedron", 0.3),
    ],
)
def test_shapes_of_equal_size_are_farther_apart_than_twice_the_tolerance(one, other, gap):
    """From the cosines alone, sorted by numpy."""

    def sorted_cosines(vertices):
        return np.sort((vertices.T @ vertices)[np.triu_indices(vertices.shape[1], 1)])

    candidates = [s.vertices for s in shapes(one.shape[1]) if s.name == other]
    assert candidates
    for vertices in candidates:
        distance = np.abs(sorted_cosines(one) - sorted_cosines(vertices)).max()
        assert distance > max(gap - 0.11, 2 * TOLERANCE)


def one_active_feature_loss(flat, m, n, nodes):
    W, b = flat[: m * n].reshape(m, n), flat[m * n :]
    z = (W.T @ W)[:, :, None] * nodes + b[:, None, None]
    error = np.maximum(z, 0.0) - np.eye(n)[:, :, None] * nodes
    slope = 2 * error * (z > 0) / (n * len(nodes))
    by_gram = (slope * nodes).sum(-1)
    return (error**2).sum() / (n * len(nodes)), np.concatenate(
        [(W @ (by_gram + by_gram.T)).ravel(), slope.sum((1, 2))]
    )


@pytest.mark.parametrize(
    ("n", "m", "name", "closest"), [(5, 2, "pentagon", 1e-3), (8, 3, "square antiprism", 0.02)]
)
def test_optima_of_sparse_inputs_have_names(n, m, name, closest):
    """Minimised here with scipy, in numpy; geometries of TMS and of the Thomson problem."""
    generator, nodes = np.random.default_rng(0), (np.arange(64) + 0.5) / 64
    starts = [np.concatenate([generator.normal(size=m * n), np.full(n, -0.2)]) for _ in range(12)]
    best = min(
        (
            minimize(one_active_feature_loss, x0, (m, n, nodes), jac=True, method="L-BFGS-B")
            for x0 in starts
        ),
        key=lambda found: found.fun,
    )
    found = name_polytope(best.x[: m * n].reshape(m, n))
    assert found.name == name
    assert found.deviation < closest


@pytest.mark.parametrize(
    ("k", "vertices"),
    [
        (4, simplex(3)),
        (5, orthogonal_sum(polygon(3), simplex(1))),
        (6, cross_polytope(3)),
        (7, orthogonal_sum(polygon(5), simplex(1))),
        (8, square_antiprism(THOMSON_HEIGHT)),
        (12, icosahedron()),
    ],
)
def test_thomson_minima_have_the_known_energies(k, vertices):
    assert coulomb_energy(vertices) == pytest.approx(THOMSON_ENERGIES[k], abs=6e-10)
    assert coulomb_energy(3 * ortho_group.rvs(3, random_state=k) @ vertices) == pytest.approx(
        THOMSON_ENERGIES[k], abs=6e-10
    )


@pytest.mark.parametrize("k", [4, 5, 6, 7, 8, 12])
def test_minimising_the_energy_finds_the_same_numbers_and_names(k):
    def energy(flat):
        points = flat.reshape(k, 3)
        lengths = np.linalg.norm(points, axis=1, keepdims=True)
        unit = points / lengths
        apart = unit[:, None] - unit[None]
        distance = np.linalg.norm(apart, axis=-1) + np.diag(np.full(k, np.inf))
        force = -(apart / distance[..., None] ** 3).sum(1)
        return 0.5 * (1 / distance).sum(), (
            (force - (force * unit).sum(1, keepdims=True) * unit) / lengths
        ).ravel()

    starts = [np.random.default_rng(seed).normal(size=3 * k) for seed in range(8)]
    options = {"gtol": 1e-10}
    found = [minimize(energy, x0, jac=True, method="BFGS", options=options) for x0 in starts]
    best = min(found, key=lambda result: result.fun)
    assert best.fun == pytest.approx(THOMSON_ENERGIES[k], abs=2e-9)
    names = {
        4: "tetrahedron",
        5: "triangular bipyramid",
        6: "octahedron",
        7: "pentagonal bipyramid",
        8: "square antiprism",
        12: "icosahedron",
    }
    assert name_polytope(best.x.reshape(k, 3).T).name == names[k]


def test_coulomb_energy_by_hand():
    assert coulomb_energy([[1.0, -2.0]]) == 0.5
    assert coulomb_energy([[1.0]]) == 0.0
    assert coulomb_energy(cross_polytope(3)) == pytest.approx(12 / math.sqrt(2) + 3 / 2)
    assert coulomb_energy([[1.0, 1.0]]) == math.inf


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (
            lambda: name_polytope(np.ones((2, 2, 3), np.float32)),
            "W=float32[2, 2, 3]: must be one matrix [n_hidden, n_features], not a stack",
        ),
        (lambda: name_polytope(ONE, tolerance=0.0), "tolerance=0.0: must be in (0, 0.5]"),
        (lambda: name_polytope(ONE, threshold=-1), "threshold=-1: must be in [0, inf]"),
        (
            lambda: name_polytope([[np.nan]]),
            "W=float32[1, 1] with nan at [0, 0]: must be finite",
        ),
        (
            lambda: coulomb_energy([[1.0, 0.0, 1.0]]),
            "W with zero column 1: must have a direction in every column",
        ),
    ],
)
def test_bad_input(call, text):
    with pytest.raises(ConfigError) as caught:
        call()
    assert str(caught.value) == text
