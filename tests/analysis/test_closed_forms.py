"""Formulas on paper against numerical integration, minimisation and sampling of the same models."""

import functools
import itertools
import math

import jax
import numpy as np
import pytest
from scipy import integrate, optimize

from toylab.analysis import closed_forms as c
from toylab.analysis.shapes import polygon
from toylab.errors import ConfigError, ConfigTypeError

Phase = c.Phase


def expected_loss(W, b, density, importance, points=40):
    """Mean over features, by enumerating the active sets and Gauss-Legendre on each cube."""
    W, b = np.asarray(W, np.float64), np.asarray(b, np.float64)
    nodes, weights = np.polynomial.legendre.leggauss(points)
    nodes, weights = (nodes + 1) / 2, weights / 2
    n, total = W.shape[1], 0.0
    for active in itertools.product([0, 1], repeat=n):
        k = sum(active)
        x = np.zeros((points**k, n))
        x[:, np.array(active) == 1] = list(itertools.product(nodes, repeat=k))
        weight = np.array([math.prod(w) for w in itertools.product(weights, repeat=k)])
        error = x - np.maximum(x @ W.T @ W + b, 0.0)
        total += density**k * (1 - density) ** (n - k) * (weight @ error**2 @ importance)
    return total / n


def explicit_models(density, n):
    """[W, b] of the explicit models of each phase, in the order of `Phase`."""
    mean = density / 2
    if n == 2:
        return [
            [([[1, 0]], [0, mean])],
            [([[0, 1]], [mean, 0])],
            [([[1, -1]], [0, 0])],
        ]
    return [
        [([[1, 0, 0], [0, 1, 0]], [0, 0, mean])],
        [([[1, 0, 0], [0, 0, 1]], [0, mean, 0]), ([[1, -1, 0], [0, 0, 1]], [0, 0, 0])],
        [([[1, 0, -1], [0, 1, 0]], [0, 0, 0])],
    ]


@pytest.mark.parametrize("n", [2, 3])
@pytest.mark.parametrize("density", [0.05, 0.4, 1.0])
@pytest.mark.parametrize("r", [0.2, 1.0, 3.0])
def test_phase_losses_are_those_of_the_explicit_models(n, density, r):
    importance = np.array([1.0] * (n - 1) + [r])
    expected = [
        min(expected_loss(W, b, density, importance) for W, b in models)
        for models in explicit_models(density, n)
    ]
    # The kink of ReLU(x_1 - x_2) lies on the diagonal, where q nodes an axis are good to 1/q².
    np.testing.assert_allclose(c.phase_losses(density, r, n), expected, rtol=1 / 40**2)


def test_phase_losses_by_hand():
    dense = c.phase_losses(1.0, 1.0)
    np.testing.assert_allclose(dense, (1 / 24, 1 / 24, 1 / 6))
    sparse = c.phase_losses(0.1, 0.5, n_features=3)
    variance = 0.1 / 3 - 0.01 / 4
    np.testing.assert_allclose(sparse, (variance / 6, 0.01 / 9, 1.5 * 0.01 / 18))


def test_the_best_bias_of_a_dropped_feature_is_its_mean():
    p = 0.3
    found = optimize.minimize_scalar(lambda b: p * (1 / 3 - b + b * b) + (1 - p) * b * b)
    assert found.x == pytest.approx(p / 2)
    assert found.fun == pytest.approx(p / 3 - p * p / 4)


@pytest.mark.parametrize("n", [2, 3])
def test_phase_losses_bound_the_optimum_from_above(n):
    """Minimised here with scipy on the exact loss; the middle of the phase diagram."""
    density, r, m = 0.6, 0.9, n - 1
    importance = np.array([1.0] * m + [r])

    def loss(flat):
        return expected_loss(flat[: m * n].reshape(m, n), flat[m * n :], density, importance, 8)

    starts = [
        np.concatenate([np.ravel(W), b]) + 0.05
        for models in explicit_models(density, n)
        for W, b in models
    ]
    best = min(optimize.minimize(loss, x0, method="L-BFGS-B").fun for x0 in starts)
    bound = float(np.min(c.phase_losses(density, r, n)))
    assert 0.8 * bound < best < bound


