"""Moments and energy of a table's residual against a loop over pairs in rational numbers."""

from fractions import Fraction

import numpy as np
import pytest

from toylab.analysis.certificate_forward import Row
from toylab.analysis.certificate_spectral import (
    Aligned,
    align,
    class_gaps,
    energy_errors,
    errors_by_energy,
    errors_by_moments,
    residual_energy,
)
from toylab.data.modular import answers


def table(p, noise, seed, error=0.0):
    """Aligned logits: cosines of s and noise."""
    draw = np.random.default_rng(seed)
    waves = sum(np.cos(2 * np.pi * k * np.arange(p) / p) for k in (1, 2))
    return Aligned(waves + noise * draw.normal(size=(p, p, p)), np.full((p, p), error))


def slowly(aligned, order):
    """The two sums, as they are defined, for the exact class means of the stored numbers."""
    p = len(aligned.logits)
    logits = np.array([Fraction(x) for x in aligned.logits.ravel().tolist()], object)
    logits = logits.reshape(p, p, p)
    logits = logits - (logits.sum(-1) / p)[..., None]
    g = logits.sum((0, 1)) / p**2
    residual = logits - g
    gaps = [g[0] - g[s] for s in range(1, p)]
    moments = sum(
        (max(Fraction(0), residual[a, b, s] - residual[a, b, 0]) / gaps[s - 1]) ** order
        for a, b in np.ndindex(p, p)
        for s in range(1, p)
    )
    energy = (residual * residual).sum()
    return float(moments), float(energy), float(2 * energy / min(gaps) ** 2)


@pytest.mark.parametrize("order", [1, 2, 4, 8])
@pytest.mark.parametrize(("p", "noise"), [(5, 0.3), (6, 0.1), (7, 1e-7), (7, 3e-16), (7, 0.8)])
def test_bounds_are_the_definitions(order, p, noise):
    aligned = table(p, noise, seed=order)
    moments, energy, errors = slowly(aligned, order)
    found = errors_by_moments(aligned, order)
    assert found.errors == pytest.approx(moments, rel=2e-6, abs=1e-12)
    assert found.errors >= moments
    assert residual_energy(aligned) == pytest.approx(energy, rel=1e-5, abs=1e-12)
    assert residual_energy(aligned) >= energy
    assert errors_by_energy(aligned) == pytest.approx(errors, rel=1e-5, abs=1e-12)
    assert errors_by_energy(aligned) >= errors


def test_largest_ratio_is_the_limit_of_high_orders():
    aligned = table(7, 0.3, seed=0)
    found = errors_by_moments(aligned, 64)
    assert found.largest_ratio == pytest.approx(found.errors ** (1 / 64), rel=0.1)
    wrong = (aligned.logits[..., 0] <= aligned.logits[..., 1:].max(-1)).any()
    assert wrong == (found.largest_ratio >= 1)
    assert found.least_gap == pytest.approx(class_gaps(aligned).min())


def test_a_doubt_of_every_logit_is_in_the_numerator_twice():
    plain, doubted = (errors_by_moments(table(5, 0, 0, error), 1) for error in (0.0, 0.01))
    gaps = class_gaps(table(5, 0, 0))
    assert plain.errors < 1e-11
    assert doubted.errors == pytest.approx((0.02 / gaps).sum() * 25, rel=1e-5)


def test_align_puts_the_answer_first():
    right = answers("quadratic", 5)
    rows = [Row(np.tile(np.arange(5.0), (5, 1)), np.zeros(5)) for _ in range(5)]
    aligned = align(rows, right)
    for s in range(5):
        np.testing.assert_array_equal(aligned.logits[..., s], (right - s) % 5)


@pytest.mark.parametrize("n_rows", [2, 4])
def test_align_takes_a_whole_table_and_no_more(n_rows):
    rows = [Row(np.zeros((3, 3)), np.zeros(3))] * n_rows
    with pytest.raises(ValueError, match="zip"):
        align(rows, answers("add", 3))


@pytest.mark.parametrize("gap", [0.0, -1.0, -1e30, 1e-200, float("nan")])
def test_a_gap_that_is_not_positive_proves_nothing(gap):
    assert energy_errors(0.0, gap) == np.inf


def test_flat_and_reversed_tables_prove_nothing():
    for logits in (np.zeros((3, 3, 3)), np.tile([-1.0, 0, 0], (3, 3, 1))):
        aligned = Aligned(logits, np.zeros((3, 3)))
        assert errors_by_moments(aligned, 2).errors == np.inf
        assert errors_by_moments(aligned, 2).largest_ratio == np.inf
        assert errors_by_energy(aligned) == np.inf


def test_one_gap_that_is_not_positive_is_enough():
    aligned = Aligned(np.tile([1.0, 0, 1], (3, 3, 1)), np.zeros((3, 3)))
    assert errors_by_moments(aligned, 2) == (np.inf, 0.0, np.inf)


def test_an_overflow_proves_nothing():
    logits = np.tile([1e-90, 0, 0], (3, 3, 1))
    logits[0, 0] = [0, 1e90, 0]
    logits[1, 0] = [1e90 + 1e80, 0, 1e90]
    aligned = Aligned(logits * 1e80, np.zeros((3, 3)))
    for errors in (errors_by_moments(aligned, 64).errors, errors_by_energy(aligned)):
        assert not errors < 9
