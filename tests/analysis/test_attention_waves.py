"""Attention with planted waves, least squares on sampled cosines in float64, and symmetries."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from toylab.analysis.attention_waves import attention_waves, linear_attention
from toylab.errors import ConfigError


def wave(k, p, phase=0.0):
    return np.cos(2 * np.pi * k * np.arange(p) / p + phase)


def of_a(k, p, phase=0.0):
    return np.broadcast_to(wave(k, p, phase)[:, None], (p, p))


def of_b(k, p, phase=0.0):
    return of_a(k, p, phase).T


def pattern_of(*to_a, self_weight=0.0):
    """Attention that gives '=' a constant weight and b the rest."""
    weights = np.stack(to_a, axis=-1)
    rest = np.full_like(weights, self_weight)
    return np.stack([weights, 1 - weights - rest, rest], axis=-1).astype(np.float32)


def softmax_pattern(seed=0, p=9, n_heads=3):
    """Scores of a, of b and of '=' as in a transformer whose query is one vector."""
    generator = np.random.default_rng(seed)
    scores = generator.normal(size=(2, p, n_heads))
    of_is = np.broadcast_to(generator.normal(size=n_heads), (p, p, n_heads))
    a, b = np.broadcast_to(scores[0][:, None], of_is.shape), np.broadcast_to(scores[1], of_is.shape)
    odds = np.exp(np.stack([a, b, of_is], axis=-1))
    return (odds / odds.sum(-1, keepdims=True)).astype(np.float32)


def linear_fit(H, keys):
    """The least-squares fit of H [p, p] by a constant and four sampled waves a key."""
    p = len(H)
    phases = (0.0, -np.pi / 2)
    terms = [np.ones((p, p))] + [f(k, p, t) for k in keys for t in phases for f in (of_a, of_b)]
    design = np.stack([term.reshape(-1) for term in terms], axis=1)
    values = H.astype(np.float64).reshape(-1)
    return (design @ np.linalg.lstsq(design, values, rcond=None)[0]).reshape(p, p)


def test_shares_by_hand():
    p = 11
    both = 0.5 + 0.2 * of_a(1, p) - 0.1 * of_b(2, p, 0.4)
    published = 0.5 + 0.3 * (of_a(4, p) - of_b(4, p)) + 0.1 * (of_a(4, p, 1.0) - of_b(4, p, 1.0))
    product = 0.5 + 0.2 * of_a(3, p) + 0.2 * of_a(3, p) * of_b(3, p)
    still = np.full((p, p), 0.3)
    waves = attention_waves(pattern_of(both, published, product, still, self_weight=0.02), [2, 3])
    assert waves.frequency.tolist() == [1, 4, 3, 0]
    assert waves.frequency.dtype == jnp.int32
    np.testing.assert_allclose(waves.share[0], [4 / 5, 1 / 5, 0, 0, 0], atol=1e-5)
    np.testing.assert_allclose(waves.best_share, [4 / 5, 1, 2 / 3, 0], atol=1e-5)
    np.testing.assert_allclose(waves.key_share, [1 / 5, 0, 2 / 3, 0], atol=1e-5)
    np.testing.assert_allclose(waves.self_weight, [0.02] * 4, rtol=1e-5)


@pytest.mark.parametrize("p", [3, 4, 9, 10])
def test_shares_against_least_squares(p):
    pattern = softmax_pattern(1, p)
    K = (p - 1) // 2
    keys = [1, K]
    waves = attention_waves(pattern, keys)
    for head in range(3):
        H = pattern[..., head, 0].astype(np.float64)
        alone = [np.var(linear_fit(H, [k])) / np.var(H) for k in range(1, K + 1)]
        np.testing.assert_allclose(waves.share[head], alone, rtol=1e-4)
        assert int(waves.frequency[head]) == 1 + int(np.argmax(alone))
        together = np.var(linear_fit(H, sorted(set(keys)))) / np.var(H)
        assert float(waves.key_share[head]) == pytest.approx(together, rel=1e-4)
        assert float(waves.self_weight[head]) == pytest.approx(pattern[..., head, 2].mean())


def test_two_of_three_weights_determine_the_third_and_carry_the_same_waves():
    """With a constant weight on '=', attention to b is a constant less attention to a."""
    p = 9
    to_a = 0.5 + 0.1 * np.random.default_rng(2).normal(size=(p, p))
    pattern = pattern_of(to_a, self_weight=0.01)
    one, other = attention_waves(pattern, [1]), attention_waves(pattern[..., [1, 0, 2]], [1])
    np.testing.assert_allclose(one.share, other.share, rtol=1e-4)


@pytest.mark.parametrize("shift", [(4, 0), (2, 7)])
def test_shifting_or_swapping_the_numbers_changes_nothing(shift):
    pattern = softmax_pattern(3)
    waves = attention_waves(pattern, [1, 4])
    for moved in (np.roll(pattern, shift, axis=(0, 1)), pattern.transpose(1, 0, 2, 3)):
        found = attention_waves(moved, [1, 4])
        np.testing.assert_array_equal(found.frequency, waves.frequency)
        for field in ("share", "best_share", "key_share", "self_weight"):
            np.testing.assert_allclose(getattr(found, field), getattr(waves, field), rtol=1e-4)


def test_permuting_the_heads_permutes_the_results():
    pattern, order = softmax_pattern(4), [2, 0, 1]
    waves, found = attention_waves(pattern, [2]), attention_waves(pattern[:, :, order], [2])
    expected = jax.tree.map(lambda x: x[jnp.array(order)], waves)
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-5), found, expected)


def test_linear_attention_by_hand():
    p = 7
    plain = 0.5 + 0.2 * of_a(1, p) + 0.05 * of_b(3, p, 0.6)
    pattern = pattern_of(plain + 0.1 * of_a(1, p) * of_b(1, p))
    np.testing.assert_allclose(linear_attention(pattern, [1, 3])[..., 0], plain, atol=1e-6)
    expected = 0.5 + 0.2 * of_a(1, p)
    np.testing.assert_allclose(linear_attention(pattern, [1])[..., 0], expected, atol=1e-6)
    np.testing.assert_allclose(linear_attention(pattern, [])[..., 0], 0.5, atol=1e-6)


@pytest.mark.parametrize("p", [9, 10])
def test_linear_attention_against_least_squares(p):
    pattern = softmax_pattern(5, p)
    found = linear_attention(pattern, [1, 3])
    for head in range(3):
        np.testing.assert_allclose(
            found[..., head], linear_fit(pattern[..., head, 0], [1, 3]), atol=1e-6
        )


def test_what_linear_attention_leaves_is_what_the_key_share_lacks():
    pattern = softmax_pattern(6)
    to_a, left = pattern[..., 0], pattern[..., 0] - linear_attention(pattern, [2, 4])
    lacking = left.var((0, 1)) / to_a.var((0, 1))
    np.testing.assert_allclose(1 - attention_waves(pattern, [2, 4]).key_share, lacking, rtol=1e-4)


@pytest.mark.parametrize("call", [attention_waves, linear_attention])
def test_keys_come_as_numbers_or_mask_and_traces_agree(call):
    batch = np.stack([softmax_pattern(seed) for seed in (7, 8)])
    single = jax.tree.map(lambda *x: np.stack(x), *[call(x, [1, 3]) for x in batch])
    close = functools.partial(np.testing.assert_allclose, atol=1e-6)
    for keys in ([3, 1, 1], np.array([True, False, True, False]), jnp.array([1.0, 0, 1, 0])):
        jax.tree.map(close, jax.jit(jax.vmap(call, (0, None)))(batch, keys), single)


@pytest.mark.parametrize("call", [attention_waves, linear_attention])
@pytest.mark.parametrize(
    ("pattern", "keys", "text"),
    [
        (
            np.ones((3, 3, 2), np.float32),
            [1],
            "pattern=float32[3, 3, 2]: must have the shape [p, p, n_heads, 3] "
            "with n_heads >= 1, p >= 1",
        ),
        (np.ones((2, 2, 1, 3)), [1], "p=2: must be an integer >= 3"),
        (np.ones((5, 5, 1, 3)), [1, 3], "keys[1]=3: must be an integer in 1..2"),
    ],
)
def test_bad_input_is_named(call, pattern, keys, text):
    with pytest.raises(ConfigError) as caught:
        call(pattern, keys)
    assert str(caught.value) == text
