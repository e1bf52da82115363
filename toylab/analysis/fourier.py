"""Waves on the numbers 0..p-1: the Fourier basis, energy by frequency, and how sparse it is.

Conventions. w_k = 2 pi k / p; frequencies are numbered 1..K with K = (p - 1) // 2, and an array
over frequencies has frequency k at index k - 1. Energies are squared norms in the orthonormal
basis, so that they add up to the squared norm of what was analysed. Leading axes (cells of a sweep,
snapshots of a training) pass through. Input must be finite real numbers of the documented shape;
anything else raises `ConfigError` (under a JAX trace only shape and type can be checked).

Sources: Nanda et al. 2023, "Progress measures for grokking via mechanistic interpretability"
(2301.05217); He et al. 2026 (2602.16849).
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from toylab.analysis.arguments import Numbers, integer
from toylab.analysis.columns import ratio, root
from toylab.analysis.modular_arguments import frequency_mask, n_frequencies, real_array
from toylab.errors import ConfigError

__all__ = [
    "basis_rows",
    "energy_outside",
    "fourier_basis",
    "frequency_energy",
    "frequency_norm",
    "gini",
    "inverse_participation_ratio",
    "sum_by_frequency",
]


def fourier_basis(p: int) -> jax.Array:
    """The real Fourier basis of functions on 0..p-1, one a row, orthonormal: F F^T = 1.

    Row 0 is 1/sqrt(p); row 2k - 1 is sqrt(2/p) cos(w_k x) and row 2k is sqrt(2/p) sin(w_k x), for
    k = 1..K: constant, cos 1, sin 1, cos 2, sin 2 and so on. An even p has one more row, the last,
    cos(pi x)/sqrt(p): the frequency p/2, which has no sine and is not among the K.

    Args:
        p: the modulus, at least 1.

    Returns:
        [p, p]; row f, column x. What a function v [p] has of each wave is F v.

    Raises:
        ConfigError: `p=0: must be an integer >= 1`.

    Source: Nanda et al. 2023, section 4.1. (Released bases add, for even p, a normalised sine of
        rounding noise.)
    Example: fourier_basis(2) = [[1, 1], [1, -1]] / sqrt(2); rows 1 and 2 of fourier_basis(3) are
        sqrt(2/3) (1, -1/2, -1/2) and (0, 1, -1) / sqrt(2).
    """
    return jnp.asarray(basis_rows(integer("p", p, 1)), jnp.float32)


def frequency_energy(W: Numbers) -> jax.Array:
    """Energy at each frequency along the number axis: e_k = |(F W)_cos k|^2 + |(F W)_sin k|^2.

    The sum of all e_k is |W|^2 less the energy of the mean over numbers (and, for an even p, of
    the alternating wave).

    Args:
        W: [..., p, d], one row a number: W_E without '=', or W_L = W_U W_out as [p, d_mlp].

    Returns:
        [..., K], at least 0, in units of W^2.

    Source: Nanda et al. 2023, section 4.1 (norms of the embedding's Fourier components).
    Example: a column cos(w_2 x), p = 5, has e = [0, 5/2].
    """
    return _frequency_energy(real_array("W", W, ("...", "p", "d")))


def frequency_norm(W: Numbers) -> jax.Array:
    """Norm at each frequency along the number axis: the root of `frequency_energy`.

    Args:
        W: [..., p, d], one row a number.

    Returns:
        [..., K], at least 0, in units of W.

    Example: a column 2 cos(w_1 x), p = 8, has norm [4, 0, 0].
    """
    return root(frequency_energy(W))


def energy_outside(W: Numbers, keys: Numbers) -> jax.Array:
    """The share of |W|^2 that is in none of the given frequencies' cosines and sines.

    1 - sum over keys of e_k / |W|^2: of W_L, what writes no key wave on the logits. The mean over
    numbers counts as outside. The paper's residual is a norm: the root of this share.

    Args:
        W: [..., p, d], one row a number.
        keys: frequency numbers [n] in 1..K, or a mask [K].

    Returns:
        [...] in [0, 1]; 0 for W = 0.

    Source: Nanda et al. 2023, section 4.2 (W_L has rank about 10, two for each key frequency).
    Example: a column 2 cos(w_1 x) + cos(w_2 x) without frequency 1: 1/5.
    """
    array = real_array("W", W, ("...", "p", "d"))
    return _energy_outside(array, frequency_mask(keys, array.shape[-2]))


def gini(x: Numbers) -> jax.Array:
    """How unevenly a total is shared out: sum_i (2i - n - 1) x_i / (n sum_i x_i), x ascending.

    The measurements of this project take it of energies e_k. The paper words it as of norms, which
    gives far less: a spectrum with e_k as squares is more uneven than its roots.

    Args:
        x: [..., n], not negative.

    Returns:
        [...] in [0, 1 - 1/n]: 0 for equal shares, 1 - 1/n when one has all; 0 for x = 0.

    Raises:
        ConfigError: `x with -1: must not be negative`.

    Source: Nanda et al. 2023, section 5.1 (Gini coefficient of the Fourier components); Hurley and
        Rickard 2009, "Comparing measures of sparsity".
    Example: gini([1, 2, 3, 4]) = (-3 - 2 + 3 + 12) / (4 * 10) = 0.25.
    """
    array = real_array("x", x, ("...", "n"))
    if not isinstance(array, Tracer) and (least := float(array.min())) < 0:
        raise ConfigError(f"x with {least:g}: must not be negative")
    return _gini(array)


def inverse_participation_ratio(W: Numbers) -> jax.Array:
    """How few frequencies a neuron uses: sum_k A_k^4 / (sum_k A_k^2)^2, A_k^2 = c_k^2 + s_k^2.

    The constant (and for an even p the alternating wave) is left out. The published curve is the
    mean over neurons, then over the two layers.

    Args:
        W: [..., p], a neuron's weight for each number along the last axis.

    Returns:
        [...] in [1/K, 1]: 1 for a single frequency, 1/K for all alike; 0 without any.

    Source: He et al. 2026, the progress measure of its training figures.
    Example: cos(w_1 x) + cos(w_2 x) has 1/2; 2 cos(w_1 x) + cos(w_2 x) has 17/25.
    """
    return _inverse_participation_ratio(real_array("W", W, ("...", "p")))


def sum_by_frequency(x: jax.Array) -> jax.Array:
    """Add the two rows of each frequency: [..., p] in the order of `fourier_basis` to [..., K]."""
    K = n_frequencies(x.shape[-1])
    return x[..., 1 : 2 * K + 1].reshape(*x.shape[:-1], K, 2).sum(-1)


@functools.lru_cache(maxsize=16)
def basis_rows(p: int) -> np.ndarray:
    """`fourier_basis` in float64, read-only, for use under a trace and in certificates."""
    K, numbers = n_frequencies(p), np.arange(p)
    # The product is reduced modulo p first, so that no angle leaves the first turn.
    angles = 2 * np.pi / p * (np.arange(1, K + 1)[:, None] * numbers[None] % p)
    rows = np.full((p, p), 1 / np.sqrt(p))
    rows[1 : 2 * K + 1 : 2] = np.sqrt(2 / p) * np.cos(angles)
    rows[2 : 2 * K + 1 : 2] = np.sqrt(2 / p) * np.sin(angles)
    if p % 2 == 0:
        rows[-1, 1::2] *= -1
    rows.flags.writeable = False
    return rows


def _row_energy(array: jax.Array) -> jax.Array:
    """|row|^2 of F W, [..., p]."""
    F = jnp.asarray(basis_rows(array.shape[-2]), array.dtype)
    waves = jnp.einsum("fx,...xd->...fd", F, array, precision=jax.lax.Precision.HIGHEST)
    return jnp.square(waves).sum(-1)


@jax.jit
def _frequency_energy(array: jax.Array) -> jax.Array:
    return sum_by_frequency(_row_energy(array))


@jax.jit
def _energy_outside(array: jax.Array, mask: jax.Array) -> jax.Array:
    rows = _row_energy(array)
    K, total = mask.shape[0], rows.sum(-1)
    kept = jnp.ones(rows.shape[-1], rows.dtype).at[1 : 2 * K + 1].set(1 - jnp.repeat(mask, 2))
    return ratio(rows @ kept, total)


@jax.jit
def _gini(x: jax.Array) -> jax.Array:
    n = x.shape[-1]
    rank = jnp.asarray(2 * np.arange(1, n + 1) - n - 1, x.dtype)
    return ratio(jnp.sort(x, axis=-1) @ rank, n * x.sum(-1))


@jax.jit
def _inverse_participation_ratio(array: jax.Array) -> jax.Array:
    energy = _frequency_energy(array[..., None])
    share = ratio(energy, jnp.broadcast_to(energy.sum(-1, keepdims=True), energy.shape))
    return jnp.square(share).sum(-1)
