"""How periodic attention is: the weight from '=' to a as waves of a and of b.

Notation. A pattern is [p, p, n_heads, 3], indexed [a, b, head, position]: the attention weights
from '=' to a, to b and to '=' itself, which add up to 1. w_k = 2πk/p, frequencies are numbered
1..K with K = (p - 1) // 2, and arrays over them have frequency k at index k - 1.

With hardly any weight on '=', a head's softmax is a sigmoid of one score that depends on a less
one that depends on b, close to its linear part: the paper writes the weight on a as
1/2 + α(cos w_k a - cos w_k b) + β(sin w_k a - sin w_k b). Here the four waves of a and b have free
coefficients. A head whose weight varies by no more than rounding has frequency 0 and shares 0.

Source: Nanda et al. 2023, "Progress measures for grokking via mechanistic interpretability"
(2301.05217), figure 4 and appendix C.1.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from toylab.analysis.arguments import Numbers, integer
from toylab.analysis.columns import ratio
from toylab.analysis.modular_arguments import frequency_mask, real_array
from toylab.analysis.neurons import centred_tables, wave_pairs

__all__ = ["AttentionWaves", "attention_waves", "linear_attention"]

_FULL = jax.lax.Precision.HIGHEST


class AttentionWaves(NamedTuple):
    """What waves of a and of b explain of each head's attention from '=' to a.

    Attributes:
        share: [n_heads, K], explained by cos, sin of w_k a and of w_k b, in [0, 1].
        frequency: int32 [n_heads], the k that explains most; 0 for a head that does not vary.
        best_share: [n_heads], what that one frequency explains.
        key_share: [n_heads], what the key frequencies explain together, in [0, 1].
        self_weight: [n_heads], the mean weight from '=' to '=', in [0, 1].
    """

    share: jax.Array
    frequency: jax.Array
    best_share: jax.Array
    key_share: jax.Array
    self_weight: jax.Array


def attention_waves(pattern: Numbers, keys: Numbers) -> AttentionWaves:
    """The fraction of variance of '=' -> a that linear waves explain, by frequency and by head.

    share_k = Σ_u (T[u, 1]² + T[1, u]²) / |T|² over u in {cos k, sin k}, with T = F H Fᵀ of the
    head's centred weights H [p, p] and F as in `fourier_basis`.

    Args:
        pattern: [p, p, n_heads, 3], p at least 3.
        keys: frequency numbers [n] in 1..K, or a mask [K].

    Returns:
        AttentionWaves; the rest of the variance is products of waves and the waves of no key.

    Raises:
        ConfigError: a pattern of another shape, or a key that is not in 1..K.

    Source: Nanda et al. 2023, appendix C.1 (97.9-99.1 %; two heads use one frequency each).
    Example: H = 1/2 + .2 cos w_1 a - .1 sin w_2 b has shares 4/5 and 1/5, frequency 1.
    """
    array = _pattern(pattern)
    return _attention_waves(array, frequency_mask(keys, array.shape[0]))


def linear_attention(pattern: Numbers, keys: Numbers) -> jax.Array:
    """The attention from '=' to a, reduced to its mean and its linear waves at the keys.

    Args:
        pattern: [p, p, n_heads, 3], p at least 3.
        keys: frequency numbers [n] in 1..K, or a mask [K].

    Returns:
        [p, p, n_heads]; not confined to [0, 1].

    Raises:
        ConfigError: as `attention_waves`.

    Source: Nanda et al. 2023, appendix C.1 (the softmax replaced by its linear part).
    Example: 1/2 + .2 cos w_1 a + .1 cos w_1 a cos w_1 b becomes 1/2 + .2 cos w_1 a at key 1.
    """
    array = _pattern(pattern)
    return _linear_attention(array, frequency_mask(keys, array.shape[0]))


def _pattern(pattern: Numbers) -> jax.Array:
    array = real_array("pattern", pattern, ("p", "p", "n_heads", 3))
    integer("p", array.shape[0], 3)
    return array


def _wave_energy(marginal: jax.Array) -> jax.Array:
    """Energy [n_heads, K] of sums [p, n_heads] over the other number."""
    pairs = wave_pairs(marginal.shape[0], marginal.dtype)
    waves = jnp.einsum("kix,xh->hki", pairs, marginal, precision=_FULL)
    return jnp.square(waves).sum(2) / marginal.shape[0]


@jax.jit
def _attention_waves(pattern: jax.Array, mask: jax.Array) -> AttentionWaves:
    tables, total = centred_tables(pattern[..., 0])
    energy = _wave_energy(tables.sum(1)) + _wave_energy(tables.sum(0))
    share = jnp.minimum(ratio(energy, jnp.broadcast_to(total[:, None], energy.shape)), 1.0)
    return AttentionWaves(
        share=share,
        frequency=jnp.where(total > 0, share.argmax(1) + 1, 0).astype(jnp.int32),
        best_share=share.max(1),
        key_share=jnp.minimum(share @ mask, 1.0),
        self_weight=pattern[..., 2].mean((0, 1)),
    )


@jax.jit
def _linear_attention(pattern: jax.Array, mask: jax.Array) -> jax.Array:
    to_a = pattern[..., 0]
    pairs = wave_pairs(len(to_a), to_a.dtype)
    kept = jnp.einsum("kix,k,kiy->xy", pairs, mask, pairs, precision=_FULL)
    of_a = jnp.einsum("xa,ah->xh", kept, to_a.mean(1), precision=_FULL)
    of_b = jnp.einsum("xb,bh->xh", kept, to_a.mean(0), precision=_FULL)
    return to_a.mean((0, 1), keepdims=True) + of_a[:, None] + of_b[None]
