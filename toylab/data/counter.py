"""Random numbers from a hash of a counter, for data that is drawn anew in every training step.

On a CPU the default generator (threefry, 20 rounds) costs more than a toy model's whole training
step, and a second to compile. Here element i of a stream is `mix(mix(i ^ k0) + k1)`, where (k0, k1)
are the two words of the stream: at first those of an ordinary JAX key, then forked by number. `mix`
is a bijection of 32-bit words with low bias ("lowbias32": C. Wellons, hash-prospector, 2018). The
tests hold it against a battery (uniformity, serial and cross-stream correlation, avalanche); it is
not cryptographic.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

__all__ = ["bits", "fork", "normal", "stream", "uniform"]


def _mix(word: jax.Array) -> jax.Array:
    word = (word ^ (word >> 16)) * jnp.uint32(0x7FEB352D)
    word = (word ^ (word >> 15)) * jnp.uint32(0x846CA68B)
    return word ^ (word >> 16)


def stream(key: jax.Array) -> jax.Array:
    """The stream of a JAX key: its two words, uint32 [2]."""
    return jax.random.key_data(key)


def fork(words: jax.Array, number: jax.Array | int) -> jax.Array:
    """The `number`-th stream under `words`, uint32 [2]; equal numbers give equal streams."""
    salt = _mix(jnp.asarray(number).astype(jnp.uint32) + jnp.uint32(0x9E3779B9))
    k0 = _mix(words[0] + salt)
    return jnp.stack([k0, _mix(words[1] ^ _mix(salt + k0))])


def bits(words: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Pseudo-random words: element i of the flattened result depends on the stream and on i alone.

    Args:
        words: a stream, uint32 [2].
        shape: at most 2^32 elements.

    Returns:
        uint32 of `shape`. A longer first axis extends the numbers and leaves their start as it was.
    """
    counter = jax.lax.iota(jnp.uint32, math.prod(shape)).reshape(shape)
    return _mix(_mix(counter ^ words[0]) + words[1])


def uniform(words: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Uniform float32 numbers, multiples of 2^-24 in [0, 1); see `bits`."""
    return (bits(words, shape) >> 8).astype(jnp.float32) * 2.0**-24


def normal(words: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Standard normal float32 numbers by inversion, |value| < 5.5; see `bits`."""
    # Odd multiples of 2^-24 in (-1, 1): symmetric, and the ends, where erfinv is infinite, are left
    # out.
    odd = (bits(words, shape) >> 8).astype(jnp.float32) * 2.0**-23 - (1.0 - 2.0**-24)
    return math.sqrt(2.0) * jax.lax.erf_inv(odd)
