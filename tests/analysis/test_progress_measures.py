"""Losses and ablations: by hand, by brute force over all pairs in float64, at extreme logits."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from toylab.analysis import progress_measures as pm
from toylab.errors import ConfigError, ConfigTypeError


def sums(p):
    n = np.arange(p)
    return (n[:, None] + n[None]) % p


def waves(p, *terms):
    """The sum of size * cos(w_k s) for (k, size)."""
    s = sums(p)[..., None] - np.arange(p)[None, None]
    return sum(size * np.cos(2 * np.pi * k * s / p) for k, size in terms)


def noisy(p, seed=0, size=1.0):
    generator = np.random.default_rng(seed)
    bias = 2 * generator.normal(size=p)[None, None]
    random = generator.normal(size=(p, p, p))
    return (waves(p, (1, 4.0), (3, 3.0)) + bias + size * random).astype(np.float32)


def exact_losses(rows, answers):
    """log(1 + sum over wrong c of exp(L_c - L_y)), row by row in float64."""
    found = []
    for row, y in zip(np.asarray(rows, np.float64), answers, strict=True):
        found.append(math.log1p(sum(math.exp(x - row[y]) for c, x in enumerate(row) if c != y)))
    return np.array(found)


def exact_score(L, answers=None, pairs=slice(None)):
    p = len(L)
    rows = np.asarray(L, np.float64).reshape(p * p, p)[pairs]
    right = (sums(p) if answers is None else answers).ravel()[pairs]
    return exact_losses(rows, right).mean(), (rows.argmax(1) == right).mean()


def projected(L, keys, t):
    """The key part by its definition: each wave over all p^2 pairs, one after the other."""
    p = len(t)
    flat = np.asarray(L, np.float64).reshape(p * p, p)
    found = np.zeros_like(flat)
    for k in keys:
        for u in (np.cos(2 * np.pi * k * t.ravel() / p), np.sin(2 * np.pi * k * t.ravel() / p)):
            found += np.outer(u, u @ flat) / (u @ u)
    return found.reshape(p, p, p)


def test_cross_entropy_by_hand():
    assert float(pm.cross_entropy([[0.0] * 5], [3])) == pytest.approx(math.log(5), rel=1e-6)
    found = pm.cross_entropies([[30, 0], [0, 0]], [0, 0])
    np.testing.assert_allclose(found, [9.3576e-14, math.log(2)], rtol=1e-4)
    assert float(pm.cross_entropy([[30, 0], [0, 0]], [0, 0])) == pytest.approx(math.log(2) / 2)


@pytest.mark.parametrize("lead", [0.0, 5.0, 17.0, 28.0, 60.0, 80.0, -40.0])
def test_cross_entropy_keeps_its_precision_at_extreme_logits(lead):
    generator = np.random.default_rng(0)
    rows, answers = generator.normal(size=(20, 113)), generator.integers(0, 113, 20)
    rows[np.arange(20), answers] += lead
    rows = rows.astype(np.float32)
    np.testing.assert_allclose(
        pm.cross_entropies(rows, answers), exact_losses(rows, answers), rtol=3e-5
    )


def test_the_usual_float32_form_is_zero_where_this_one_is_not():
    rows = np.array([[32.0] + [0.0] * 112], np.float32)
    expected = math.log1p(112 * math.exp(-32))  # 1.4e-12
    assert float(-jax.nn.log_softmax(rows)[0, 0]) == 0.0
    assert float(pm.cross_entropy(rows, [0])) == pytest.approx(expected, rel=1e-5)
    gradient = jax.grad(lambda x: pm.cross_entropy(x, np.array([0])))(rows)
    assert float(gradient[0, 0]) == pytest.approx(-expected, rel=1e-5)


def test_gradients_are_softmax_less_the_answer():
    rows = np.random.default_rng(1).normal(size=(3, 4)).astype(np.float32)
    answers = np.array([0, 3, 1])
    expected = (jax.nn.softmax(rows) - np.eye(4, dtype=np.float32)[answers]) / 3
    found = jax.grad(lambda x: pm.cross_entropy(x, answers))(rows)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_adding_a_constant_to_a_row_changes_no_loss():
    rows, answers = np.random.default_rng(2).normal(size=(6, 5)), np.arange(6) % 5
    np.testing.assert_allclose(
        pm.cross_entropies(rows + 7 * np.arange(6)[:, None], answers),
        pm.cross_entropies(rows, answers),
        rtol=1e-4,
    )


def test_score_by_hand_and_on_some_pairs():
    p = 5
    equal = pm.score(np.zeros((p, p, p)))
    assert float(equal.loss) == pytest.approx(math.log(p), rel=1e-6)
    assert float(equal.accuracy) == pytest.approx(1 / p)
    L, pairs = noisy(p, size=5.0), np.array([0, 7, 24, 3])
    np.testing.assert_allclose(pm.score(L), exact_score(L), rtol=1e-5)
    np.testing.assert_allclose(pm.score(L, pairs), exact_score(L, pairs=pairs), rtol=1e-5)
    minus = (np.arange(p)[:, None] - np.arange(p)[None]) % p
    np.testing.assert_allclose(pm.score(L, answers=minus), exact_score(L, minus), rtol=1e-5)


@pytest.mark.parametrize(("p", "keys"), [(11, [1, 3]), (11, [2]), (8, [1, 3])])
def test_restricted_and_excluded_loss_against_their_definitions(p, keys):
    L, pairs = noisy(p), np.random.default_rng(3).permutation(p * p)[: p * p // 3]
    C = projected(L, keys, sums(p))
    mean = L.mean((0, 1), dtype=np.float64)[None, None]
    restricted, excluded = pm.restricted_loss(L, keys), pm.excluded_loss(L, keys, pairs)
    assert float(restricted) == pytest.approx(exact_score(C + mean)[0], rel=1e-4)
    assert float(excluded) == pytest.approx(exact_score(L - C, pairs=pairs)[0], rel=1e-4)


def test_losses_of_another_operation_against_their_definitions():
    p, n = 7, np.arange(7)
    times = n[:, None] * n[None] % p
    L, pairs = noisy(p, seed=4), np.arange(0, 49, 3)
    C, mean = projected(L, [1, 2], times), L.mean((0, 1), dtype=np.float64)[None, None]
    assert float(pm.restricted_loss(L, [1, 2], times)) == pytest.approx(
        exact_score(C + mean, times)[0], rel=1e-4
    )
    assert float(pm.excluded_loss(L, [1, 2], pairs, times)) == pytest.approx(
        exact_score(L - C, times, pairs)[0], rel=1e-4
    )


def test_losses_by_hand():
    p = 7
    L = waves(p, (1, 9.0))
    assert float(pm.excluded_loss(L, [1], [0, 5])) == pytest.approx(math.log(p), rel=1e-5)
    assert float(pm.restricted_loss(L, [2])) == pytest.approx(math.log(p), rel=1e-5)
    n = np.arange(p)
    one = 9 * np.cos(2 * np.pi * n / p)
    expected = math.log1p(np.exp(one[1:] - one[0]).sum())
    difference = 4 * np.cos(2 * np.pi * (n[:, None] - n[None]) / p)[..., None] * n[None, None]
    # The wave of a - b is no part of what is kept.
    assert float(pm.restricted_loss(L + difference, [1])) == pytest.approx(expected, rel=1e-4)


def test_without_keys_only_the_bias_is_left_and_nothing_is_excluded():
    p, pairs = 9, np.arange(20)
    L = noisy(p, seed=5)
    bias = np.broadcast_to(L.mean((0, 1)), L.shape)
    assert float(pm.restricted_loss(L, [])) == pytest.approx(exact_score(bias)[0], rel=1e-5)
    assert float(pm.excluded_loss(L, [], pairs)) == pytest.approx(
        exact_score(L, pairs=pairs)[0], rel=1e-5
    )


def test_the_bias_of_outputs_matters_to_the_restricted_loss():
    """A network may rely on a bias that its waves undo: without it nothing is right."""
    p = 7
    bias = 20 * np.cos(2 * np.pi * np.arange(p) / p)[None, None]
    L = waves(p, (1, 9.0)) + bias
    without = exact_score(projected(L, [1], sums(p)))[0]
    assert float(pm.restricted_loss(L, [1])) == pytest.approx(exact_score(L)[0], rel=1e-4)
    assert without < 1 < exact_score(L)[0]


def test_one_value_for_each_frequency():
    p, pairs = 9, np.arange(0, 81, 2)
    L = noisy(p)
    each = jax.vmap(lambda mask: pm.excluded_loss(L, mask, pairs))(jnp.eye(4))
    expected = [float(pm.excluded_loss(L, [k], pairs)) for k in (1, 2, 3, 4)]
    np.testing.assert_allclose(each, expected, rtol=1e-5)


@pytest.mark.parametrize("pairs", [None, np.arange(0, 121, 4)])
def test_ablations_against_brute_force(pairs):
    p, keys = 11, [3, 1]
    L = noisy(p, size=2.0)
    chosen = slice(None) if pairs is None else pairs
    found = pm.ablations(L, keys, pairs)
    C = {k: projected(L, [k], sums(p)) for k in keys}
    mean = L.mean((0, 1), dtype=np.float64)[None, None]
    score = functools.partial(exact_score, pairs=chosen)
    np.testing.assert_allclose(found.intact, score(L), rtol=1e-4)
    each = np.array([score(L - C[k]) for k in keys]).T
    np.testing.assert_allclose(found.without_each, each, rtol=1e-4)
    np.testing.assert_allclose(found.without_all, score(L - C[1] - C[3]), rtol=1e-4)
    np.testing.assert_allclose(found.only_key, score(C[1] + C[3] + mean), rtol=1e-4)
    centred = L - mean
    amplitude = {k: 2 * np.vdot(centred, waves(p, (k, 1.0))) / p**3 for k in keys}
    np.testing.assert_allclose(found.only_cosines, score(waves(p, *amplitude.items())), rtol=1e-4)


def test_ablations_of_a_pure_wave_by_hand():
    p = 7
    found = pm.ablations(waves(p, (2, 9.0)), [2])
    assert float(found.without_all.loss) == pytest.approx(math.log(p), rel=1e-4)
    assert float(found.without_each.loss[0]) == pytest.approx(math.log(p), rel=1e-4)
    for kept in (found.only_key, found.only_cosines):
        np.testing.assert_allclose(kept, found.intact, rtol=1e-4)
    assert float(found.intact.accuracy) == 1.0


def test_ablations_agree_with_the_progress_measures():
    p = 9
    L, pairs = noisy(p, seed=6), np.arange(1, 81, 5)
    assert float(pm.ablations(L, [1, 3]).only_key.loss) == pytest.approx(
        float(pm.restricted_loss(L, [1, 3])), rel=1e-5
    )
    assert float(pm.ablations(L, [1, 3], pairs).without_all.loss) == pytest.approx(
        float(pm.excluded_loss(L, [1, 3], pairs)), rel=1e-5
    )


def test_ablations_without_keys_change_nothing_but_what_is_kept():
    p = 5
    L = noisy(p)
    found = pm.ablations(L, [])
    np.testing.assert_allclose(found.without_all, found.intact)
    assert found.without_each.loss.shape == (0,)
    assert float(found.only_cosines.loss) == pytest.approx(math.log(p), rel=1e-5)


def test_a_table_learned_by_heart_does_not_need_its_keys():
    p, generator = 23, np.random.default_rng(7)
    train = generator.permutation(p * p)[:160]
    L = generator.normal(size=(p * p, p))
    L[train, sums(p).ravel()[train]] += 12
    L = L.reshape(p, p, p)
    assert float(pm.score(L, train).loss) < 0.01
    assert float(pm.excluded_loss(L, [1, 5], train)) < 0.5
    assert float(pm.excluded_loss(waves(p, (1, 20.0), (5, 20.0)), [1, 5], train)) > 3


MEASURES = [
    lambda L: pm.restricted_loss(L, [1, 3]),
    lambda L: pm.excluded_loss(L, [1, 3], [0, 5, 8]),
    lambda L: pm.restricted_loss(L, np.array([True, False, True])),
    lambda L: pm.excluded_loss(L, np.array([1.0, 0.0, 1.0]), [0, 5, 8]),
    pm.score,
    lambda L: pm.ablations(L, [1, 3]),
]


@pytest.mark.parametrize("measure", MEASURES)
def test_snapshots_are_a_vmap_and_traces_agree(measure):
    stack = np.stack([noisy(7, seed) for seed in (0, 1)])
    one_by_one = jax.tree.map(lambda *leaves: np.stack(leaves), *[measure(L) for L in stack])
    close = functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5)
    jax.tree.map(close, jax.vmap(measure)(stack), one_by_one)
    jax.tree.map(lambda got, want: close(got, want[1]), jax.jit(measure)(stack[1]), one_by_one)


@pytest.mark.parametrize("p", [5, 8])
def test_documented_shapes(p):
    cube = jax.ShapeDtypeStruct((p, p, p), jnp.float32)
    found = jax.eval_shape(lambda L: pm.ablations(L, [1, 2]), cube)
    assert [leaf.shape for leaf in jax.tree.leaves(found)] == [(), (), (2,), (2,)] + [()] * 6
    rows = jax.ShapeDtypeStruct((p, 3), jnp.float32)
    assert jax.eval_shape(lambda x: pm.cross_entropies(x, np.zeros(p, int)), rows).shape == (p,)


L5 = np.zeros((5, 5, 5), np.float32)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (
            lambda: pm.cross_entropy(L5[0, 0], [0]),
            ConfigError,
            "logits=float32[5]: must have the shape [n, c] with c >= 1, n >= 1",
        ),
        (
            lambda: pm.cross_entropy(L5[0], [0, 1]),
            ConfigError,
            "answers=int32[2]: must have the shape [5]",
        ),
        (
            lambda: pm.cross_entropy(L5[0], [0, 1, 2, 5, 0]),
            ConfigError,
            "answers[3]=5: must be an integer in 0..4",
        ),
        (
            lambda: pm.excluded_loss(L5, [1], [25]),
            ConfigError,
            "pairs[0]=25: must be an integer in 0..24",
        ),
        (
            lambda: pm.excluded_loss(L5, [1], []),
            ConfigError,
            "pairs=[]: must hold at least one pair number a * p + b",
        ),
        (
            lambda: pm.restricted_loss(L5, [3]),
            ConfigError,
            "keys[0]=3: must be an integer in 1..2",
        ),
        (
            lambda: pm.ablations(L5, np.array([True, False])),
            ConfigTypeError,
            "keys=bool[2]: must be an array of integers",
        ),
    ],
)
def test_bad_input_is_refused(call, error, text):
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == text
