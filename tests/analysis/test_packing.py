"""Distributions of random cosines against integration, sampling and geometry by hand."""

import math

import jax
import numpy as np
import pytest
from scipy import integrate, stats

from toylab.analysis import packing as p
from toylab.errors import ConfigError, ConfigTypeError

DIMENSIONS = [2, 3, 4, 7, 20, 300]


def test_density_by_hand():
    np.testing.assert_allclose(p.cosine_density([-1.0, 0.0, 0.3, 1.0], 3), 0.5)
    assert p.cosine_density(0.0, 2) == pytest.approx(1 / math.pi)
    np.testing.assert_allclose(
        p.cosine_density([0.0, 0.6, 1.0], 4), np.array([1, 0.8, 0]) * 2 / math.pi
    )
    assert p.cosine_density(1.0, 2) == math.inf


@pytest.mark.parametrize("d", DIMENSIONS)
def test_density_is_that_of_a_stretched_beta_variable(d):
    t = np.linspace(-0.95, 0.95, 39)
    expected = stats.beta.pdf(t, (d - 1) / 2, (d - 1) / 2, loc=-1, scale=2)
    np.testing.assert_allclose(p.cosine_density(t, d), expected, rtol=1e-9, atol=1e-200)


@pytest.mark.parametrize("d", [3, 4, 7, 20])
def test_moments_against_integration(d):
    def moment(order):
        return integrate.quad(lambda t: t**order * float(p.cosine_density(t, d)), -1, 1)[0]

    assert moment(0) == pytest.approx(1, abs=1e-8)
    np.testing.assert_allclose(p.cosine_moments(d), [moment(1), moment(2), moment(4)], atol=1e-8)


def test_moments_by_hand():
    assert p.cosine_moments(1) == (0.0, 1.0, 1.0)  # the cosine is ±1
    assert p.cosine_moments(3) == pytest.approx((0, 1 / 3, 1 / 5))


def test_cap_by_hand():
    assert p.cap_probability(0.5, 3) == pytest.approx(1 / 4)
    np.testing.assert_allclose(p.cap_probability([-1.0, -0.2, 0.0, 1.0], 3), [1, 0.6, 0.5, 0])
    t = np.linspace(-1, 1, 21)
    np.testing.assert_allclose(p.cap_probability(t, 2), np.arccos(t) / math.pi, atol=1e-12)


@pytest.mark.parametrize("d", [3, 5, 20])
def test_cap_and_tail_against_integration(d):
    for t in (-0.4, 0.05, 0.7):
        cap = integrate.quad(lambda x: float(p.cosine_density(x, d)), t, 1)[0]
        assert float(p.cap_probability(t, d)) == pytest.approx(cap, abs=1e-8)
    tail = 2 * integrate.quad(lambda x: float(p.cosine_density(x, d)), 0.3, 1)[0]
    assert float(p.tail_probability(0.3, d)) == pytest.approx(tail, abs=1e-8)
    assert float(p.tail_probability(0.0, d)) == 1.0


@pytest.mark.parametrize("d", DIMENSIONS)
def test_the_textbook_tail_is_never_below_the_exact_one(d):
    epsilon = np.linspace(0, 1, 201)
    exact, bound = p.tail_probability(epsilon, d), p.tail_bound(epsilon, d)
    assert (exact <= bound).all()
    assert (bound <= 1).all()
    assert float(p.tail_bound(0.5, 20)) == pytest.approx(2 * math.exp(-2.5))


def test_packing_by_hand():
    assert float(p.packing_bound(0.2, 1000)) == pytest.approx(math.exp(10))
    assert float(p.packing_exact(0.9, 3)) == pytest.approx(5.0)
    assert float(p.packing_exact(0.01, 50)) == 50.0
    assert float(p.packing_dimensions(1, 0.5)) == 0.0
    assert float(p.packing_exact(0.9, 100_000)) == math.inf


@pytest.mark.parametrize("d", DIMENSIONS)
def test_the_exact_tail_packs_more_than_the_textbook_one(d):
    epsilon = np.linspace(0.01, 0.99, 50)
    assert (p.packing_exact(epsilon, d) >= p.packing_bound(epsilon, d)).all()


def test_packing_dimensions_invert_the_packing_bound():
    for e in (0.1, 0.5):
        assert float(p.packing_dimensions(10**6, e)) == pytest.approx(4 * 6 * math.log(10) / e**2)
        needed = math.ceil(float(p.packing_dimensions(10**6, e)))
        assert p.packing_bound(e, needed) >= 10**6 > p.packing_bound(e, needed - 1)


def test_random_directions_realise_the_packing():
    """n(n-1)/2 · p < 1/2 leaves at least even odds for every draw."""
    d, epsilon = 400, 0.25
    n = int(float(p.packing_bound(epsilon, d)) / math.sqrt(2))
    assert n > 300
    largest = [
        float(np.abs(p.sample_cosines(jax.random.key(seed), n, d)).max()) for seed in range(8)
    ]
    assert np.median(largest) <= epsilon


