"""What MLP neurons compute on pairs of numbers: their frequency, their polynomial, their readout.

Notation. Neurons are [p, p, m], the activations after the nonlinearity for every pair, indexed
[a, b, neuron]; w_k = 2πk/p, frequencies are numbered 1..K with K = (p - 1) // 2, and arrays over
them have frequency k at index k - 1. W_L = W_U W_out is [p, m]: column m is what neuron m writes on
the p logits; a two-layer network's W_out is its W_L.

A neuron H [p, p] that works at one frequency k is close to a polynomial of degree 2: the constant,
4 linear terms cos w_k a, sin w_k a, cos w_k b, sin w_k b and the 4 products of one of a with one of
b. In T = F H Fᵀ (F: `fourier_basis`) these are the rows and columns {1, cos k, sin k}.

A neuron that varies by less than float32 resolves (dead, or constant) has frequency 0 and share 0.
Bad input raises `ConfigError`; under a JAX trace only shapes and types are checked.

Source: Nanda et al. 2023, "Progress measures for grokking via mechanistic interpretability"
(2301.05217), section 4.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from toylab.analysis.arguments import Numbers, integer, real
from toylab.analysis.columns import ratio
from toylab.analysis.fourier import basis_rows
from toylab.analysis.modular_arguments import (
    frequency_mask,
    n_frequencies,
    real_array,
    whole_numbers,
)
from toylab.config import Rule

__all__ = [
    "SINGLE_FREQUENCY",
    "CentredTables",
    "NeuronFit",
    "Projection",
    "ReadoutRelation",
    "centred_tables",
    "clusters",
    "neuron_frequencies",
    "polynomial_neurons",
    "project_on_readout",
    "readout_frequencies",
    "readout_relation",
    "wave_pairs",
]

SINGLE_FREQUENCY = 0.85
"""The share above which a neuron counts as having one frequency (Nanda et al. 2023)."""

_FULL = jax.lax.Precision.HIGHEST


class CentredTables(NamedTuple):
    """Tables over numbers or pairs, each in units of its largest |entry| and less its mean.

    Attributes:
        tables: [..., n]; 0 throughout where a table varies by no more than rounding.
        energy: [n], sum of squares, at least 0.
    """

    tables: jax.Array
    energy: jax.Array


class NeuronFit(NamedTuple):
    """The frequency of each neuron, and how much of it that frequency explains.

    Attributes:
        frequency: int32 [m], in 1..K; 0 for a neuron that does not vary.
        share: [m], explained share of the variance in [0, 1]; 0 for a neuron that does not vary.
    """

    frequency: jax.Array
    share: jax.Array


class ReadoutRelation(NamedTuple):
    """How the frequency that a neuron writes relates to the one that it reads.

    Attributes:
        same: bool [m], it writes the frequency k that it reads.
        doubled: bool [m], it writes 2k (folded into 1..K), as cos²(w_k a) does.
    """

    same: jax.Array
    doubled: jax.Array


class Projection(NamedTuple):
    """Neurons split in two orthogonal parts whose sum they are.

    Attributes:
        on: [p, p, m], the part within the readout directions.
        off: [p, p, m], the part in their null space.
    """

    on: jax.Array
    off: jax.Array


def neuron_frequencies(neurons: Numbers) -> NeuronFit:
    """The frequency that explains most of each neuron: argmax over k of share_k = e_k / |T|².

    T = F H Fᵀ of the centred neuron H, and e_k is the sum of squares of T over rows and columns
    {1, cos k, sin k}: 4 linear terms T[1, u], T[u, 1] and 4 quadratic ones T[u, v].

    Args:
        neurons: [p, p, m], p at least 3.

    Returns:
        NeuronFit(frequency [m], share [m]); single-frequency: share above `SINGLE_FREQUENCY`.

    Source: Nanda et al. 2023, section 4.3.
    Example: 2 cos w_1 a + cos w_2 b has frequency 1 and share 4/5. So has (cos w_1 a + cos w_1 b)²
        for odd p > 3: the waves of 2k that cos²(w_k a) has are not among the 8 terms, and a neuron
        that squares stays below `SINGLE_FREQUENCY`.
    """
    return _neuron_frequencies(_neurons(neurons))


def polynomial_neurons(neurons: Numbers, frequency: Numbers) -> jax.Array:
    """Each neuron replaced by its projection on the constant and the 8 terms of its frequency.

    P H P, where P projects on {1, cos w_k, sin w_k}: the mean over pairs is kept. To replace only
    single-frequency neurons, choose by `jnp.where(fit.share > SINGLE_FREQUENCY, ...)`.

    Args:
        neurons: [p, p, m].
        frequency: int [m] in 0..K; a neuron of frequency 0 becomes its mean.

    Returns:
        [p, p, m].

    Source: Nanda et al. 2023, section 4.4 (neurons replaced by their polynomials).
    Example: cos(w_1 a) cos(w_1 b) + 3 stays as it is with frequency 1, and becomes 3 with 2.
    """
    array = _neurons(neurons)
    p, _, m = array.shape
    found = whole_numbers("frequency", frequency, (m,), 0, n_frequencies(p))
    return _polynomial_neurons(array, found)


def clusters(fit: NeuronFit, p: int, threshold: float = SINGLE_FREQUENCY) -> jax.Array:
    """How many neurons each frequency has, of those whose share exceeds the threshold.

    Args:
        fit: from `neuron_frequencies` or `readout_frequencies`.
        p: the modulus.
        threshold: in [0, 1]; 0 counts every neuron that varies.

    Returns:
        int32 [K].

    Raises:
        ConfigError: `threshold=2.0: must be in [0, 1]`.

    Source: Nanda et al. 2023, figure 5 (433 of 512 neurons in clusters).
    Example: frequencies (2, 1, 2) with shares (.9, .9, .5) give [1, 1] for p = 5.
    """
    real("threshold", threshold, Rule("float", 0.0, 1.0))
    counted = jnp.where(fit.share > threshold, fit.frequency, 0)
    each = jnp.arange(1, n_frequencies(integer("p", p, 3)) + 1, dtype=counted.dtype)
    return (counted[None] == each[:, None]).sum(1, dtype=jnp.int32)


def readout_frequencies(W_L: Numbers) -> NeuronFit:
    """The frequency that each neuron writes on the logits, the one that holds most of its column.

    share = ((F x)_cos k² + (F x)_sin k²) / |x|², x a column of W_L less its mean.

    Args:
        W_L: [p, m], p at least 3.

    Returns:
        NeuronFit(frequency [m], share [m]).

    Source: Nanda et al. 2023, section 4.3 (columns of W_L carry the frequency of their neuron).
    Example: the column 5 + cos(w_2 c + 1) has frequency 2 and share 1.
    """
    columns = real_array("W_L", W_L, ("p", "m"))
    integer("p", columns.shape[0], 3)
    return _readout_frequencies(columns)


def readout_relation(fit: NeuronFit, readout: NeuronFit, p: int) -> ReadoutRelation:
    """Whether neurons write the frequency that they read, or twice that frequency.

    A neuron at k has a part in cos²(w_k a), so it can act on the logits at 2k; a rule on neurons
    and a rule on logits then name different key frequencies.

    Args:
        fit: what the neurons read, from `neuron_frequencies`.
        readout: what they write, from `readout_frequencies`.
        p: the modulus.

    Returns:
        ReadoutRelation(same [m], doubled [m]); false where a neuron does not vary or does not
        write. For p = 3 both hold at once.

    Example: p = 7, reading 3 and writing 1: doubled, since cos(w_6 x) = cos(w_1 x).
    """
    twice = 2 * fit.frequency % integer("p", p, 3)
    active = (fit.frequency > 0) & (readout.frequency > 0)
    same = active & (readout.frequency == fit.frequency)
    return ReadoutRelation(same, active & (readout.frequency == jnp.minimum(twice, p - twice)))


def project_on_readout(neurons: Numbers, W_L: Numbers, keys: Numbers) -> Projection:
    """The MLP within the directions u_k, v_k that carry the keys to the logits, and outside them.

    The rows cos k and sin k of F W_L of the key frequencies are orthonormalised first; directions
    that are rounding, next to W_L, are left out. `off` writes nothing at the keys on the logits.

    Args:
        neurons: [p, p, m].
        W_L: [p, m].
        keys: frequency numbers [n] in 1..K, or a mask [K], whose zeros leave frequencies out.

    Returns:
        Projection(on [p, p, m], off [p, p, m]).

    Source: Nanda et al. 2023, section 4.4 (the 10 directions of W_L, and their null space).
    Example: W_L with one column that is not 0, at a key: `on` keeps that neuron, `off` the others.
    """
    array = _neurons(neurons)
    p, _, m = array.shape
    return _project_on_readout(array, real_array("W_L", W_L, (p, m)), frequency_mask(keys, p))


def wave_pairs(p: int, dtype: np.dtype | type = np.float32) -> jax.Array:
    """The cosine and sine rows of `fourier_basis`, one pair a frequency: [K, 2, p]."""
    K = n_frequencies(p)
    return jnp.asarray(basis_rows(p)[1 : 2 * K + 1].reshape(K, 2, p), dtype)


@jax.jit
def centred_tables(tables: jax.Array) -> CentredTables:
    """Tables [..., n] scaled and centred over all axes but the last, rounding noise set to 0."""
    axes = tuple(range(tables.ndim - 1))
    peak = jnp.abs(tables).max(axes, keepdims=True)
    scaled = tables / jnp.where(peak > 0, peak, 1.0)
    centred = scaled - scaled.mean(axes, keepdims=True)
    centred = centred - centred.mean(axes, keepdims=True)  # what rounding left of the mean
    energy, floor = jnp.square(centred).sum(axes), 16 * jnp.finfo(tables.dtype).eps
    varies = energy > floor**2 * jnp.square(scaled).sum(axes)
    return CentredTables(jnp.where(varies, centred, 0.0), jnp.where(varies, energy, 0.0))


def _neurons(neurons: Numbers) -> jax.Array:
    array = real_array("neurons", neurons, ("p", "p", "m"))
    integer("p", array.shape[0], 3)
    return array


def _best(energy: jax.Array, total: jax.Array) -> NeuronFit:
    """The largest of the energies [K, m] and its share of the total [m]."""
    number = jnp.where(total > 0, energy.argmax(0) + 1, 0).astype(jnp.int32)
    return NeuronFit(number, jnp.minimum(ratio(energy.max(0), total), 1.0))


@jax.jit
def _neuron_frequencies(neurons: jax.Array) -> NeuronFit:
    tables, total = centred_tables(neurons)
    pairs = wave_pairs(tables.shape[0], tables.dtype)
    # Only the diagonal blocks of T are formed: one full product along a, then K thin ones along b.
    along_a = jnp.einsum("kia,abm->kibm", pairs, tables, precision=_FULL)
    quadratic = jnp.einsum("kibm,kjb->kijm", along_a, pairs, precision=_FULL)
    linear_a = along_a.sum(2)
    linear_b = jnp.einsum("bm,kjb->kjm", tables.sum(0), pairs, precision=_FULL)
    linear = jnp.square(linear_a).sum(1) + jnp.square(linear_b).sum(1)
    return _best(jnp.square(quadratic).sum((1, 2)) + linear / tables.shape[0], total)


@jax.jit
def _polynomial_neurons(neurons: jax.Array, frequency: jax.Array) -> jax.Array:
    p = neurons.shape[0]
    waves = jnp.asarray(basis_rows(p), neurons.dtype)
    at = jnp.maximum(frequency, 1)[:, None] * 2 + jnp.array([-1, 0])[None]
    own = jnp.where((frequency > 0)[:, None, None], waves[at], 0.0)
    basis = jnp.concatenate([jnp.broadcast_to(waves[0], (len(own), 1, p)), own], axis=1)
    along_a = jnp.einsum("mia,abm->mib", basis, neurons, precision=_FULL)
    coefficients = jnp.einsum("mib,mjb->mij", along_a, basis, precision=_FULL)
    rows = jnp.einsum("mij,mjb->mib", coefficients, basis, precision=_FULL)
    return jnp.einsum("mia,mib->abm", basis, rows, precision=_FULL)


@jax.jit
def _readout_frequencies(W_L: jax.Array) -> NeuronFit:
    columns, total = centred_tables(W_L)
    pairs = wave_pairs(columns.shape[0], columns.dtype)
    waves = jnp.einsum("kic,cm->kim", pairs, columns, precision=_FULL)
    return _best(jnp.square(waves).sum(1), total)


@jax.jit
def _project_on_readout(neurons: jax.Array, W_L: jax.Array, mask: jax.Array) -> Projection:
    waves = wave_pairs(W_L.shape[0], W_L.dtype)
    directions = jnp.einsum("kic,cm->kim", waves, W_L, precision=_FULL)
    rows = jnp.where((mask > 0)[:, None, None], directions, 0.0).reshape(-1, W_L.shape[1])
    _, sizes, basis = jnp.linalg.svd(rows, full_matrices=False)
    floor = max(rows.shape) * jnp.finfo(rows.dtype).eps * jnp.linalg.norm(W_L)
    basis = jnp.where((sizes > floor)[:, None], basis, 0.0)
    inside = jnp.einsum("abm,nm->abn", neurons, basis, precision=_FULL)
    on = jnp.einsum("abn,nm->abm", inside, basis, precision=_FULL)
    return Projection(on, neurons - on)
