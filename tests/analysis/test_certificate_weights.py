"""The closed form of a quadratic network against enumeration, exact and in float64."""

from fractions import Fraction

import numpy as np
import pytest

from benchmarks.exact_logits import exact_logits
from toylab.analysis.certificate_forward import logit_rows, pair_weights
from toylab.analysis.certificate_spectral import align, residual_energy
from toylab.analysis.certificate_weights import errors_by_weights, quadratic_energy
from toylab.data.modular import answers
from toylab.models.mlp import PairMLP, gromov


def network(p, m, seed, scales=0):
    draw = np.random.default_rng(seed)
    W_a, W_b = draw.normal(size=(2, m, p)) * 10.0 ** draw.integers(-scales, scales + 1, (2, m, 1))
    return PairMLP(W_a, draw.normal(size=(p, m)), W_b, "quadratic")


def cancelling(p, m, seed):
    """The same, with neurons that write large numbers and cancel."""
    W_a, W_b = network(p, m, seed).inputs
    W_out = 1e7 * np.random.default_rng(seed).normal(size=(p, m))
    small = np.random.default_rng(seed + 1).normal(size=(p, m))
    return PairMLP(np.tile(W_a, (2, 1)), np.hstack([W_out + small, -W_out]), np.tile(W_b, (2, 1)))


def enumerated(model):
    """‖L‖², g and ‖R‖² in rational numbers, from every pair."""
    logits = exact_logits(model)
    p = len(logits)
    logits = logits - (logits.sum(-1) / p)[..., None]
    s = (answers("add", p)[..., None] - np.arange(p)) % p
    means = np.array([logits[s == value].sum() / p**2 for value in range(p)], object)
    residual = logits - means[s]
    return (logits * logits).sum(), means, (residual * residual).sum()


@pytest.mark.parametrize("make", [network, cancelling])
@pytest.mark.parametrize("p", [3, 4, 7])
@pytest.mark.parametrize("seed", range(4))
def test_every_number_keeps_to_its_bound(make, p, seed):
    model = make(p, 6, seed)
    found = quadratic_energy(pair_weights(model))
    total, means, residual = enumerated(model)
    assert abs(Fraction(found.total) - total) <= Fraction(found.total_error)
    for value, mean in zip(found.class_means.tolist(), means, strict=True):
        assert abs(Fraction(value) - mean) <= Fraction(found.mean_error)
    assert residual <= Fraction(found.residual)
    assert Fraction(found.least_gap) <= min(means[0] - mean for mean in means[1:])
    if make is network:
        assert found.residual <= float(residual) * (1 + 1e-5)


@pytest.mark.parametrize(("p", "m", "seed"), [(5, 1, 0), (7, 12, 1), (12, 30, 2), (23, 64, 3)])
def test_the_energy_is_that_of_the_table(p, m, seed):
    model = network(p, m, seed, scales=1)
    by_weights = quadratic_energy(pair_weights(model)).residual
    by_table = residual_energy(align(logit_rows(model), answers("add", p)))
    assert by_weights == pytest.approx(by_table, rel=5e-6)


def test_a_published_size_equals_enumeration():
    # p = 59, m = 256, as in the reference's 832,362 both ways: here with random weights.
    model = network(59, 256, 0)
    found = quadratic_energy(pair_weights(model))
    logits = np.stack([row.logits for row in logit_rows(model)])
    logits -= logits.mean(-1, keepdims=True)
    s = (answers("add", 59)[..., None] - np.arange(59)) % 59
    means = np.bincount(s.ravel(), logits.ravel()) / 59**2
    assert found.total == pytest.approx(np.square(logits).sum(), rel=1e-12)
    np.testing.assert_allclose(found.class_means, means, atol=1e-12 * abs(logits).max())
    assert found.residual == pytest.approx(np.square(logits - means[s]).sum(), rel=5e-6)


def test_waves_of_the_analytic_weights_by_hand():
    found = quadratic_energy(pair_weights(gromov(13)))
    np.testing.assert_allclose(found.class_means, [24.0] + [-2.0] * 12, atol=1e-5)
    assert found.total == pytest.approx(13**2 * (24**2 + 12 * 4), rel=1e-6)
    assert found.least_gap == pytest.approx(26, rel=1e-6)
    assert 0 < found.residual < 1e-6 * found.total


def test_a_constant_on_all_logits_changes_nothing():
    model = network(7, 5, 0)
    W_a, W_b = model.inputs
    lifted = PairMLP(W_a, model.W_out[...] + np.arange(5.0), W_b)
    plain, same = (quadratic_energy(pair_weights(x)) for x in (model, lifted))
    assert same.total == pytest.approx(plain.total, rel=1e-12)
    assert same.residual == pytest.approx(plain.residual, rel=1e-9)


def test_shifting_both_numbers_and_the_answer_changes_nothing():
    model = network(7, 5, 1)
    W_a, W_b = model.inputs
    W_out = np.roll(model.W_out[...], 5, axis=0)
    shifted = PairMLP(np.roll(W_a, 2, axis=1), W_out, np.roll(W_b, 3, axis=1))
    plain, same = (quadratic_energy(pair_weights(x)) for x in (model, shifted))
    np.testing.assert_allclose(same.class_means, plain.class_means, atol=1e-12)
    assert same.residual == pytest.approx(plain.residual, rel=1e-9)


def test_no_positive_gap_proves_nothing():
    nothing = PairMLP(np.ones((2, 3)), np.zeros((3, 2)))
    assert errors_by_weights(pair_weights(nothing)) == np.inf