def test_sampled_directions_are_uniform():
    sample = np.asarray(p.sample_directions(jax.random.key(0), 4000, 5))
    assert sample.shape == (5, 4000)
    np.testing.assert_allclose(np.linalg.norm(sample, axis=0), 1, rtol=1e-5)
    for axis in sample:
        cdf = stats.beta(2, 2, loc=-1, scale=2).cdf
        assert stats.kstest(axis, cdf).pvalue > 1e-3
    assert np.abs(sample @ sample.T / 4000 - np.eye(5) / 5).max() < 4 * math.sqrt(0.03 / 4000)


@pytest.mark.parametrize("d", [2, 3, 20])
def test_sampled_cosines_have_the_density_and_moments(d):
    cosines = np.asarray(p.sample_cosines(jax.random.key(d), 400, d), np.float64)
    assert cosines.shape == (400 * 399 // 2,)
    moments = p.cosine_moments(d)
    assert cosines.mean() == pytest.approx(0, abs=5 * math.sqrt(moments.variance / 400) / 400**0.5)
    assert cosines.var() == pytest.approx(moments.variance, rel=0.03)
    assert (cosines**4).mean() == pytest.approx(moments.fourth, rel=0.06)
    above = (cosines > 0.3).mean()
    assert above == pytest.approx(float(p.cap_probability(0.3, d)), abs=0.01)


def test_sampled_cosines_are_in_the_order_of_pairs():
    key = jax.random.key(1)
    directions = np.asarray(p.sample_directions(key, 4, 6), np.float64)
    pairs = [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]
    expected = [directions[:, i] @ directions[:, j] for i, j in pairs]
    np.testing.assert_allclose(p.sample_cosines(key, 4, 6), expected, atol=1e-6)


def test_expected_max_cosine_by_hand():
    assert p.expected_max_cosine(2, 10) == 0.0
    assert p.expected_max_cosine(5, 50) == pytest.approx(math.sqrt(2 * math.log(10) / 50))
    assert p.expected_max_cosine(10_000, 2) == 1.0


def test_max_cosine_quantile_by_hand():
    assert float(p.max_cosine_quantile(2, 7)) == pytest.approx(0, abs=1e-7)
    # One pair in three dimensions: the cosine is uniform on [-1, 1].
    np.testing.assert_allclose(p.max_cosine_quantile(2, 3, [0.25, 0.9]), [-0.5, 0.8], atol=1e-7)
    # Three pairs: q = ((1 + t)/2)³.
    assert float(p.max_cosine_quantile(3, 3, 0.7)) == pytest.approx(2 * 0.7 ** (1 / 3) - 1)


def test_the_largest_cosine_of_samples_follows_both_predictions():
    n, d = 300, 100
    largest = [float(p.sample_cosines(jax.random.key(seed), n, d).max()) for seed in range(40)]
    low, middle, high = p.max_cosine_quantile(n, d, [0.05, 0.5, 0.95])
    assert np.median(largest) == pytest.approx(middle, abs=0.012)
    assert np.mean([low <= x <= high for x in largest]) >= 0.75
    assert middle < p.expected_max_cosine(n, d) < 1.2 * middle


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: p.cosine_density(1.5, 3), ConfigError, "cosine=1.5: must be in [-1, 1]"),
        (lambda: p.cosine_density(0.0, 1), ConfigError, "n_hidden=1: must be an integer >= 2"),
        (lambda: p.cosine_moments(0), ConfigError, "n_hidden=0: must be an integer >= 1"),
        (
            lambda: p.cap_probability([0.0, -2.0], 3),
            ConfigError,
            "cosine[1]=-2.0: must be in [-1, 1]",
        ),
        (lambda: p.tail_probability(2, 3), ConfigError, "epsilon=2: must be in [0, 1]"),
        (lambda: p.tail_bound(np.nan, 3), ConfigError, "epsilon=nan: must be finite and in [0, 1]"),
        (lambda: p.packing_bound(0, 3), ConfigError, "epsilon=0: must be in (0, 1)"),
        (lambda: p.packing_exact(1.0, 3), ConfigError, "epsilon=1.0: must be in (0, 1)"),
        (
            lambda: p.packing_dimensions(0, 0.1),
            ConfigError,
            "n_features=0: must be an integer >= 1",
        ),
        (lambda: p.expected_max_cosine(1, 3), ConfigError, "n_features=1: must be an integer >= 2"),
        (lambda: p.max_cosine_quantile(5, 3, 1.0), ConfigError, "quantile=1.0: must be in (0, 1)"),
        (
            lambda: p.sample_directions(jax.random.key(0), 0, 3),
            ConfigError,
            "n_features=0: must be an integer >= 1",
        ),
        (
            lambda: p.sample_cosines(jax.random.key(0), True, 3),
            ConfigTypeError,
            "n_features=True: must be an int, got bool",
        ),
    ],
)
def test_bad_input(call, error, text):
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == text
