"""The sampler and the exact set probabilities are two faces of one distribution."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from toylab.data import counter
from toylab.data.features import Features, active_sets, sample, set_probabilities

N = 200_000
GROUPINGS = ("independent", "correlated", "anticorrelated", "hierarchical")
DENSITY = np.array([0.3, 0.2, 0.25, 0.4], np.float32)


def make(grouping, values="uniform", density=DENSITY, group_size=2):
    return Features(jnp.asarray(density), values, grouping, group_size)


def drawn(features, seed=0, n=N):
    return np.asarray(sample(features, counter.stream(jax.random.key(seed)), n))


def brute_force_probability(grouping, active, density, size):
    """P(active set) from the definitions in words, one group at a time, in plain Python."""
    total = 1.0
    for start in range(0, len(density), size):
        on, p = active[start : start + size], [float(d) for d in density[start : start + size]]
        if grouping == "independent":
            total *= np.prod([q if a else 1 - q for a, q in zip(on, p, strict=True)])
        elif grouping == "correlated":  # a uniform draw u; feature i is active iff u < p_i
            edges = sorted({0.0, 1.0, *p})
            total *= sum(
                hi - lo
                for lo, hi in itertools.pairwise(edges)
                if all(a == ((lo + hi) / 2 < q) for a, q in zip(on, p, strict=True))
            )
        elif grouping == "anticorrelated":
            count = sum(on)
            total *= (
                1 - sum(p)
                if count == 0
                else sum(q for a, q in zip(on, p, strict=True) if a) * (count == 1)
            )
        else:
            if not on[0]:
                total *= (1 - p[0]) * (not any(on[1:]))
            else:
                total *= p[0] * np.prod(
                    [q if a else 1 - q for a, q in zip(on[1:], p[1:], strict=True)]
                )
    return total


@pytest.mark.parametrize("grouping", GROUPINGS)
@pytest.mark.parametrize("size", [1, 2, 4])
def test_set_probabilities_follow_the_definitions(grouping, size):
    density = DENSITY / 2 if size == 4 and grouping == "anticorrelated" else DENSITY
    found = np.asarray(set_probabilities(make(grouping, density=density, group_size=size)))
    expected = [brute_force_probability(grouping, list(a), density, size) for a in active_sets(4)]
    np.testing.assert_allclose(found, expected, atol=2e-7)
    assert found.sum() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("grouping", GROUPINGS)
def test_samples_have_the_exact_set_probabilities(grouping):
    x = drawn(make(grouping))
    index = (x > 0).T @ (1 << np.arange(4))
    counts = np.bincount(index, minlength=16)
    expected = np.asarray(set_probabilities(make(grouping)), np.float64) * N
    possible = expected > 0
    assert not counts[~possible].any()
    assert stats.chisquare(counts[possible], expected[possible] / expected.sum() * N).pvalue > 1e-4


@pytest.mark.parametrize("grouping", GROUPINGS)
def test_magnitudes_are_uniform_and_independent(grouping):
    x = drawn(make(grouping), seed=1)
    for row in x:
        assert stats.kstest(row[row > 0], "uniform").pvalue > 1e-4
    both = (x[0] > 0) & (x[1] > 0)
    if both.any():
        assert abs(np.corrcoef(x[0][both], x[1][both])[0, 1]) < 5 / np.sqrt(both.sum())


def test_binary_and_signed_values():
    binary, signed = drawn(make("independent", "binary")), drawn(make("independent", "signed"))
    assert set(np.unique(binary)) == {0.0, 1.0}
    active = signed[signed != 0]
    assert stats.kstest(active, "uniform", args=(-1, 2)).pvalue > 1e-4


def test_moments_of_the_uniform_features():
    """E x = p/2 and E x^2 = p/3 (superposition in Elhage et al. 2022, section 2)."""
    x = drawn(Features(jnp.asarray([0.1, 0.5, 1.0])), n=400_000)
    p = np.array([0.1, 0.5, 1.0])
    np.testing.assert_allclose(x.mean(axis=1), p / 2, atol=5 * 0.5 / np.sqrt(400_000))
    np.testing.assert_allclose((x**2).mean(axis=1), p / 3, atol=5 * 0.5 / np.sqrt(400_000))


def test_density_zero_and_one_are_edges():
    x = drawn(Features(jnp.asarray([0.0, 1.0])), n=10_000)
    assert not x[0].any()
    # One draw in 2^24 is zero itself.
    assert (x[1] > 0).mean() > 0.999


def test_more_features_leave_the_first_ones_alone():
    few, many = (drawn(Features(jnp.full(n, 0.3)), n=100) for n in (3, 8))
    np.testing.assert_array_equal(few, many[:3])
