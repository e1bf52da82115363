"""Every metric: a value by hand, an independent computation, an invariance."""

import functools
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
from flax import nnx
from scipy.stats import ortho_group

from toylab.analysis import superposition as s
from toylab.analysis.shapes import orthogonal_sum, polygon, simplex, square_antiprism
from toylab.errors import ConfigError, ConfigTypeError

SQRT_HALF = math.sqrt(0.5)


def cos(degrees):
    return math.cos(math.radians(degrees))


def random_weights(seed=0, m=3, n=7):
    return np.random.default_rng(seed).normal(size=(m, n)).astype(np.float32)


def dimensionality_by_loops(W):
    """The definition, term by term in float64."""
    W = np.asarray(W, np.float64)
    n = W.shape[1]
    found = np.zeros(n)
    for i in range(n):
        length = math.sqrt(sum(x * x for x in W[:, i]))
        if length > 0:
            overlaps = [float(W[:, i] @ W[:, j]) / length for j in range(n)]
            found[i] = length**2 / sum(x * x for x in overlaps)
    return found


def interference_by_loops(W):
    W = np.asarray(W, np.float64)
    n = W.shape[1]
    found = np.zeros(n)
    for i in range(n):
        length = np.linalg.norm(W[:, i])
        if length > 0:
            found[i] = math.sqrt(sum((W[:, i] @ W[:, j] / length) ** 2 for j in range(n) if j != i))
    return found


def test_gram_and_interference_of_an_antipodal_pair():
    np.testing.assert_array_equal(s.gram([[1, -1]]), [[1, -1], [-1, 1]])
    np.testing.assert_array_equal(s.interference([[1, -1]]), [[0, -1], [-1, 0]])


def test_gram_and_interference_against_einsum():
    W = random_weights()
    expected = np.einsum("ki,kj->ij", W.astype(np.float64), W)
    np.testing.assert_allclose(s.gram(W), expected, atol=1e-5)
    np.fill_diagonal(expected, 0.0)
    np.testing.assert_allclose(s.interference(W), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("W", "expected"),
    [
        ([[1.0, -1.0]], 1.0),
        (polygon(3), math.sqrt(2 * cos(120) ** 2)),
        (polygon(4), 1.0),
        (polygon(5), math.sqrt(1.5)),
        (2 * polygon(3), 2 * SQRT_HALF),
        (np.eye(3), 0.0),
    ],
    ids=["digon", "triangle", "square", "pentagon", "large triangle", "basis"],
)
def test_feature_interference_by_hand(W, expected):
    np.testing.assert_allclose(s.feature_interference(W), expected, atol=1e-6)
    np.testing.assert_allclose(s.mean_interference(W), expected, atol=1e-6)


def test_feature_interference_against_loops():
    W = random_weights(1)
    W[:, 2] = 0.0
    np.testing.assert_allclose(s.feature_interference(W), interference_by_loops(W), rtol=1e-5)


def test_mean_interference_leaves_dropped_features_out():
    W = np.array([[1.0, -1.0, 0.4, 0.0]])
    # The third feature adds 0.4² to what the first two receive, and is not itself in the mean.
    assert float(s.mean_interference(W)) == pytest.approx(math.sqrt(1 + 0.16), rel=1e-6)
    assert float(s.mean_interference(W, threshold=0.3)) == pytest.approx(
        (2 * math.sqrt(1.16) + math.sqrt(2)) / 3, rel=1e-6
    )
    assert float(s.mean_interference(np.zeros((2, 3)))) == 0.0


@pytest.mark.parametrize(
    ("W", "expected"),
    [
        ([[1.0, -1.0]], 1 / 2),
        (polygon(3), 2 / 3),
        (simplex(3), 3 / 4),
        (polygon(5), 2 / 5),
        (polygon(6), 1 / 3),
        (square_antiprism(1 / math.sqrt(3)), 3 / 8),
        (np.eye(4), 1.0),
    ],
    ids=["digon", "triangle", "tetrahedron", "pentagon", "hexagon", "tight antiprism", "basis"],
)
def test_feature_dimensionality_of_the_named_clusters(W, expected):
    """The levels of TMS, "The geometry of superposition"."""
    np.testing.assert_allclose(s.feature_dimensionality(W), expected, rtol=1e-5)