@pytest.mark.parametrize(
    ("density", "r", "n", "expected"),
    [
        (0.05, 0.5, 2, Phase.SUPERPOSITION),
        (1.0, 0.5, 2, Phase.IGNORED),
        (1.0, 2.0, 2, Phase.OWN_DIMENSION),
        (0.05, 2.0, 2, Phase.SUPERPOSITION),
        (0.05, 2.0, 3, Phase.OWN_DIMENSION),
        (1.0, 2.0, 3, Phase.OWN_DIMENSION),
        (0.05, 0.5, 3, Phase.SUPERPOSITION),
        (1.0, 0.5, 3, Phase.IGNORED),
        (0.3, 0.0, 3, Phase.IGNORED),
    ],
)
def test_phase_in_the_corners_of_the_diagram(density, r, n, expected):
    assert c.phase(density, r, n) == expected


def test_boundary_by_hand():
    np.testing.assert_allclose(c.phase_boundary([0, 0.5, 1, 2]), [0, 4 / 9, 4 / 7, 4 / 9])
    np.testing.assert_allclose(c.phase_boundary([0.5, 1, 2], 3), [4 / 9, 4 / 7, 4 / 7])


@pytest.mark.parametrize("r", [0.1, 0.4, 0.99, 1.01, 2.5, 10.0])
@pytest.mark.parametrize("n", [2, 3])
def test_boundary_is_where_pairing_starts_to_pay(r, n):
    """The root of the difference of two sums over features, found by bisection."""

    def variance(p):
        return p / 3 - p * p / 4

    if n == 3 and r > 1:
        crossing = optimize.brentq(lambda p: variance(p) - p * p / 3, 1e-6, 1)
    else:
        crossing = optimize.brentq(
            lambda p: min(r, 1.0) * variance(p) - (1 + r) * p * p / 6, 1e-6, 1
        )
    boundary = float(c.phase_boundary(r, n))
    assert boundary == pytest.approx(crossing)
    if n == 2 or r < 1:
        assert c.phase(0.999 * boundary, r, n) == Phase.SUPERPOSITION
        assert c.phase(1.001 * boundary, r, n) == (Phase.IGNORED if r < 1 else Phase.OWN_DIMENSION)


def test_swapping_the_features_of_two_to_one_swaps_two_phases():
    density, r = np.meshgrid(np.logspace(-2, 0, 31), np.logspace(-1, 1, 30), indexing="ij")
    here, swapped = c.phase(density, r), c.phase(density, 1 / r)
    exchange = np.array([Phase.OWN_DIMENSION, Phase.IGNORED, Phase.SUPERPOSITION])
    np.testing.assert_array_equal(exchange[here], swapped)
    assert set(here.ravel().tolist()) == {0, 1, 2}


def test_densities_and_importances_broadcast():
    density, r = np.array([[0.1], [0.9]]), np.array([0.2, 1.5, 5.0])
    table = c.phase(density, r, 3)
    assert table.shape == (2, 3)
    for i, j in np.ndindex(2, 3):
        assert table[i, j] == c.phase(density[i, 0], r[j], 3)


@pytest.mark.parametrize(
    ("W", "expected"),
    [
        ([[1, -1]], Phase.SUPERPOSITION),
        ([[1, 0.1]], Phase.IGNORED),
        ([[0.1, 1]], Phase.OWN_DIMENSION),
        ([[0.9, -0.8]], Phase.SUPERPOSITION),
        ([[1, 0, 0], [0, 1, 0]], Phase.IGNORED),
        ([[1, 0, 0], [0, 0, 1]], Phase.OWN_DIMENSION),
        ([[1, -1, 0], [0, 0, 1]], Phase.OWN_DIMENSION),
        ([[1, 0, -1], [0, 1, 0]], Phase.SUPERPOSITION),
        (polygon(3), Phase.SUPERPOSITION),
    ],
)
def test_classify_phase_of_explicit_weights(W, expected):
    assert int(c.classify_phase(W)) == expected


