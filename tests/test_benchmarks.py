"""The benchmark's scorer, held against closed forms and a second way to compute each number."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import phases, records, scoring

# Two features in one dimension, w = (1, -1) and b = 0: (1 + r) p^2 / 6 summed over features.
PAIR = np.array([[[1.0, -1.0]]])


@pytest.mark.parametrize(("p", "r"), [(1.0, 1.0), (0.3, 2.0), (0.01, 0.1)])
def test_quadrature_gives_the_closed_form_of_the_antipodal_pair(p: float, r: float) -> None:
    importance = np.array([1.0, r])
    found = scoring.quadrature_loss(PAIR, np.zeros((1, 2)), np.array([p]), importance)
    np.testing.assert_allclose(found, (1 + r) * p**2 / 12, rtol=1e-12)


@pytest.mark.parametrize("p", [1.0, 0.2])
def test_quadrature_gives_the_closed_form_of_a_dropped_feature(p: float) -> None:
    W, b = np.array([[[1.0, 0.0]]]), np.array([[0.0, p / 2]])
    found = scoring.quadrature_loss(W, b, np.array([p]), np.ones(2))
    np.testing.assert_allclose(found, (p / 3 - p**2 / 4) / 2, rtol=1e-12)


def test_quadrature_and_sample_agree_on_an_arbitrary_model() -> None:
    generator = np.random.default_rng(3)
    W, b = generator.normal(size=(3, 2, 4)) / 2, generator.normal(size=(3, 4)) / 4
    density, importance = np.array([0.9, 0.4, 0.1]), 0.8 ** np.arange(4)
    moments = scoring.sample_moments([(W, b)], density, importance, 200_000, seed=1)
    error = np.sqrt(moments.covariance[:, 0, 0] / moments.n_examples)
    exact = scoring.quadrature_loss(W, b, density, importance)
    assert np.all(np.abs(moments.mean[:, 0] - exact) < 3.5 * error)


def test_comparison_of_a_side_with_its_double_is_one_half_without_error() -> None:
    # Loss of b = s and W = 0 on zero inputs is s^2: sides 1 and sqrt(2) give the ratio 1/2 exactly.
    W = np.zeros((1, 1, 2))
    sides = [(W, np.ones((1, 2))), (W, np.full((1, 2), np.sqrt(2.0)))]
    moments = scoring.sample_moments(sides, np.zeros(1), np.ones(2), 1000, seed=0)
    found = scoring.compare(moments, 0, 1)
    np.testing.assert_allclose(found.ratio, 0.5, rtol=1e-6)
    np.testing.assert_allclose(found.ratio_error, 0.0, atol=1e-6)


def test_closed_forms_change_category_on_the_published_boundary() -> None:
    # r <= 1: superposed exactly where p < 4r / (2 + 5r); here r = 1/2, p = 4/9.
    p, r = np.array([4 / 9 - 1e-3, 4 / 9 + 1e-3]), np.full(2, 0.5)
    for n_features in (2, 3):
        found = phases.closed_form(n_features, p, r).category
        assert found.tolist() == [phases.SUPERPOSED, phases.IGNORED]
    # 3 -> 2 and r >= 1: pairing the first two costs p^2/9 of the mean up to p = 4/7.
    found = phases.closed_form(3, np.array([0.5]), np.array([3.0]))
    assert found.category.tolist() == [phases.OWN_DIMENSION]
    np.testing.assert_allclose(found.loss, 0.25 / 9)


def test_classify_names_the_three_arrangements() -> None:
    W = np.array(
        [
            [[1.0, 0.0, 0.1], [0.0, 1.0, 0.0]],
            [[1.0, -1.0, 0.0], [0.0, 0.0, 1.0]],
            [[1.0, 0.0, 0.0], [0.0, 1.0, -1.0]],
        ]
    )
    assert phases.classify(W).tolist() == [0, 1, 2]


def test_readme_holds_the_tables_of_the_committed_results() -> None:
    assert records.README.read_text() == records.report()