def test_the_square_antiprism_is_nominally_three_eighths():
    """Only at height 1/√3 is it a tight frame; with equal edges the sum stays 2 % below 3."""
    z2 = 1 / (1 + 2 * math.sqrt(2))
    inverse = 8 * (z2 * z2 + (1 - z2) ** 2 / 2)  # uᵀFu with F = diag(4(1-z²), 4(1-z²), 8z²)
    D = np.asarray(s.feature_dimensionality(square_antiprism()))
    np.testing.assert_allclose(D, 1 / inverse, rtol=1e-5)
    assert 0.365 < 1 / inverse < 0.37


def test_feature_dimensionality_against_loops():
    W = random_weights(2)
    W[:, 4] = 0.0
    np.testing.assert_allclose(s.feature_dimensionality(W), dimensionality_by_loops(W), rtol=1e-5)


def test_capacity_is_the_formula_of_scherlis_et_al():
    W = random_weights(3).astype(np.float64)
    squares = (W.T @ W) ** 2
    np.testing.assert_allclose(s.capacity(W), np.diag(squares) / squares.sum(1), rtol=1e-5)


def test_dimensionality_stays_in_the_unit_interval_at_extreme_scales():
    W = np.array([[1e25, 1e-25, -1e25, 0.0], [1e25, 3.0, 1e25, 0.0]], np.float32)
    for scaled in (W, W * np.float32(1e-30), np.full((2, 3), 1e-38, np.float32)):
        D = np.asarray(s.feature_dimensionality(scaled))
        assert (D >= 0).all()
        assert (D <= 1).all()
        assert np.isfinite(s.feature_interference(scaled)).all()
        assert np.isfinite(s.coherence(scaled)).all()


@pytest.mark.parametrize("seed", range(20))
def test_dimensionalities_are_below_leverage_and_sum_to_at_most_the_rank(seed):
    generator = np.random.default_rng(seed)
    W = generator.normal(size=(6, 11)) * generator.uniform(0.1, 3, 11)
    W[:, generator.random(11) < 0.3] = 0.0
    W[generator.integers(1, 7) :] = 0.0
    W[:, 0] = 1.0
    W[-1] = W[0]  # a deficient rank
    D, ceiling = np.asarray(s.feature_dimensionality(W)), np.asarray(s.leverage(W))
    assert (ceiling + 1e-4 >= D).all()
    assert ceiling.sum() == pytest.approx(np.linalg.matrix_rank(W), abs=1e-4)
    assert D.sum() <= np.linalg.matrix_rank(W) + 1e-4


def test_leverage_against_the_pseudoinverse():
    W = random_weights(4).astype(np.float64)
    expected = np.diag(W.T @ scipy.linalg.pinvh(W @ W.T) @ W)
    np.testing.assert_allclose(s.leverage(W), expected, rtol=1e-4)
    np.testing.assert_allclose(s.leverage([[1, 2]]), [0.2, 0.8], rtol=1e-6)
    np.testing.assert_array_equal(s.leverage(np.zeros((2, 3))), np.zeros(3))


def test_orthogonal_tight_frames_use_every_dimension():
    W = orthogonal_sum(1.3 * polygon(3), 0.7 * simplex(1), 2 * simplex(3))
    np.testing.assert_allclose(s.feature_dimensionality(W), s.leverage(W), rtol=1e-5)
    assert float(s.feature_dimensionality(W).sum()) == pytest.approx(6, rel=1e-5)


def test_n_represented_counts_norms_above_the_threshold():
    W = [[1.0, 0.0, 0.5, 0.3], [0.0, -2.0, 0.0, 0.5]]
    assert np.asarray(s.represented(W)).tolist() == [True, True, False, True]
    assert int(s.n_represented(W)) == 3
    assert int(s.n_represented(W, threshold=0.0)) == 4
    assert int(s.n_represented(W, threshold=1.5)) == 1


def test_dims_per_feature_by_hand():
    assert float(s.dims_per_feature([[1, -1]])) == 0.5
    assert float(s.dims_per_feature(np.eye(4)[:, :3])) == pytest.approx(4 / 3)
    assert float(s.dims_per_feature(np.zeros((2, 2)))) == math.inf
    W = random_weights()
    assert float(s.dims_per_feature(W)) == pytest.approx(3 / np.linalg.norm(W) ** 2, rel=1e-5)


def test_padded_rows_need_the_true_size_in_dims_per_feature_alone():
    W = random_weights(5)
    padded = np.pad(W, ((0, 2), (0, 3)))
    assert float(s.dims_per_feature(padded, n_hidden=3)) == pytest.approx(
        float(s.dims_per_feature(W)), rel=1e-6
    )
    for metric in (s.feature_dimensionality, s.feature_interference, s.leverage):
        np.testing.assert_allclose(metric(padded)[:7], metric(W), rtol=1e-4)
        np.testing.assert_array_equal(metric(padded)[7:], 0.0)
    for metric in (s.mean_interference, s.frame_potential, s.n_represented):
        np.testing.assert_allclose(metric(padded), metric(W), rtol=1e-5)


