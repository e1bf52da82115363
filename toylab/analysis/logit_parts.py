"""Parts of the logits: what the key waves of the answer make of them, and the key cosines alone.

Notation and conventions are those of `logit_spectrum`: L[a, b, c], t the answer of the pair,
s = (t - c) mod p. Two parts are told apart. The *key part* projects each output c on waves of t, so
its dependence on c is free (2p numbers a key). The *key cosines* are waves of s, one number a key.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np

from toylab.analysis.arguments import Numbers
from toylab.analysis.columns import ratio
from toylab.analysis.fourier import basis_rows
from toylab.analysis.logit_spectrum import AnswerTable, answer_table, logit_spectrum
from toylab.analysis.modular_arguments import answer_grid, frequency_mask, logit_cube

__all__ = ["cosine_logits", "key_part", "key_table"]


def key_part(logits: Numbers, keys: Numbers, answers: Numbers | None = None) -> jax.Array:
    """What of the logits is a key wave of the answer: C = sum_k sum_u u u^T L / |u|^2.

    u runs over cos(w_k t) and sin(w_k t) as functions of the pair, and each output c is projected
    by itself. C depends on the pair through t alone, so it is worked out on the p x p table.

    Args:
        logits: [p, p, p].
        keys: frequency numbers [n] in 1..K, or a mask [K].
        answers: [p, p]; (a + b) mod p unless given.

    Returns:
        [p, p, p], for addition with mean 0 over the pairs. `logits - key_part(logits, keys)` is
        the network without its keys.

    Source: Nanda et al. 2023, section 5.1 (restricted and excluded loss).
    Example: of L = cos(w_1 (a + b)) + cos(w_1 (a - b)), whatever c, key 1 keeps the first term.
    """
    cube = logit_cube(logits)
    grid = answer_grid(answers, cube.shape[0])
    mask = frequency_mask(keys, cube.shape[0])
    return key_table(answer_table(cube, grid), mask)[grid]


def key_table(table: AnswerTable, keys: Numbers) -> jax.Array:
    """The key part as a table over (t, c): `key_part(logits, keys)[a, b]` is its row answers[a, b].

    Args:
        table: `answer_table(logits)`.
        keys: frequency numbers [n] in 1..K, or a mask [K].

    Returns:
        [p, p]. Row t is, for addition, (2/p) sum_k sum_t' cos(w_k (t - t')) M[t', c].

    Example: the table of L = cos(w_1 s) at key 1 is cos(w_1 (t - c)).
    """
    return _key_table(table, frequency_mask(keys, table.mean.shape[0]))


def cosine_logits(logits: Numbers, keys: Numbers, answers: Numbers | None = None) -> jax.Array:
    """The key cosines alone: sum over keys of alpha_k cos(w_k s), one number a frequency.

    Args:
        logits: [p, p, p].
        keys: frequency numbers [n] in 1..K, or a mask [K].
        answers: [p, p]; (a + b) mod p unless given.

    Returns:
        [p, p, p], centred; the right answer leads by sum_k alpha_k (1 - cos(w_k s)).

    Source: Nanda et al. 2023, section 4.
    Example: all keys of L = 3 cos(w_1 s) + 5 give 3 cos(w_1 s).
    """
    cube = logit_cube(logits)
    grid = answer_grid(answers, cube.shape[0])
    amplitude = logit_spectrum(cube, grid).amplitude
    p = cube.shape[0]
    return _cosine_table(amplitude * frequency_mask(keys, p), p)[grid]


@jax.jit
def _key_table(table: AnswerTable, mask: jax.Array) -> jax.Array:
    p, highest = table.mean.shape[0], jax.lax.Precision.HIGHEST
    waves = jnp.asarray(basis_rows(p)[1 : 2 * mask.shape[0] + 1], table.mean.dtype)
    weighted = waves * table.pairs[None]
    projected = jnp.matmul(weighted, table.mean, precision=highest)
    # A sine that is 0 on every answer that occurs has no direction and takes no part.
    kept = ratio(jnp.repeat(mask, 2).astype(waves.dtype), (weighted * waves).sum(1))
    return jnp.matmul(waves.T, kept[:, None] * projected, precision=highest)


@functools.partial(jax.jit, static_argnums=1)
def _cosine_table(amplitude: jax.Array, p: int) -> jax.Array:
    """sum_k amplitude_k cos(w_k (t - c)) as a table [p, p] over (t, c)."""
    cosines = jnp.asarray(basis_rows(p)[1 : 2 * amplitude.shape[0] : 2], amplitude.dtype)
    curve = (p / 2) ** 0.5 * (amplitude @ cosines)
    return curve[(np.arange(p)[:, None] - np.arange(p)[None]) % p]
