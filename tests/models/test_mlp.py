"""The two-layer network is its equation; its weights worked out on paper do what the paper says."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from toylab.errors import ConfigError, ConfigTypeError
from toylab.models.mlp import (
    ACTIVATIONS,
    PairMLP,
    gromov,
    one_frequency_pair_mlp,
    random_pair_mlp,
    standard_width,
)

RNG = np.random.default_rng(0)
W_A, W_B = RNG.normal(size=(2, 6, 5)).astype(np.float32)
W_OUT = RNG.normal(size=(5, 6)).astype(np.float32)
EQUATIONS = {"relu": lambda z: np.maximum(z, 0), "quadratic": lambda z: z * z}


def cube(model, p):
    """Logits [a, b, c] of a quadratic network, by numpy in float64."""
    W_a, W_b = (np.asarray(W, float).T for W in model.inputs)
    hidden = (W_a[:, None] + W_b[None]) ** 2
    return hidden @ np.asarray(model.W_out[...], float).T


def grids(p):
    return np.ix_(range(p), range(p), range(p))


def amplitudes(rows):
    """[m, K] amplitudes of the waves in each row, by least squares on cosines and sines."""
    p = rows.shape[1]
    turns = 2 * np.pi * np.outer(np.arange(1, p // 2 + 1), np.arange(p)) / p
    basis = np.concatenate([np.ones((1, p)), np.cos(turns), np.sin(turns)])
    found = np.linalg.lstsq(basis.T, np.asarray(rows, float).T, rcond=None)[0][1:]
    return np.hypot(*np.split(found, 2)).T


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("tied", [True, False])
def test_logits_are_the_equation(activation, tied):
    model = PairMLP(
        jnp.asarray(W_A), jnp.asarray(W_OUT), None if tied else jnp.asarray(W_B), activation
    )
    W_b = W_A if tied else W_B
    for a, b in [(0, 0), (1, 3), (3, 1), (4, 2)]:
        hidden = EQUATIONS[activation](W_A[:, a].astype(float) + W_b[:, b])
        np.testing.assert_allclose(model.hidden(a, b), hidden, rtol=1e-5)
        np.testing.assert_allclose(model(a, b), W_OUT @ hidden, rtol=1e-4, atol=1e-5)


def test_one_worked_example():
    """One neuron reads (1, 2, 3), so (0, 2) gives (1 + 3)² = 16, times (1, 0, -1)."""
    model = PairMLP(jnp.asarray([[1.0, 2.0, 3.0]]), jnp.asarray([[1.0], [0.0], [-1.0]]))
    np.testing.assert_array_equal(model(0, 2), [16, 0, -16])


def test_a_tied_network_has_one_input_matrix():
    tied, free = (random_pair_mlp(5, 6, jax.random.key(0), tied=tied) for tied in (True, False))
    assert tied.W_b is None
    assert len(jax.tree.leaves(tied)) == 2
    assert len(jax.tree.leaves(free)) == 3
    np.testing.assert_array_equal(*tied.inputs)
    assert not np.array_equal(*free.inputs)
    np.testing.assert_array_equal(tied(1, 4), tied(4, 1))


@pytest.mark.parametrize("tied", [True, False])
def test_leaves_are_the_same_under_a_trace(tied):
    def make(key):
        return random_pair_mlp(5, 6, key, "relu", tied)

    eager, traced = make(jax.random.key(0)), jax.eval_shape(make, jax.random.key(0))
    assert jax.tree.structure(traced) == jax.tree.structure(eager)
    shapes = [leaf.shape for leaf in jax.tree.leaves(eager)]
    assert [leaf.shape for leaf in jax.tree.leaves(traced)] == shapes
    assert sorted(shapes) == [(5, 6), (6, 5)] + [(6, 5)] * (not tied)


@pytest.mark.parametrize(("p", "m"), [(3, 1), (7, 12)])
def test_documented_shapes(p, m):
    model = random_pair_mlp(p, m, jax.random.key(0))
    assert jax.eval_shape(model, 0, 0).shape == (p,)
    assert jax.eval_shape(model.hidden, 0, 0).shape == (m,)
    assert [W.shape for W in model.inputs] == [(m, p)] * 2


def test_random_weights_have_the_scale_that_was_asked_for():
    model = random_pair_mlp(23, 512, jax.random.key(0), "relu", False, 0.1 / np.sqrt(23))
    for W in jax.tree.leaves(model):
        # 11,776 draws: the standard deviation is known within 0.65 %, the mean within 0.92 %.
        assert float(W.std()) == pytest.approx(0.1 / np.sqrt(23), rel=0.03)
        assert abs(float(W.mean())) < 0.04 * 0.1 / np.sqrt(23)
    first, second = (W.ravel() for W in model.inputs)
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.04


def test_standard_width_is_the_published_one():
    """The released configurations of He et al. at p = 23, 29, 31; 512 below."""
    assert [standard_width(p) for p in (15, 23, 29, 31, 113)] == [512, 512, 814, 931, 12_359]


@pytest.mark.parametrize(("p", "m"), [(23, 512), (7, 10)])
def test_one_frequency_start(p, m):
    model = one_frequency_pair_mlp(p, m, jax.random.key(1), "relu", 0.02)
    assert model.W_b is None
    assert model.activation == "relu"
    read, written = amplitudes(model.W_a[...]), amplitudes(model.W_out[...].T)
    frequency = read.argmax(1)
    np.testing.assert_array_equal(frequency, written.argmax(1))
    expected = 0.02 * np.eye(p // 2)[frequency]
    np.testing.assert_allclose(read, expected, atol=1e-7)
    np.testing.assert_allclose(written, expected, atol=1e-7)
    counts = np.bincount(frequency, minlength=p // 2)
    assert counts.max() - counts.min() <= 1


def test_one_frequency_phases_are_uniform_and_independent():
    model = one_frequency_pair_mlp(5, 4000, jax.random.key(2), scale=1.0)
    inward, outward = (np.fft.fft(W, axis=1)[:, 1:3] for W in (model.W_a[...], model.W_out[...].T))
    z, y = (waves[np.arange(4000), abs(inward).argmax(1)] for waves in (inward, outward))
    for angles in (np.angle(z), np.angle(y), np.angle(z) - np.angle(y), 2 * np.angle(z - y)):
        assert abs(np.exp(1j * angles).mean()) < 4 / np.sqrt(4000)


@pytest.mark.parametrize("p", [3, 5, 23, 59])
def test_the_exact_design_is_the_sum_of_cosines(p):
    """4 Σ_k cos w_k s is 2(p - 1) at s = 0 and -2 elsewhere: a margin of 2p on every pair."""
    model = gromov(p)
    assert model.W_a.shape == model.W_b.shape == (4 * (p - 1), p)
    logits = cube(model, p)
    a, b, c = grids(p)
    right = (a + b - c) % p == 0
    np.testing.assert_allclose(logits, np.where(right, 2 * (p - 1), -2), atol=1e-6 * p)
    assert (logits.argmax(-1) == (a + b)[..., 0] % p).all()
    assert logits[right].min() - logits[~right].max() == pytest.approx(2 * p, rel=1e-5)
    np.testing.assert_allclose(model(1, p - 1), logits[1, p - 1], atol=1e-5 * p)


def test_the_exact_design_by_the_cosines_themselves():
    p = 7
    a, b, c = grids(p)
    expected = 4 * sum(np.cos(2 * np.pi * k * (a + b - c) / p) for k in (1, 2, 3))
    np.testing.assert_allclose(cube(gromov(p), p), expected, atol=1e-5)


def test_every_neuron_of_the_exact_design_has_one_frequency():
    model = gromov(11)
    expected = np.repeat(np.eye(5), 8, axis=0)
    for rows in (*model.inputs, model.W_out[...].T):
        np.testing.assert_allclose(amplitudes(rows), expected, atol=1e-6)


@pytest.mark.parametrize("p", [3, 5, 23])
def test_the_tied_design_is_the_flawed_indicator(p):
    """By the orthogonality of the roots of unity: Σ_k cos w_k x = (p 1[x=0] - 1)/2.

    Three phases give 3/2 cos w_k(a+b-c) + 3/4 cos w_k(2a-c) + 3/4 cos w_k(2b-c) at each frequency.
    """
    model = gromov(p, "tied")
    assert model.W_b is None
    assert model.W_a.shape == (3 * (p - 1) // 2, p)
    a, b, c = grids(p)
    where = [(x - c) % p == 0 for x in (a + b, 2 * a, 2 * b)]
    flawed = p / 2 * where[0] + p / 4 * where[1] + p / 4 * where[2]
    logits = cube(model, p)
    np.testing.assert_allclose(logits, 1.5 * (flawed - 1), atol=1e-6 * p)
    assert (logits.argmax(-1) == (a + b)[..., 0] % p).all()


def test_random_phases_approach_the_exact_design():
    """With n neurons a frequency the logits are n/2 Σ_k cos w_k s and noise of order √n."""
    p, n = 11, 4000
    logits = cube(gromov(p, "random", n, jax.random.key(0)), p) / (n / 8)
    assert np.abs(logits - cube(gromov(p), p)).max() < 2.0
    few = cube(gromov(p, "random", 8, jax.random.key(0)), p)
    a, b, _ = grids(p)
    assert (few.argmax(-1) == (a + b)[..., 0] % p).mean() > 0.9


def test_gromov_does_not_care_for_the_order_of_frequencies():
    """Renaming every number x as 3x mod p permutes the frequencies, and the table stays."""
    p = 13
    renamed = 3 * np.arange(p) % p
    logits = cube(gromov(p), p)
    np.testing.assert_allclose(logits[np.ix_(renamed, renamed, renamed)], logits, atol=1e-4)


KEY = jax.random.key(0)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: gromov(4), "p=4: must be odd, so that every frequency has a cosine and a sine"),
        (lambda: gromov(1), "p=1: must be an integer >= 3"),
        (
            lambda: gromov(5, "ties"),
            "design='ties': did you mean 'tied'? must be one of ['exact', 'tied', 'random']",
        ),
        (
            lambda: gromov(5, "random"),
            "key=None: the random design draws its phases; give a jax.random.key",
        ),
        (lambda: gromov(5, "random", 0, KEY), "n_per_frequency=0: must be an integer >= 1"),
        (
            lambda: one_frequency_pair_mlp(6, 4, KEY),
            "p=6: must be odd, so that every frequency has a cosine and a sine",
        ),
        (lambda: one_frequency_pair_mlp(5, 0, KEY), "d_mlp=0: must be an integer >= 1"),
        (lambda: random_pair_mlp(1, 4, KEY), "p=1: must be an integer >= 2"),
        (
            lambda: random_pair_mlp(5, 4, KEY, "gelu"),
            "activation='gelu': did you mean 'relu'? must be one of ['relu', 'quadratic']",
        ),
        (lambda: standard_width(0), "p=0: must be an integer >= 2"),
    ],
)
def test_refusals(call, text):
    with pytest.raises(ConfigError) as caught:
        call()
    assert str(caught.value) == text


def test_a_modulus_of_the_wrong_type():
    with pytest.raises(ConfigTypeError) as caught:
        gromov(5.0)
    assert str(caught.value) == "p=5.0: must be an int, got float"