def test_coherence_by_hand():
    np.testing.assert_allclose(s.coherence(polygon(3)), (0.5, 0.5), rtol=1e-6)
    pentagon = (cos(36) + cos(72)) / 2  # five pairs at 72°, five at 144°, whose |cos| is cos 36°
    np.testing.assert_allclose(s.coherence(polygon(5)), (pentagon, cos(36)), rtol=1e-6)
    np.testing.assert_allclose(s.feature_coherence(polygon(5)), cos(36), rtol=1e-6)


def test_coherence_against_pairs():
    W = random_weights(6).astype(np.float64)
    W[:, 3] *= 0.01
    kept = [W[:, i] / np.linalg.norm(W[:, i]) for i in range(7) if i != 3]
    pairs = [abs(u @ v) for u, v in itertools.combinations(kept, 2)]
    np.testing.assert_allclose(s.coherence(W), (np.mean(pairs), np.max(pairs)), rtol=1e-5)


@pytest.mark.parametrize("W", [np.zeros((2, 3)), np.eye(2)[:, :1], [[1.0, 0.1]]])
def test_coherence_of_fewer_than_two_features_is_zero(W):
    assert [float(x) for x in s.coherence(W)] == [0.0, 0.0]
    assert not np.asarray(s.feature_coherence(W)).any()


