"""The battery that the cheap generator must pass; thresholds come from the exact null laws."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats

from toylab.data import counter

# One battery of about 200 tests should fail by chance once in a thousand runs of new seeds.
LEVEL = 1e-3 / 200
SEEDS = range(8)


def words_of(seed):
    return counter.stream(jax.random.key(seed))


def draws(seed, n):
    return np.asarray(counter.uniform(words_of(seed), (n,)), np.float64)


def reference_mix(x):
    """lowbias32 in Python's integers, from its published constants."""
    x ^= x >> 16
    x = x * 0x7FEB352D % 2**32
    x ^= x >> 15
    x = x * 0x846CA68B % 2**32
    return x ^ x >> 16


def test_bits_agree_with_integer_arithmetic():
    k0, k1 = (int(w) for w in words_of(3))
    expected = [reference_mix((reference_mix(i ^ k0) + k1) % 2**32) for i in range(100)]
    assert np.asarray(counter.bits(words_of(3), (100,))).tolist() == expected


@pytest.mark.parametrize("seed", SEEDS)
def test_values_are_uniform(seed):
    counts = np.bincount((draws(seed, 2**18) * 1024).astype(int), minlength=1024)
    assert stats.chisquare(counts).pvalue > LEVEL
    assert stats.kstest(draws(seed, 2**18), "uniform").pvalue > LEVEL


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("lag", [1, 2, 5, 24, 1024])
def test_neighbours_are_independent(seed, lag):
    u = draws(seed, 2**18)
    cells = (u[:-lag] * 32).astype(int) * 32 + (u[lag:] * 32).astype(int)
    assert stats.chisquare(np.bincount(cells, minlength=1024)).pvalue > LEVEL


@pytest.mark.parametrize("seed", SEEDS)
def test_consecutive_forks_are_independent(seed):
    """The streams of consecutive training steps, and a stream and its own fork."""
    words = words_of(seed)
    streams = [
        words,
        *(counter.fork(words, step) for step in range(6)),
        counter.fork(counter.fork(words, 1), 1),
    ]
    u = [np.asarray(counter.uniform(w, (2**17,)), np.float64) for w in streams]
    for a, b in itertools.pairwise(u):
        cells = (a * 32).astype(int) * 32 + (b * 32).astype(int)
        assert stats.chisquare(np.bincount(cells, minlength=1024)).pvalue > LEVEL


def test_first_draws_of_many_streams_are_uniform():
    words = words_of(0)
    first = jax.vmap(lambda step: counter.uniform(counter.fork(words, step), (3,)))(
        jnp.arange(2**17)
    )
    for column in np.asarray(first, np.float64).T:
        assert stats.kstest(column, "uniform").pvalue > LEVEL
    assert np.abs(np.corrcoef(np.asarray(first, np.float64).T) - np.eye(3)).max() < 5 / np.sqrt(
        2**17
    )


@pytest.mark.parametrize("bit", range(32))
def test_flipping_any_input_bit_flips_half_the_output(bit):
    n = 2**14
    rng = np.random.default_rng(bit)
    k1 = jnp.uint32(0x9E3779B9)
    k0 = jnp.asarray(rng.integers(0, 2**32, n, dtype=np.uint32))
    word = jax.vmap(lambda k: counter.bits(jnp.stack([k, k1]), (1,))[0])
    changed = np.asarray(word(k0) ^ word(k0 ^ jnp.uint32(1 << bit)))
    share = (changed[:, None] >> np.arange(32, dtype=np.uint32) & 1).mean(axis=0)
    # 1,024 shares in the whole test, each binomial(n, 1/2).
    assert np.abs(share - 0.5).max() < 6 * 0.5 / np.sqrt(n)


def test_words_do_not_repeat_within_a_stream():
    assert len(np.unique(np.asarray(counter.bits(words_of(1), (2**18,))))) == 2**18


def test_longer_streams_begin_alike():
    short, long = (np.asarray(counter.bits(words_of(5), (n, 7))) for n in (3, 11))
    np.testing.assert_array_equal(short, long[:3])


def test_normal_draws_follow_the_normal_law():
    z = np.asarray(counter.normal(words_of(2), (2**18,)), np.float64)
    assert stats.kstest(z, "norm").pvalue > LEVEL
    assert np.abs(z).max() < 5.5
    u = (np.asarray(counter.bits(words_of(2), (1000,))) >> 8).astype(float) * 2.0**-24 + 2.0**-25
    np.testing.assert_allclose(z[:1000], special.ndtri(u), rtol=1e-4, atol=2e-6)
