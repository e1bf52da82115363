"""The quadrature is held against closed forms, numerical integration and Monte Carlo."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate

from toylab.data import counter
from toylab.data.expected import COARSE, FINE, Fineness, node_weights, nodes
from toylab.data.features import Features, active_sets, sample


@pytest.mark.parametrize("fineness", [COARSE, FINE])
@pytest.mark.parametrize("values", ["uniform", "binary", "signed"])
@pytest.mark.parametrize("n", [1, 2, 5])
def test_nodes_of_each_set_carry_its_whole_mass(n, values, fineness):
    rule = nodes(n, values, fineness)
    sets = active_sets(n)
    np.testing.assert_allclose(np.bincount(rule.members, rule.share, 2**n), 1, atol=1e-5)
    assert not rule.x[~sets[rule.members]].any()
    assert np.abs(rule.x).max() <= 1 + 1e-6


def test_polynomials_of_two_features_are_integrated_exactly():
    """E x1^a x2^b = 1 / ((a+1)(b+1)); Gauss-Legendre in 3 points is exact to degree 5."""
    rule = nodes(2, "uniform", COARSE)
    pair = rule.members == 3
    x, share = rule.x[pair].astype(float), rule.share[pair]
    for a, b in [(0, 0), (1, 0), (1, 1), (2, 1), (2, 2)]:
        assert share @ (x[:, 0] ** a * x[:, 1] ** b) == pytest.approx(
            1 / (a + 1) / (b + 1), abs=1e-6
        )


def test_the_kink_of_an_antipodal_pair_is_integrated_exactly():
    """E ReLU(x1 - x2)^2 = 1/12 on the unit square."""
    rule = nodes(2, "uniform", COARSE)
    pair = rule.members == 3
    x, share = rule.x[pair], rule.share[pair]
    assert share @ np.maximum(x[:, 0] - x[:, 1], 0) ** 2 == pytest.approx(1 / 12, rel=1e-5)


def test_three_active_features_against_nested_quadrature():
    def kinked(z, y, x):
        return max(1.1 * x - 0.6 * y - 0.5 * z + 0.1, 0.0) ** 2

    exact, _ = integrate.tplquad(kinked, 0, 1, 0, 1, 0, 1, epsabs=1e-7)
    rule = nodes(3, "uniform", FINE)
    triple = rule.members == 7
    x, share = rule.x[triple], rule.share[triple]
    assert share @ np.maximum(x @ [1.1, -0.6, -0.5] + 0.1, 0) ** 2 == pytest.approx(exact, rel=2e-3)


def test_more_nodes_come_closer():
    def error(count):
        rule = nodes(4, "uniform", Fineness(8, 3, count))
        every = rule.members == 15
        x, share = rule.x[every].astype(float), rule.share[every]
        return abs(share @ np.prod(x, axis=1) - 1 / 16)

    assert error(16384) < error(1024) / 4 < error(64) / 16


@pytest.mark.parametrize(
    "grouping", ["independent", "correlated", "anticorrelated", "hierarchical"]
)
@pytest.mark.parametrize("values", ["uniform", "binary", "signed"])
def test_expectations_agree_with_a_million_samples(grouping, values):
    features = Features(jnp.asarray([0.3, 0.2, 0.4, 0.1]), values, grouping, 2)
    a = jnp.asarray([1.0, -0.8, 0.5, 0.7])
    rule = nodes(4, values, FINE)

    def f(x):  # [n, 4] -> [n]
        return jnp.maximum(x @ a - 0.1, 0.0) ** 2

    exact = float(node_weights(rule, features) @ f(jnp.asarray(rule.x)))
    drawn = np.asarray(f(sample(features, counter.stream(jax.random.key(7)), 10**6).T), np.float64)
    assert exact == pytest.approx(drawn.mean(), abs=3 * drawn.std() / 1000)