@pytest.mark.parametrize("n", [2, 3])
def test_explicit_models_are_classified_as_their_own_phase(n):
    for code, models in enumerate(explicit_models(0.3, n)):
        for W, _ in models:
            assert int(c.classify_phase(W)) == code


def test_classify_phase_of_a_batch_under_jit_and_rotation():
    W = np.array([np.eye(2, 3), [[1, 0, -1], [0, 1, 0]], [[1, -1, 0], [0, 0, 1]]], np.float32)
    turn = np.array([[0.6, -0.8], [0.8, 0.6]], np.float32)
    expected = [Phase.IGNORED, Phase.SUPERPOSITION, Phase.OWN_DIMENSION]
    for found in (c.classify_phase(W), jax.jit(c.classify_phase)(W), c.classify_phase(turn @ W)):
        assert np.asarray(found).tolist() == expected


def one_feature_loss_by_quadrature(W, b):
    W, b = np.asarray(W, np.float64), np.asarray(b, np.float64)
    n, gram = W.shape[1], W.T @ W

    def error(u, i):
        output = np.maximum(gram[:, i] * u + b, 0.0)
        return ((u * np.eye(n)[i] - output) ** 2).sum()

    total = 0.0
    for i in range(n):
        with np.errstate(divide="ignore", invalid="ignore"):
            kinks = -b / gram[:, i]
        kinks = sorted({0.0, 1.0, *kinks[(kinks > 0) & (kinks < 1)].tolist()})
        for low, high in itertools.pairwise(kinks):
            total += integrate.quad(functools.partial(error, i=i), low, high)[0]
    return total / n


@pytest.mark.parametrize("seed", range(12))
def test_one_feature_loss_against_adaptive_quadrature(seed):
    generator = np.random.default_rng(seed)
    m, n = generator.integers(1, 4), generator.integers(1, 6)
    W, b = generator.normal(size=(m, n)), generator.normal(scale=0.4, size=n)
    W[:, 0] = 0.0  # a gain of exactly 0 takes the limit
    assert c.one_feature_loss(W, b) == pytest.approx(one_feature_loss_by_quadrature(W, b))


def test_one_feature_loss_by_hand():
    assert c.one_feature_loss([[1.0, -1.0]], [0.0, 0.0]) == pytest.approx(0.0, abs=1e-15)
    assert c.one_feature_loss([[1.0, 1.0]], [0.0, 0.0]) == pytest.approx(1 / 3)
    assert c.one_feature_loss([[0.0]], [0.5]) == pytest.approx(1 / 12)
    assert c.one_feature_loss([[0.0]], [-0.5]) == pytest.approx(1 / 3)


def test_one_feature_loss_is_the_sparse_limit():
    W, b, density = 1.17 * polygon(3) + 0.1, np.array([-0.1, -0.2, 0.0]), 1e-4
    limit = expected_loss(W, b, density, np.ones(3), points=60) / density
    assert c.one_feature_loss(W, b) == pytest.approx(limit, rel=2e-3)


@pytest.mark.parametrize(
    ("k", "loss", "radius", "bias"),
    [
        (2, 0.0, 1.0, 0.0),
        (3, 0.0, 1.0, 0.0),
        (4, 0.0, 1.0, 0.0),
        (5, 0.015826, 1.170, -0.282),
        (6, 0.048192, 1.321, -0.618),
        (7, 0.083271, 1.448, -0.967),
    ],
)
def test_polygon_optimum(k, loss, radius, bias):
    """Numbers recomputed below by another search on another integral."""
    found = c.polygon_optimum(k)
    assert found.loss == pytest.approx(loss, abs=1e-6)
    assert (found.radius, found.bias) == pytest.approx((radius, bias), abs=1e-3)
    assert c.polygon_loss(k, found.radius, found.bias) == pytest.approx(found.loss, abs=1e-12)


