"""The portrait of a model: hand values, an independent computation, and invariances."""

from __future__ import annotations

import numpy as np
import pytest

from toylab.analysis.portrait import edges, place, portrait, starts_near_best
from toylab.errors import ConfigError


def polygon(k: int, radius: float = 1.0) -> np.ndarray:
    turn = 2 * np.pi * np.arange(k) / k
    return radius * np.array([np.cos(turn), np.sin(turn)])


def test_a_pentagon_by_hand() -> None:
    seen = portrait(polygon(5), np.full(5, -0.25))
    assert seen.polytope.name == "pentagon"
    assert seen.n_represented == 5
    assert seen.dimensionality == pytest.approx([2 / 5] * 5, abs=1e-6)
    assert seen.interference == pytest.approx([np.sqrt(1.5)] * 5, abs=1e-6)
    assert seen.interference_floor == pytest.approx(np.sqrt(1.5))
    assert seen.coherence == pytest.approx([np.cos(np.pi / 5)] * 5, abs=1e-6)
    assert seen.welch == pytest.approx(np.sqrt(3 / 8))
    assert seen.bias.tolist() == [-0.25] * 5
    assert seen.gram[0, 1] == pytest.approx(np.cos(2 * np.pi / 5), abs=1e-6)
    assert {frozenset(pair) for pair in seen.edges} == {
        frozenset({i, (i + 1) % 5}) for i in range(5)}


def test_longer_vectors_interfere_more_and_so_does_their_bound() -> None:
    seen = portrait(polygon(5, radius=1.2), np.zeros(5))
    assert seen.interference == pytest.approx([1.2 * np.sqrt(1.5)] * 5, abs=1e-6)
    assert seen.interference_floor == pytest.approx(1.2 * np.sqrt(1.5))


def test_a_dropped_feature_counts_for_nothing_in_the_bounds() -> None:
    seen = portrait(np.array([[1.0, -1.0, 0.0]]), np.zeros(3))
    assert seen.represented.tolist() == [True, True, False]
    assert (seen.welch, seen.interference_floor) == (1.0, 1.0)
    assert seen.dimensionality.tolist() == [0.5, 0.5, 0.0]
    assert seen.edges == ()


@pytest.mark.parametrize(("m", "n"), [(1, 2), (2, 7), (3, 8), (8, 32), (9, 33)])
def test_measures_agree_with_plain_numpy_at_any_size(m: int, n: int) -> None:
    W = np.random.default_rng(m).normal(size=(m, n))
    seen, gram = portrait(W, np.zeros(n)), W.T @ W
    norm = np.sqrt(np.diag(gram))
    onto = (gram / norm[:, None]) ** 2
    assert seen.gram == pytest.approx(gram, abs=1e-4)
    assert seen.norm == pytest.approx(norm)
    assert seen.dimensionality == pytest.approx(norm**2 / onto.sum(1), abs=1e-5)
    assert seen.interference == pytest.approx(np.sqrt(onto.sum(1) - norm**2), rel=1e-4, abs=1e-4)


def test_places_keep_what_the_plane_can_hold() -> None:
    W = np.random.default_rng(0).normal(size=(2, 6))
    assert np.array_equal(place(W), np.column_stack([*W, np.zeros(6)]))
    assert np.array_equal(place(W[:1]), np.column_stack([W[0], np.zeros(6), np.zeros(6)]))


def test_three_dimensions_are_turned_and_not_bent() -> None:
    W = np.random.default_rng(1).normal(size=(3, 6))
    assert place(W) @ place(W).T == pytest.approx(W.T @ W)
    spread = np.abs(place(np.diag([3.0, 1.0, 1.0])))
    # The first axis stands apart, so it points up: no sideways part, raised by 0.45 rad.
    assert spread[0] == pytest.approx([0.0, 3 * np.cos(0.45), 3 * np.sin(0.45)], abs=1e-12)


def test_more_dimensions_are_shown_along_the_principal_plane() -> None:
    W = np.random.default_rng(2).normal(size=(5, 9))
    points = place(W)
    # No other plane holds a larger part of the columns than the two largest singular values.
    values = np.linalg.svd(W, compute_uv=False)
    assert np.sum(points[:, :2] ** 2) == pytest.approx(np.sum(values[:2] ** 2))
    assert not points[:, 2].any()


def test_edges_of_a_cube_and_of_too_little() -> None:
    corners = np.array(np.meshgrid([-1, 1], [-1, 1], [-1, 1])).reshape(3, 8)
    assert len(edges(corners)) == 12
    assert edges(np.eye(4)) == ()
    assert edges(np.eye(2)) == ()


def test_starts_near_the_best() -> None:
    assert starts_near_best([1.0, 1.005, 1.5, np.nan, np.inf]) == 2
    assert starts_near_best([1.0, 1.005, 1.5], tolerance=0.5) == 3
    assert starts_near_best([np.nan]) == 0


def test_a_stack_of_models_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        portrait(np.zeros((2, 2, 3)), np.zeros(3))
    assert str(caught.value) == (
        "W=float32[2, 2, 3]: must be one matrix [n_hidden, n_features], not a stack")
