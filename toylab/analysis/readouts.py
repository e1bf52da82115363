"""What the neurons send to the logits along the waves of the output: u_k^T MLP and v_k^T MLP.

In the Fourier basis of the outputs the map from neurons to logits, W_L = W_U W_out, has one row for
each wave: u_k for cos(w_k c), v_k for sin(w_k c). If the logits are a sum of alpha_k cos(w_k s),
s = a + b - c, then u_k^T MLP(a, b) is a multiple of cos w_k(a + b), and v_k^T MLP(a, b) the same
multiple of sin w_k(a + b).

Source: Nanda et al. 2023, "Progress measures for grokking via mechanistic interpretability"
(2301.05217), section 4.2 and Table 1.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from toylab.analysis.arguments import Numbers
from toylab.analysis.columns import ratio
from toylab.analysis.fourier import basis_rows
from toylab.analysis.modular_arguments import answer_grid, frequency_numbers, real_array

__all__ = ["Readout", "Readouts", "readouts"]


class Readout(NamedTuple):
    """What the neurons send along one wave of the outputs, against the same wave of the answer.

    Attributes:
        values: [..., p, p], u^T MLP(a, b) less its mean over pairs.
        coefficient: [...], of cos w_k t (or sin) in it, by least squares.
        fve: [...], the fraction of variance that this one term explains, in [0, 1].
    """

    values: jax.Array
    coefficient: jax.Array
    fve: jax.Array


class Readouts(NamedTuple):
    """The readouts of some frequencies, leading axes as in `keys`.

    Attributes:
        cosine: along u_k, against cos w_k(a + b).
        sine: along v_k, against sin w_k(a + b).
    """

    cosine: Readout
    sine: Readout


def readouts(
    W_L: Numbers, neurons: Numbers, keys: Numbers, answers: Numbers | None = None
) -> Readouts:
    """u_k^T MLP(a, b) and v_k^T MLP(a, b), and how much of them is the wave of the answer.

    u_k and v_k are rows 2k - 1 and 2k of F W_L, with the orthonormal F of `fourier_basis`. A term
    alpha cos w_k(a + b - c) of the logits therefore appears here with coefficient alpha sqrt(p/2).

    Args:
        W_L: [p, d_mlp], W_U W_out without the row of '='.
        neurons: [p, p, d_mlp], after the activation, indexed [a, b, neuron].
        keys: frequency numbers in 1..K, one or an array of them, [...].
        answers: [p, p], whose waves to compare with; (a + b) mod p unless given.

    Returns:
        Readouts, two `Readout` with leading axes [...].

    Raises:
        ConfigError: shapes that do not fit, or a frequency out of range.

    Example: one neuron cos w_1(a + b) with W_L = cos(w_1 c) [p, 1] has the cosine coefficient
        sqrt(p/2) and FVE 1, and a sine readout of 0, with FVE 0.
    """
    to_logits = real_array("W_L", W_L, ("p", "d_mlp"))
    p, width = to_logits.shape
    active = real_array("neurons", neurons, (p, p, width))
    return _readouts(to_logits, active, frequency_numbers(keys, p), answer_grid(answers, p))


@jax.jit
def _readouts(W_L: jax.Array, neurons: jax.Array, numbers: jax.Array, grid: jax.Array) -> Readouts:
    rows = jnp.stack([2 * numbers - 1, 2 * numbers])
    F = jnp.asarray(basis_rows(W_L.shape[0]), W_L.dtype)
    highest = jax.lax.Precision.HIGHEST
    directions = jnp.matmul(F[rows], W_L, precision=highest)
    values = jnp.einsum("...d,abd->...ab", directions, neurons, precision=highest)
    values = values - values.mean((-2, -1), keepdims=True)
    waves = (W_L.shape[0] / 2) ** 0.5 * F[rows][..., grid]
    overlap, size = (waves * values).sum((-2, -1)), jnp.square(waves).sum((-2, -1))
    coefficient = ratio(overlap, size)
    fve = ratio(overlap * coefficient, jnp.square(values).sum((-2, -1)))
    pair = Readout(values, coefficient, fve)
    return Readouts(*(jax.tree.map(lambda field, i=i: field[i], pair) for i in range(2)))