def test_frame_potential_by_hand_and_against_the_frame_operator():
    assert float(s.frame_potential(polygon(5))) == pytest.approx(12.5, rel=1e-6)
    assert float(s.frame_potential([[1.0, -3.0, 0.2]])) == pytest.approx(4.0)
    W = random_weights(7).astype(np.float64)
    unit = W / np.linalg.norm(W, axis=0)
    expected = np.linalg.norm(unit @ unit.T) ** 2
    assert float(s.frame_potential(W)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("seed", range(10))
def test_frame_potential_and_coherence_obey_their_bounds(seed):
    W = random_weights(seed, m=3, n=8)
    W /= np.linalg.norm(W, axis=0)
    assert float(s.frame_potential(W)) >= 8 * 8 / 3
    assert float(s.coherence(W).max) >= s.welch_bound(8, 3)
    rms = float(np.sqrt(np.square(s.feature_interference(W)).mean()))
    assert rms >= s.interference_floor(8, 3)


@pytest.mark.parametrize("m", range(1, 9))
def test_a_simplex_attains_the_welch_bound(m):
    assert s.welch_bound(m + 1, m) == pytest.approx(1 / m)
    assert float(s.coherence(simplex(m)).max) == pytest.approx(1 / m, rel=1e-5)


def test_welch_bound_by_hand():
    assert s.welch_bound(3, 2) == 0.5
    assert s.welch_bound(5, 2) == pytest.approx(math.sqrt(3 / 8))
    assert s.welch_bound(6, 3) == pytest.approx(math.sqrt(1 / 5))  # icosahedron's axes
    assert [s.welch_bound(n, 4) for n in (1, 2, 4)] == [0.0, 0.0, 0.0]


def test_interference_floor_is_attained_by_tight_frames():
    assert s.interference_floor(5, 2) == pytest.approx(math.sqrt(1.5))
    assert s.interference_floor(4, 3) == pytest.approx(math.sqrt(1 / 3))
    np.testing.assert_allclose(
        s.feature_interference(simplex(3)), s.interference_floor(4, 3), rtol=1e-5
    )
    assert s.interference_floor(3, 3) == s.interference_floor(1, 1) == 0.0


@pytest.mark.parametrize("bound", [s.welch_bound, s.interference_floor])
def test_bounds_refuse_what_is_not_a_count(bound):
    for arguments, error, text in (
        ((0, 2), ConfigError, "n_features=0: must be an integer >= 1"),
        ((5, -1), ConfigError, "n_hidden=-1: must be an integer >= 1"),
        ((5.0, 2), ConfigTypeError, "n_features=5.0: must be an int, got float"),
        ((5, True), ConfigTypeError, "n_hidden=True: must be an int, got bool"),
    ):
        with pytest.raises(error) as caught:
            bound(*arguments)
        assert str(caught.value) == text


def test_a_threshold_must_be_a_norm():
    with pytest.raises(ConfigError) as caught:
        s.n_represented([[1.0]], threshold=-1.0)
    assert str(caught.value) == "threshold=-1.0: must be in [0, inf]"
    with pytest.raises(ConfigError, match=r"^threshold=nan: must be finite and in \[0, inf\]$"):
        s.coherence([[1.0]], threshold=np.nan)


METRICS = [
    s.gram,
    s.interference,
    s.feature_interference,
    s.mean_interference,
    s.feature_dimensionality,
    s.capacity,
    s.leverage,
    s.represented,
    s.n_represented,
    s.dims_per_feature,
    s.feature_coherence,
    s.coherence,
    s.frame_potential,
]
PER_FEATURE = [
    s.feature_interference,
    s.feature_dimensionality,
    s.leverage,
    s.represented,
    s.feature_coherence,
]
SCALARS = [s.mean_interference, s.n_represented, s.dims_per_feature, s.coherence, s.frame_potential]


@pytest.mark.parametrize("metric", METRICS, ids=lambda f: f.__name__)
def test_rotating_the_hidden_space_changes_nothing(metric):
    W = random_weights(8)
    rotated = ortho_group.rvs(3, random_state=0) @ W
    jax.tree.map(
        functools.partial(np.testing.assert_allclose, atol=1e-4), metric(rotated), metric(W)
    )


@pytest.mark.parametrize("metric", PER_FEATURE, ids=lambda f: f.__name__)
def test_permuting_the_features_permutes_the_metric(metric):
    W, order = random_weights(9), np.random.default_rng(0).permutation(7)
    np.testing.assert_allclose(metric(W[:, order]), np.asarray(metric(W))[order], atol=1e-5)


@pytest.mark.parametrize("metric", SCALARS, ids=lambda f: f.__name__)
def test_permuting_the_features_changes_no_summary(metric):
    W, order = random_weights(10), np.random.default_rng(1).permutation(7)
    np.testing.assert_allclose(metric(W[:, order]), metric(W), rtol=1e-5)


@pytest.mark.parametrize("metric", METRICS, ids=lambda f: f.__name__)
def test_leading_axes_are_a_batch_and_traces_agree(metric):
    stack = np.stack([random_weights(i, 2, 4) for i in range(6)]).reshape(2, 3, 2, 4)
    one_by_one = jax.tree.map(
        lambda *leaves: np.stack(leaves).reshape(2, 3, *np.shape(leaves[0])),
        *[metric(W) for W in stack.reshape(6, 2, 4)],
    )
    for batched in (metric(stack), jax.jit(metric)(stack), jax.vmap(jax.vmap(metric))(stack)):
        jax.tree.map(functools.partial(np.testing.assert_allclose, atol=1e-5), batched, one_by_one)


@pytest.mark.parametrize("metric", METRICS, ids=lambda f: f.__name__)
def test_params_are_accepted_and_bad_weights_refused(metric):
    W = random_weights(11)
    jax.tree.map(np.testing.assert_array_equal, metric(nnx.Param(jnp.asarray(W))), metric(W))
    with pytest.raises(ConfigError, match=r"^W=float32\[3\]: must be a matrix"):
        metric(np.ones(3, np.float32))
    with pytest.raises(
        ConfigError, match=r"^W=float32\[1, 1\] with nan at \[0, 0\]: must be finite$"
    ):
        metric([[np.nan]])


@pytest.mark.parametrize(
    "W",
    [np.zeros((2, 3)), [[1.0, 0.0, -1.0], [0.0, 0.0, 0.0]], np.eye(2), [[2.0]]],
    ids=["zero", "digon and zero", "basis", "one"],
)
@pytest.mark.parametrize("metric", [*PER_FEATURE[:2], s.mean_interference, s.frame_potential])
def test_values_and_gradients_are_finite_at_degenerate_weights(metric, W):
    W = np.asarray(W, np.float32)
    assert np.isfinite(metric(W)).all()
    assert np.isfinite(jax.grad(lambda w: metric(w).sum())(W)).all()


@pytest.mark.parametrize("metric", [s.feature_dimensionality, s.feature_interference])
def test_gradients_against_finite_differences(metric):
    loops = {
        s.feature_dimensionality: dimensionality_by_loops,
        s.feature_interference: interference_by_loops,
    }[metric]
    W, step = random_weights(12, 2, 4).astype(np.float64), 1e-6
    expected = np.zeros_like(W)
    for at in np.ndindex(W.shape):
        shift = np.zeros_like(W)
        shift[at] = step
        expected[at] = (loops(W + shift)[0] - loops(W - shift)[0]) / (2 * step)
    np.testing.assert_allclose(
        jax.grad(lambda w: metric(w)[0])(W.astype(np.float32)), expected, atol=1e-4
    )