@pytest.mark.parametrize("k", [5, 7])
def test_polygon_optimum_against_a_search_by_sampling_nodes(k):
    nodes = (np.arange(2000) + 0.5) / 2000
    cosines = np.cos(2 * np.pi * np.arange(k) / k)

    def loss(at):
        output = np.maximum(at[0] ** 2 * cosines[:, None] * nodes + at[1], 0.0)
        output[0] -= nodes
        return (output**2).mean(1).sum()

    best = min(
        optimize.minimize(loss, x0, method="Powell").fun
        for x0 in itertools.product([0.8, 1.2, 1.6], [-1.0, -0.3, 0.1])
    )
    assert c.polygon_optimum(k).loss == pytest.approx(best, abs=2e-6)


def test_linear_optimum_by_hand():
    found = c.linear_optimum(2, 1, density=1.0, importance=[1.0, 0.5])
    assert found.loss == pytest.approx(0.5 / 12 / 2)
    assert (found.kept.tolist(), found.bias.tolist()) == ([True, False], [0.0, 0.5])
    assert c.linear_optimum(3, 5, density=0.2).loss == 0.0


def test_linear_optimum_against_minimisation():
    """Quadratic in G and b given the moments, so the loss is exact; W is searched by scipy."""
    density, importance = np.array([0.9, 0.2, 0.5, 0.7]), np.array([1.0, 3.0, 1.5, 0.4])
    variance, mean = density / 3 - density**2 / 4, density / 2

    def loss(flat):
        W, b = flat[:8].reshape(2, 4), flat[8:]
        residual = np.eye(4) - W.T @ W
        error = residual**2 @ variance + (residual @ mean - b) ** 2
        return (importance * error).mean()

    starts = [np.random.default_rng(seed).normal(size=12) for seed in range(10)]
    best = min(optimize.minimize(loss, x0).fun for x0 in starts)
    found = c.linear_optimum(4, 2, density, importance)
    assert found.loss == pytest.approx(best, rel=1e-4)
    assert found.kept.tolist() == (np.argsort(np.argsort(-importance * variance)) < 2).tolist()
    W = np.eye(4)[found.kept]
    assert loss(np.concatenate([W.ravel(), found.bias])) == pytest.approx(found.loss)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: c.phase(0.0, 1.0), ConfigError, "density=0.0: must be in (0, 1]"),
        (lambda: c.phase(1.1, 1.0), ConfigError, "density=1.1: must be in (0, 1]"),
        (
            lambda: c.phase_losses([0.5, np.nan], 1.0),
            ConfigError,
            "density[1]=nan: must be finite and in (0, 1]",
        ),
        (
            lambda: c.phase_boundary(-1),
            ConfigError,
            "relative_importance=-1: must be in [0, inf]",
        ),
        (lambda: c.phase(0.5, 1.0, 4), ConfigError, "n_features=4: must be an integer in 2..3"),
        (
            lambda: c.phase(0.5, 1.0, True),
            ConfigTypeError,
            "n_features=True: must be an int, got bool",
        ),
        (
            lambda: c.phase([0.1, 0.2], [1.0, 2.0, 3.0]),
            ConfigError,
            "density=float[2], relative_importance=float[3]: must have shapes that broadcast "
            "together",
        ),
        (
            lambda: c.classify_phase([[1.0]]),
            ConfigError,
            "W with 1 column: must have at least two features to compare",
        ),
        (
            lambda: c.one_feature_loss([[1.0, 2.0]], [0.0]),
            ConfigError,
            "W=float[1, 2], b=float[1]: must be [m, n] and [n]",
        ),
        (lambda: c.polygon_loss(1, 1.0, 0.0), ConfigError, "k=1: must be an integer >= 2"),
        (lambda: c.polygon_loss(5, -1.0, 0.0), ConfigError, "radius=-1.0: must be in [0, inf]"),
        (lambda: c.polygon_optimum(1), ConfigError, "k=1: must be an integer >= 2"),
        (
            lambda: c.linear_optimum(3, 1, 0.5, [1.0, 2.0]),
            ConfigError,
            "importance=float[2]: must be one number or n_features=3 numbers",
        ),
    ],
)
def test_bad_input(call, error, text):
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == text
