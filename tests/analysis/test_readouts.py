"""Readouts of neurons along the waves of the outputs: by hand, least squares, symmetries."""

import jax
import numpy as np
import pytest

from toylab.analysis.readouts import readouts
from toylab.errors import ConfigError


def wave(k, x, p, shift=0.0):
    return np.cos(2 * np.pi * k * x / p + shift)


def sums(p):
    n = np.arange(p)
    return (n[:, None] + n[None]) % p


def random_case(seed, p, d_mlp):
    generator = np.random.default_rng(seed)
    W_L = generator.normal(size=(p, d_mlp))
    return W_L, np.maximum(generator.normal(size=(p, p, d_mlp)), 0)


def test_one_neuron_by_hand():
    p, n = 11, np.arange(11)
    found = readouts(wave(1, n, p)[:, None], wave(1, sums(p), p)[..., None], [1])
    assert float(found.cosine.coefficient[0]) == pytest.approx((p / 2) ** 0.5, rel=1e-5)
    assert float(found.cosine.fve[0]) == pytest.approx(1, rel=1e-5)
    assert float(found.sine.coefficient[0]) == pytest.approx(0, abs=1e-5)
    np.testing.assert_allclose(
        found.cosine.values[0], (p / 2) ** 0.5 * wave(1, sums(p), p), atol=1e-5
    )


def test_a_clock_has_equal_cosine_and_sine_coefficients():
    """Neurons cos, sin w_k(a + b) that write cos, sin w_k c: the logits are 5 cos w_k(a+b-c)."""
    p, k, n = 13, 4, np.arange(13)
    W_L = 5 * np.stack([wave(k, n, p), wave(k, n, p, -np.pi / 2)], axis=1)
    neurons = np.stack([wave(k, sums(p), p), wave(k, sums(p), p, -np.pi / 2)], axis=2)
    found = readouts(W_L, neurons + 2.0, [k])
    for readout in found:
        assert float(readout.coefficient[0]) == pytest.approx(5 * (p / 2) ** 0.5, rel=1e-5)
        assert float(readout.fve[0]) == pytest.approx(1, rel=1e-5)


@pytest.mark.parametrize("p", [9, 10])
def test_readouts_against_least_squares(p):
    W_L, neurons = random_case(0, p, 6)
    found = readouts(W_L, neurons, [3, 1])
    for place, k in enumerate((3, 1)):
        for readout, shift in ((found.cosine, 0.0), (found.sine, -np.pi / 2)):
            direction = wave(k, np.arange(p), p, shift) * np.sqrt(2 / p) @ W_L
            values = neurons @ direction
            values = (values - values.mean()).ravel()
            term = wave(k, sums(p), p, shift).ravel()
            fit, left, *_ = np.linalg.lstsq(term[:, None], values, rcond=None)
            assert float(readout.coefficient[place]) == pytest.approx(fit[0], rel=1e-3, abs=1e-5)
            explained = 1 - left[0] / (values @ values)
            assert float(readout.fve[place]) == pytest.approx(explained, rel=1e-3, abs=1e-6)
            np.testing.assert_allclose(readout.values[place].ravel(), values, atol=1e-4)


def test_readouts_compare_with_the_waves_of_the_given_answers():
    p, n = 7, np.arange(7)
    minus = (n[:, None] - n[None]) % p
    found = readouts(wave(2, n, p)[:, None], wave(2, minus, p)[..., None], [2], minus)
    assert float(found.cosine.fve[0]) == pytest.approx(1, rel=1e-5)


def test_order_and_scale_of_neurons_do_not_matter():
    W_L, neurons = random_case(1, 7, 5)
    order, scale = [3, 0, 4, 1, 2], np.array([1.0, 2.0, 0.5, 4.0, 1.0])
    before = readouts(W_L, neurons, [1, 2])
    after = readouts(W_L[:, order] / scale[None], neurons[:, :, order] * scale[None, None], [1, 2])
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-3, atol=1e-4), after, before)


def test_shapes_follow_the_keys_and_dead_neurons_have_no_share():
    W_L, neurons = random_case(2, 7, 5)
    for keys in (2, [1, 3], [[1], [2]]):
        found = readouts(W_L, neurons, keys)
        assert found.cosine.fve.shape == np.shape(keys)
        assert found.sine.values.shape == (*np.shape(keys), 7, 7)
    dead = readouts(W_L, 0 * neurons, 2)
    assert float(dead.cosine.fve) == float(dead.cosine.coefficient) == 0.0
    traced = jax.jit(readouts)(W_L, neurons, np.array(2))
    np.testing.assert_allclose(traced.cosine.fve, readouts(W_L, neurons, 2).cosine.fve, rtol=1e-5)
    snapshots = jax.vmap(lambda W, N: readouts(W, N, [2]))(W_L[None], neurons[None])
    assert snapshots.sine.fve.shape == (1, 1)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda W, N, k: (W[0], N, k), "W_L=float32[5]: must have the shape [p, d_mlp] with d_mlp"),
        (lambda W, N, k: (W, N[:6], k), "neurons=float32[6, 7, 5]: must have the shape [7, 7, 5]"),
        (lambda W, N, k: (W, N, [4]), "keys[0]=4: must be an integer in 1..3"),
        (lambda W, N, k: (W, N, 0), "keys=0: must be an integer in 1..3"),
    ],
)
def test_bad_input_is_refused(change, text):
    with pytest.raises(ConfigError) as caught:
        readouts(*change(*random_case(3, 7, 5), [1]))
    assert str(caught.value).startswith(text)
