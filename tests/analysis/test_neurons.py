"""Neurons with planted waves, least squares on sampled cosines in float64, and symmetries."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from toylab.analysis import neurons as n
from toylab.errors import ConfigError, ConfigTypeError


def wave(k, p, phase=0.0):
    return np.cos(2 * np.pi * k * np.arange(p) / p + phase)


def of_a(k, p, phase=0.0):
    return np.broadcast_to(wave(k, p, phase)[:, None], (p, p))


def of_b(k, p, phase=0.0):
    return of_a(k, p, phase).T


def stack(*tables):
    return np.stack(tables, axis=-1).astype(np.float32)


def relu_neurons(seed=0, p=11, m=6):
    """ReLU of a random function of a plus one of b."""
    generator = np.random.default_rng(seed)
    a, b = generator.normal(size=(2, p, m))
    return np.maximum(a[:, None] + b[None], 0).astype(np.float32)


def columns_of(k, p):
    """The 9 terms as [p * p, 9] in float64: cosines and sines sampled, no basis shared."""
    ones = np.ones((p, p))
    a = [ones, of_a(k, p), of_a(k, p, -np.pi / 2)]
    b = [ones, of_b(k, p), of_b(k, p, -np.pi / 2)]
    return np.stack([(x * y).reshape(-1) for x in a for y in b], axis=1)


def fitted(neuron, k):
    p = len(neuron)
    terms, values = columns_of(k, p), neuron.astype(np.float64).reshape(-1)
    return (terms @ np.linalg.lstsq(terms, values, rcond=None)[0]).reshape(p, p)


def fit_by_least_squares(neurons):
    """Frequency and share of each neuron: the best of K regressions on the 9 terms."""
    p, _, m = neurons.shape
    found = []
    for i in range(m):
        H = neurons[..., i].astype(np.float64)
        energies = [np.var(fitted(H, k)) for k in range(1, (p - 1) // 2 + 1)]
        dead = not H.any()
        found.append((0, 0.0) if dead else (1 + np.argmax(energies), max(energies) / np.var(H)))
    return tuple(np.array(x) for x in zip(*found, strict=True))


def folded(k, p):
    return min(k % p, p - k % p)


def test_a_neuron_of_one_frequency_has_share_one():
    p = 13
    fit = n.neuron_frequencies(
        stack(
            of_a(2, p, 0.3) + of_b(2, p, 1.1),
            7 + of_a(5, p, 0.3) * of_b(5, p, -2.0),
            1e-3 * (of_a(6, p) - 2 * of_a(6, p, 1.0) * of_b(6, p) + 0.5 * of_b(6, p, 2.0)) - 1,
            of_a(1, p),
        )
    )
    assert fit.frequency.tolist() == [2, 5, 6, 1]
    np.testing.assert_allclose(fit.share, 1, atol=1e-5)
    assert (fit.share <= 1).all()


@pytest.mark.parametrize(("p", "expected"), [(3, 1.0), (5, 0.8), (13, 0.8)])
def test_a_squaring_neuron_has_share_four_fifths(p, expected):
    """(cos x + cos y)² = 1 + (cos 2x + cos 2y)/2 + 2 cos x cos y: energies 1/8, 1/8 and 1."""
    fit = n.neuron_frequencies(stack((of_a(1, p, 0.3) + of_b(1, p, 1.1)) ** 2))
    assert fit.frequency.tolist() == [1]
    np.testing.assert_allclose(fit.share, expected, rtol=1e-5)


def test_a_mixture_has_the_share_of_its_energies():
    """A linear wave of amplitude x has mean square x²/2, a product x²/4."""
    p = 17
    mixed = (
        3
        + 2 * of_a(1, p, 0.3)
        + of_b(4, p)
        + 1.5 * of_a(4, p, 0.2) * of_b(4, p, 0.1)
        + 0.7 * of_a(1, p) * of_b(4, p)
    )
    at_1, at_4, neither = 4 / 2, 1 / 2 + 1.5**2 / 4, 0.7**2 / 4
    fit = n.neuron_frequencies(stack(mixed, 2 * of_a(1, p) + of_b(2, p)))
    assert fit.frequency.tolist() == [1, 1]
    np.testing.assert_allclose(fit.share, [at_1 / (at_1 + at_4 + neither), 4 / 5], rtol=1e-5)


@pytest.mark.parametrize("p", [3, 4, 7, 8, 11])
def test_frequencies_against_least_squares(p):
    neurons = relu_neurons(1, p)
    frequency, share = fit_by_least_squares(neurons)
    fit = n.neuron_frequencies(neurons)
    assert fit.frequency.dtype == jnp.int32
    np.testing.assert_array_equal(fit.frequency, frequency)
    np.testing.assert_allclose(fit.share, share, rtol=1e-5)


def test_neurons_that_do_not_vary_have_no_frequency():
    p = 7
    tables = [0.0, 3.7, -0.1, 1e30, 1e-30]
    still = stack(*(np.full((p, p), x) for x in tables), 5 + 1e-7 * of_a(2, p))
    fit = n.neuron_frequencies(still)
    assert fit.frequency.tolist() == [0] * 6
    assert fit.share.tolist() == [0.0] * 6
    broken = jax.jit(n.neuron_frequencies)(np.full((p, p, 1), np.nan, np.float32))
    assert (broken.frequency.tolist(), broken.share.tolist()) == ([0], [0.0])


def test_a_large_table_of_one_number_is_still():
    """113² additions of one number round; what they leave is not taken for a wave."""
    fit = n.neuron_frequencies(np.full((113, 113, 3), [0.1, 1 / 3, 123.456], np.float32))
    assert not fit.frequency.any()
    assert not fit.share.any()


@pytest.mark.parametrize("size", [1e-25, 1e-3, 1e25])
def test_scale_and_offset_change_nothing(size):
    neurons = relu_neurons(2)
    fit, scaled = n.neuron_frequencies(neurons), n.neuron_frequencies(np.float32(size) * neurons)
    np.testing.assert_array_equal(scaled.frequency, fit.frequency)
    np.testing.assert_allclose(scaled.share, fit.share, rtol=1e-5)
    np.testing.assert_allclose(n.neuron_frequencies(9 - neurons).share, fit.share, rtol=1e-4)


@pytest.mark.parametrize("shift", [(1, 0), (0, 3), (5, 9)])
def test_shifting_the_numbers_changes_nothing(shift):
    neurons = relu_neurons(3)
    fit, shifted = n.neuron_frequencies(neurons), np.roll(neurons, shift, axis=(0, 1))
    np.testing.assert_array_equal(n.neuron_frequencies(shifted).frequency, fit.frequency)
    np.testing.assert_allclose(n.neuron_frequencies(shifted).share, fit.share, rtol=1e-5)
    swapped = n.neuron_frequencies(neurons.transpose(1, 0, 2))
    np.testing.assert_allclose(swapped.share, fit.share, rtol=1e-5)


@pytest.mark.parametrize("unit", [2, 3, 10])
def test_multiplying_the_numbers_multiplies_the_frequencies(unit):
    """H(ra, rb) has the waves of H at r times their frequency."""
    neurons, p = relu_neurons(4), 11
    fit, at = n.neuron_frequencies(neurons), unit * np.arange(p) % p
    moved = n.neuron_frequencies(neurons[at][:, at])
    assert moved.frequency.tolist() == [folded(unit * int(k), p) for k in fit.frequency]
    np.testing.assert_allclose(moved.share, fit.share, rtol=1e-5)


def test_polynomial_by_hand():
    p = 9
    product = 3 + of_a(1, p) * of_b(1, p)
    kept = n.polynomial_neurons(stack(product, product, product), [1, 2, 0])
    np.testing.assert_allclose(kept, stack(product, 3 + 0 * product, 3 + 0 * product), atol=1e-5)


@pytest.mark.parametrize("p", [7, 8])
def test_polynomial_against_least_squares(p):
    neurons = relu_neurons(5, p)
    frequency = np.array([1, 2, 3, 3, 2, 1])
    expected = [fitted(neurons[..., i], k) for i, k in enumerate(frequency)]
    np.testing.assert_allclose(
        n.polynomial_neurons(neurons, frequency), np.stack(expected, -1), atol=1e-5
    )


def test_polynomial_keeps_means_explains_the_share_and_projects_once():
    neurons = relu_neurons(6, 13, 8)
    fit = n.neuron_frequencies(neurons)
    once = n.polynomial_neurons(neurons, fit.frequency)
    np.testing.assert_allclose(once.mean((0, 1)), neurons.mean((0, 1)), rtol=1e-5)
    np.testing.assert_allclose(once.var((0, 1)) / neurons.var((0, 1)), fit.share, rtol=1e-4)
    np.testing.assert_allclose(n.polynomial_neurons(once, fit.frequency), once, atol=1e-5)


def test_clusters_by_hand():
    fit = n.NeuronFit(jnp.array([2, 1, 2, 0, 2]), jnp.array([0.9, 0.9, 0.5, 0.0, 0.85]))
    assert n.clusters(fit, 5).tolist() == [1, 1]
    assert n.clusters(fit, 7, threshold=0.0).tolist() == [1, 3, 0]
    assert n.clusters(fit, 5, threshold=1.0).tolist() == [0, 0]
    assert jax.jit(lambda x: n.clusters(x, 5))(fit).tolist() == [1, 1]


def test_clusters_count_every_varying_neuron_once_in_any_order():
    neurons = relu_neurons(7, 11, 40)
    neurons[..., 3] = 0.0
    fit = n.neuron_frequencies(neurons)
    counted = n.clusters(fit, 11, threshold=0.0)
    assert int(counted.sum()) == 39
    assert counted.tolist() == np.bincount(fit.frequency, minlength=6)[1:].tolist()
    reversed_fit = jax.tree.map(lambda x: x[::-1], fit)
    assert n.clusters(reversed_fit, 11, threshold=0.0).tolist() == counted.tolist()


def test_readout_frequencies_by_hand():
    p = 7
    columns = [5 + wave(2, p, 1.0), wave(1, p) - 2 * wave(3, p), np.zeros(p), np.full(p, 0.3)]
    fit = n.readout_frequencies(stack(*columns))
    assert fit.frequency.tolist() == [2, 3, 0, 0]
    np.testing.assert_allclose(fit.share, [1, 4 / 5, 0, 0], atol=1e-6)


@pytest.mark.parametrize("p", [11, 12])
def test_readout_frequencies_against_the_fast_transform(p):
    W_L = np.random.default_rng(8).normal(size=(p, 9)).astype(np.float32)
    power = np.abs(np.fft.fft(W_L.astype(np.float64), axis=0)) ** 2
    best = power[1 : (p - 1) // 2 + 1]
    fit = n.readout_frequencies(W_L)
    np.testing.assert_array_equal(fit.frequency, 1 + best.argmax(0))
    np.testing.assert_allclose(fit.share, 2 * best.max(0) / power[1:].sum(0), rtol=1e-5)
    shifted = n.readout_frequencies(np.roll(W_L, 3, axis=0) + 2)
    np.testing.assert_array_equal(shifted.frequency, fit.frequency)
    np.testing.assert_allclose(shifted.share, fit.share, rtol=1e-4)


def test_readout_relation_by_hand():
    """p = 7: twice 1, 2, 3 is 2, 4, 6, which fold to 2, 3, 1."""
    reads = n.NeuronFit(jnp.array([1, 1, 2, 3, 3, 0, 2]), jnp.ones(7))
    writes = n.NeuronFit(jnp.array([1, 2, 3, 1, 2, 0, 0]), jnp.ones(7))
    relation = n.readout_relation(reads, writes, 7)
    assert relation.same.tolist() == [True, False, False, False, False, False, False]
    assert relation.doubled.tolist() == [False, True, True, True, False, False, False]


def test_a_squaring_neuron_that_writes_its_double_is_told_from_one_that_writes_its_own():
    p = 11
    neurons = stack(*[(of_a(3, p) + of_b(3, p)) ** 2] * 2)
    reads = n.neuron_frequencies(neurons)
    relation = n.readout_relation(
        reads, n.readout_frequencies(stack(wave(3, p, 0.4), wave(5, p, 0.4))), p
    )
    assert (relation.same.tolist(), relation.doubled.tolist()) == ([True, False], [False, True])


def test_projection_by_hand():
    p = 5
    neurons, W_L = relu_neurons(9, p, 3), np.zeros((p, 3), np.float32)
    W_L[:, 1] = wave(2, p, 0.7)
    split = n.project_on_readout(neurons, W_L, [2])
    np.testing.assert_allclose(split.on, neurons * [0, 1, 0], atol=1e-6)
    np.testing.assert_allclose(split.off, neurons * [1, 0, 1], atol=1e-6)
    none = n.project_on_readout(neurons, W_L, [1])
    np.testing.assert_allclose(none.on, 0 * neurons, atol=1e-6)
    np.testing.assert_array_equal(n.project_on_readout(neurons, 0 * W_L, [2]).off, neurons)
    np.testing.assert_array_equal(n.project_on_readout(neurons, W_L, []).off, neurons)


def test_projection_against_the_pseudoinverse():
    p, keys = 11, [2, 5]
    neurons = relu_neurons(10, p, 8)
    W_L = np.random.default_rng(11).normal(size=(p, 8)).astype(np.float32)
    waves = [wave(k, p, phase) for k in keys for phase in (0, -np.pi / 2)]
    D = np.array(waves) @ W_L.astype(np.float64)
    expected = neurons @ (np.linalg.pinv(D) @ D)
    split = n.project_on_readout(neurons, W_L, keys)
    np.testing.assert_allclose(split.on, expected, atol=1e-5)
    np.testing.assert_allclose(split.on + split.off, neurons, atol=1e-6)
    np.testing.assert_allclose(split.off @ D.T, np.zeros((p, p, 4)), atol=1e-4)
    np.testing.assert_allclose((split.on * split.off).sum(-1), np.zeros((p, p)), atol=1e-4)
    logits = neurons @ W_L.T
    for k in keys:  # the null space changes no key wave of the logits
        seen = (split.on @ W_L.T - logits) @ np.exp(2j * np.pi * k * np.arange(p) / p)
        np.testing.assert_allclose(np.abs(seen), np.zeros((p, p)), atol=1e-4)


def test_projection_takes_keys_in_any_form_and_ignores_scale():
    p = 7
    neurons = relu_neurons(12, p, 9)
    W_L = np.random.default_rng(13).normal(size=(p, 9)).astype(np.float32)
    split = n.project_on_readout(neurons, W_L, [1, 3])
    for keys in ([3, 1, 3], [True, False, True], np.array([1.0, 0.0, 1.0])):
        np.testing.assert_array_equal(n.project_on_readout(neurons, W_L, keys).on, split.on)
    np.testing.assert_allclose(
        n.project_on_readout(neurons, 1e3 * W_L, [1, 3]).on, split.on, atol=1e-5
    )


def test_projection_leaves_out_directions_that_are_rounding():
    """Columns of one shape: u and v are parallel, so that one direction counts, not two."""
    p, u = 7, np.array([1.0, -2.0, 0.5, 3.0])
    neurons = relu_neurons(14, p, 4)
    split = n.project_on_readout(neurons, np.outer(wave(2, p, 0.4), u), [2])
    np.testing.assert_allclose(split.on, (neurons @ u)[..., None] * u / (u @ u), atol=1e-5)


def test_wave_pairs_are_the_rows_of_the_basis():
    pairs = n.wave_pairs(9)
    assert pairs.shape == (4, 2, 9)
    np.testing.assert_allclose(pairs[2, 0], math.sqrt(2 / 9) * wave(3, 9), atol=1e-6)
    np.testing.assert_allclose(pairs[2, 1], math.sqrt(2 / 9) * wave(3, 9, -np.pi / 2), atol=1e-6)


CALLS = {
    "neuron_frequencies": n.neuron_frequencies,
    "polynomial_neurons": lambda x: n.polynomial_neurons(x, jnp.array([1, 0, 3, 2])),
    "project_on_readout": lambda x: n.project_on_readout(x, jnp.ones((7, 4)).at[2].set(3), [1]),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
def test_traces_and_batches_agree_with_single_calls(call):
    batch = np.stack([relu_neurons(seed, 7, 4) for seed in (15, 16)])
    single = jax.tree.map(lambda *x: np.stack(x), *[call(x) for x in batch])
    for found in (jax.vmap(call)(batch), jax.jit(jax.vmap(call))(batch)):
        jax.tree.map(functools.partial(np.testing.assert_allclose, atol=1e-5), found, single)


NEURONS, W_L = np.ones((5, 5, 2), np.float32), np.ones((5, 2), np.float32)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (
            lambda: n.neuron_frequencies(np.ones((3, 4, 2), np.float32)),
            ConfigError,
            "neurons=float32[3, 4, 2]: must have the shape [p, p, m] with m >= 1, p >= 1",
        ),
        (
            lambda: n.neuron_frequencies(np.ones((2, 2, 1))),
            ConfigError,
            "p=2: must be an integer >= 3",
        ),
        (
            lambda: n.neuron_frequencies([[[np.nan]]]),
            ConfigError,
            "neurons=float32[1, 1, 1] with nan at [0, 0, 0]: must be finite",
        ),
        (
            lambda: n.polynomial_neurons(NEURONS, [1, 3]),
            ConfigError,
            "frequency[1]=3: must be an integer in 0..2",
        ),
        (
            lambda: n.polynomial_neurons(NEURONS, [1.0, 2.0]),
            ConfigTypeError,
            "frequency=float32[2]: must be an array of integers",
        ),
        (
            lambda: n.clusters(n.NeuronFit(jnp.array([1]), jnp.array([1.0])), 5, threshold=2.0),
            ConfigError,
            "threshold=2.0: must be in [0, 1]",
        ),
        (
            lambda: n.clusters(n.NeuronFit(jnp.array([1]), jnp.array([1.0])), 1),
            ConfigError,
            "p=1: must be an integer >= 3",
        ),
        (
            lambda: n.readout_frequencies(np.ones((2, 3))),
            ConfigError,
            "p=2: must be an integer >= 3",
        ),
        (
            lambda: n.project_on_readout(NEURONS, W_L.T, [1]),
            ConfigError,
            "W_L=float32[2, 5]: must have the shape [5, 2]",
        ),
        (
            lambda: n.project_on_readout(NEURONS, W_L, [3]),
            ConfigError,
            "keys[0]=3: must be an integer in 1..2",
        ),
    ],
)
def test_bad_input_is_named(call, error, text):
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == text
