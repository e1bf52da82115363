"""The waves that a two-layer network's neurons are made of, and how their phases line up.

Shapes. W_in is [d_mlp, p]: row m is what neuron m reads, one number for each of the p tokens. W_out
is [p, d_mlp]: column m is what it writes on the p logits. Frequencies w_k = 2πk/p are numbered
k = 1..K, K = (p - 1) // 2, and stand at index k - 1. Leading axes (cells, snapshots) pass through.

A neuron with input α cos(w_k j + φ) and output β cos(w_k c + ψ) works for a + b when ψ = 2φ: a
square or a ReLU of the sum of two waves holds one that turns with a + b at phase 2φ. Training
drives the *misalignment* D = 2φ - ψ to 0, and spreads the phases of a frequency evenly, which
cancels what depends on a and b alone.

Source: He et al. 2026, arXiv 2602.16849.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from toylab.analysis.arguments import Numbers, integer, real
from toylab.analysis.fourier import inverse_participation_ratio
from toylab.analysis.modular_arguments import n_frequencies, real_array, whole_numbers
from toylab.config import Rule

__all__ = [
    "Alignment",
    "Waves",
    "aligned_share",
    "alignment",
    "layers",
    "mean_abs_sin",
    "mean_participation",
    "neurons_per_frequency",
    "phase_symmetry",
    "waves",
    "wrapped",
]


class Waves(NamedTuple):
    """Functions on 0..p-1 as sums of waves magnitude_k cos(w_k j + phase_k), less their means.

    Attributes:
        magnitude: [..., K], at least 0.
        phase: [..., K] in (-π, π]; 0 where the magnitude is 0.
    """

    magnitude: jax.Array
    phase: jax.Array


class Alignment(NamedTuple):
    """Each neuron at its own frequency, the one of largest magnitude in its input weights.

    Attributes:
        frequency: int32 [d_mlp] in 1..K. out_frequency: the largest of its output weights.
        alpha, phi: [d_mlp], magnitude and phase of the input at `frequency`.
        beta, psi: [d_mlp], of the output at the same frequency.
        misalignment: [d_mlp], D = 2φ - ψ in (-π, π].
    """

    frequency: jax.Array
    out_frequency: jax.Array
    alpha: jax.Array
    phi: jax.Array
    beta: jax.Array
    psi: jax.Array
    misalignment: jax.Array


def waves(W: Numbers) -> Waves:
    """Magnitudes and phases of the rows of W: z_k = (2/p) Σ_j W_j e^(-i w_k j) = α_k e^(i φ_k).

    In the orthonormal basis of cosines and sines with coefficients c_k, s_k this is
    α_k = √(2/p) √(c_k² + s_k²) and φ_k = atan2(-s_k, c_k).

    Args:
        W: [..., p], p >= 3.

    Returns:
        Waves(magnitude [..., K], phase [..., K]).

    Raises:
        ConfigError: `W=float32[2]: must have the shape [..., p] with p >= 3`.

    Example: the row 3 cos(w_2 j + 1) at p = 7 has magnitudes (0, 3, 0) and phase 1 at k = 2.
    """
    return _waves(real_array("W", W, ("...", "p"), least=3))


def layers(W_in: Numbers, W_out: Numbers) -> tuple[Waves, Waves]:
    """The waves that each neuron reads and those that it writes.

    Args:
        W_in: [..., d_mlp, p]. W_out: [..., p, d_mlp].

    Returns:
        (α and φ, β and ψ), each [..., d_mlp, K].

    Raises:
        ConfigError: `W_out=float32[3, 5]: must have the shape [5, 3]`, where W_in is [3, 5].
    """
    inward, outward = _rows(W_in, W_out)
    return waves(inward), waves(outward)


def alignment(W_in: Numbers, W_out: Numbers) -> Alignment:
    """Frequency, magnitudes, phases and misalignment of every neuron; leading axes pass through.

    Args:
        W_in: [..., d_mlp, p], of both numbers (a tied network). W_out: [..., p, d_mlp].

    Raises:
        ConfigError: as `layers`.

    Example: input cos(w_1 j + 0.5), output 2 cos(w_1 c + 0.7): frequency 1, D = 1.0 - 0.7 = 0.3.
    """
    read, written = layers(W_in, W_out)
    best = jnp.argmax(read.magnitude, axis=-1, keepdims=True)
    alpha, phi, beta, psi = (
        jnp.take_along_axis(array, best, axis=-1)[..., 0] for array in (*read, *written)
    )
    return Alignment(
        frequency=best[..., 0] + 1,
        out_frequency=jnp.argmax(written.magnitude, axis=-1) + 1,
        alpha=alpha,
        phi=phi,
        beta=beta,
        psi=psi,
        misalignment=wrapped(2.0 * phi - psi),
    )


def mean_abs_sin(misalignment: Numbers) -> jax.Array:
    """He et al.'s progress measure, the mean of |sin D| over neurons.

    It cannot tell an aligned neuron from one that is exactly opposed (D = π); no training stays
    there, since D = π repels.

    Args:
        misalignment: D, [..., d_mlp] in radians.

    Returns:
        [...] in [0, 1]; 2/π = 0.637 for uniform phases.

    Example: D = (0, π/2) gives 1/2.
    """
    return jnp.abs(jnp.sin(real_array("misalignment", misalignment, ("...", "d_mlp")))).mean(-1)


def aligned_share(misalignment: Numbers, within: float = 0.1) -> jax.Array:
    """The share of neurons with |D| < within.

    Args:
        misalignment: D, [..., d_mlp] in (-π, π].
        within: radians, at least 0.

    Returns:
        [...] in [0, 1]; within/π for uniform phases.

    Raises:
        ConfigError: `within=-1: must be in [0, inf]`.
    """
    real("within", within, Rule("float", low=0.0))
    array = real_array("misalignment", misalignment, ("...", "d_mlp"))
    return (jnp.abs(array) < within).mean(-1)


def mean_participation(W_in: Numbers, W_out: Numbers) -> jax.Array:
    """He et al.'s curve of sparsity: `inverse_participation_ratio`, the mean over both layers.

    Args:
        W_in: [..., d_mlp, p]. W_out: [..., p, d_mlp].

    Returns:
        [...] in [1/K, 1]; 1 when each neuron reads one frequency and writes one.

    Raises:
        ConfigError: as `layers`.

    Example: a neuron that reads cos(w_1 j) and writes cos(w_1 c) + cos(w_2 c) has 3/4.
    """
    read, written = (inverse_participation_ratio(W) for W in _rows(W_in, W_out))
    return (read.mean(-1) + written.mean(-1)) / 2


def neurons_per_frequency(frequency: Numbers, K: int) -> jax.Array:
    """How many neurons each frequency has, int32 [..., K]; they sum to d_mlp.

    Args:
        frequency: [..., d_mlp] in 1..K.
        K: the number of frequencies.

    Example: frequencies (1, 3, 3) of K = 3 give (1, 0, 2).
    """
    return _groups(frequency, K).sum(-2, dtype=jnp.int32)


def phase_symmetry(phase: Numbers, frequency: Numbers, K: int) -> jax.Array:
    """How unevenly the phases of a group lie on the circle: |mean over its neurons of e^(i r φ)|.

    The unwanted terms of a group's logits carry the factors r = 2 and 4; r = 1..4 all vanish for
    five or more equally spaced phases, and are about 1/√n for n random ones.

    Args:
        phase: φ, [..., d_mlp].
        frequency: [..., d_mlp] in 1..K, each neuron's group.
        K: the number of frequencies.

    Returns:
        [..., 4, K] in [0, 1], row r - 1; 0 for a group without neurons
        (see `neurons_per_frequency`).

    Example: φ = (0, π/2, π, 3π/2) in one group gives (0, 0, 0, 1).
    """
    angles = real_array("phase", phase, ("...", "d_mlp"))
    member = _groups(frequency, K)
    turns = angles[..., None, :] * jnp.broadcast_to(
        jnp.arange(1.0, 5.0)[:, None], (*angles.shape[:-1], 4, 1)
    )
    size = jnp.maximum(member.sum(-2), 1)[..., None, :]
    return jnp.hypot(jnp.cos(turns) @ member, jnp.sin(turns) @ member) / size


def wrapped(angle: jax.Array) -> jax.Array:
    """The same direction in (-π, π]; an angle that is there already stays as it is."""
    turned = angle - 2 * np.pi * jnp.ceil((angle - np.pi) / (2 * np.pi))
    return jnp.where(turned <= -np.float32(np.pi), np.float32(np.pi), turned)


def _rows(W_in: Numbers, W_out: Numbers) -> tuple[jax.Array, jax.Array]:
    """What each neuron reads and what it writes, both [..., d_mlp, p]."""
    inward = real_array("W_in", W_in, ("...", "d_mlp", "p"))
    *cells, d_mlp, p = inward.shape
    return inward, real_array("W_out", W_out, (*cells, p, d_mlp)).mT


@jax.jit
def _waves(array: jax.Array) -> Waves:
    p = array.shape[-1]
    z = (2.0 / p) * jnp.fft.rfft(array, axis=-1)[..., 1 : n_frequencies(p) + 1]
    return Waves(jnp.abs(z), wrapped(jnp.angle(z)))


def _groups(frequency: Numbers, K: int) -> jax.Array:
    """Whether neuron m belongs to frequency k, as numbers [..., d_mlp, K]."""
    integer("K", K, 1)
    numbers = whole_numbers("frequency", frequency, ("...", "d_mlp"), 1, K)
    return jax.nn.one_hot(numbers - 1, K)
