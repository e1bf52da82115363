"""Arithmetic in float64 with a proven radius: what was computed, and how far off it can be.

Model of arithmetic. u = 2⁻⁵³ and γ_n = nu/(1 - nu). IEEE 754 doubles rounded to nearest; sums of
products in any order, with or without fused multiply-add, so that |fl(x·y) - x·y| ≤ γ_n |x|·|y| for
n terms (no product of matrices by Strassen's scheme: OpenBLAS, MKL and numpy have none). What is
lost by underflow, even flushed to zero and multiplied by all later layers (weights below 2¹⁰⁰, sums
of up to 2²⁰ terms), stays below 2⁻⁵⁰⁰, which every radius contains. Overflow gives inf or nan, and
no comparison with those proves anything.

Two functions of numpy are trusted beyond that, each with a wide margin:
- exp is within `EXP_ULPS` = 4 units in the last place, a relative error of 8u. The vector code for
  AVX-512 follows Tang 1989, proven to 0.77 and tested to 1 (numpy, pull request 15648); the other
  vector functions of numpy were published with at most 4 (pull request 19478); glibc states 1.
- the discrete Fourier transform has a relative error below `FFT_ERROR` in the Euclidean norm, about
  a hundred times what it shows. Theory gives a few u log₂ n (Higham 2002, theorem 24.2).

The radii are themselves rounded: sums of at most 2³⁰ terms that are not negative, off by less than
2⁻²² of themselves. `upward` enlarges them by 2⁻²⁰.

Source: Higham 2002, "Accuracy and Stability of Numerical Algorithms", sections 2.2, 3.1 and 3.5.
"""

from __future__ import annotations

from typing import NamedTuple, TypeVar

import numpy as np

__all__ = [
    "EXP_ULPS",
    "FFT_ERROR",
    "UNIT",
    "Ball",
    "add",
    "exact",
    "gamma",
    "multiply",
    "scale",
    "softmax",
    "upward",
]

UNIT = 2.0**-53
"""u, the largest relative error of one rounding."""

EXP_ULPS = 4
"""How many units in the last place numpy's exp is trusted to."""

FFT_ERROR = 2.0**-43
"""The relative error, in the Euclidean norm, that numpy's transforms are trusted to."""

_TINY = 2.0**-500
_ENLARGE = 1 + 2.0**-20
_LARGEST_RELATIVE = 2.0**-7

_Bound = TypeVar("_Bound", float, np.ndarray)


class Ball(NamedTuple):
    """An array that is known up to a radius: |x - middle| ≤ radius in every entry.

    Attributes:
        middle: float64, any shape. radius: float64 of the same shape, at least 0.
    """

    middle: np.ndarray
    radius: np.ndarray


def gamma(n_terms: int) -> float:
    """γ_n = nu / (1 - nu), the relative error of a sum of n products.

    Example: gamma(1) = u(1 + u + ...) = 1.11e-16; gamma(512) = 5.68e-14.
    """
    return n_terms * UNIT / (1 - n_terms * UNIT)


def upward(bound: _Bound) -> _Bound:
    """A bound at least 0, enlarged by 2⁻²⁰ of itself (and 2⁻⁵⁰⁰) to cover its own rounding."""
    return bound * _ENLARGE + _TINY


def exact(values: np.ndarray) -> Ball:
    """Numbers that are what they are: radius 0."""
    return Ball(values, np.zeros_like(values))


def add(*terms: Ball) -> Ball:
    """The sum of balls whose shapes broadcast: radius Σ r_i + γ_{n-1} Σ |m_i|."""
    middle = np.sum(np.broadcast_arrays(*(term.middle for term in terms)), axis=0)
    loss = gamma(len(terms) - 1)
    return Ball(middle, upward(_total([term.radius + loss * abs(term.middle) for term in terms])))


def _total(terms: list[np.ndarray]) -> np.ndarray:
    return np.sum(np.broadcast_arrays(*terms), axis=0)


def multiply(left: Ball, right: Ball) -> Ball:
    """The product of matrices [..., i, n] and [..., n, j]; three products of floats.

    Radius: |A| (r_B + γ_n |B|) + r_A (|B| + r_B).
    """
    size = abs(right.middle)
    loss = gamma(size.shape[-2])
    radius = abs(left.middle) @ (right.radius + loss * size) + left.radius @ (size + right.radius)
    return Ball(left.middle @ right.middle, upward(radius))


def scale(ball: Ball, factor: float) -> Ball:
    """A ball times a number that is itself the result of at most two roundings, as 1/√n is."""
    middle = ball.middle * factor
    return Ball(middle, upward(ball.radius * abs(factor) * (1 + 4 * UNIT) + gamma(4) * abs(middle)))


def softmax(scores: Ball) -> Ball:
    """e^{x_t} / Σ e^{x_t} over the last axis.

    With d_t = x_t - max (rounded: ρ_t = r_t + u|d_t|) each exponential is right up to the factor
    1 ± ε, ε = 1.01 (max_t ρ_t + 8u), and each quotient up to 1 ± 2.1 (ε + γ_{n+1}), as long as
    ε < 2⁻⁷. Otherwise nothing is claimed but that both numbers lie in [0, 1].

    Args:
        scores: [..., n].

    Returns:
        Ball [..., n]; middles in [0, 1] up to rounding.

    Example: exact scores (0, 0) give (1/2, 1/2) with radius 1.3e-15.
    """
    n_terms = scores.middle.shape[-1]
    below = scores.middle - scores.middle.max(-1, keepdims=True)
    weight = np.exp(below)
    middle = weight / weight.sum(-1, keepdims=True)
    moved = (scores.radius + UNIT * abs(below)).max(-1, keepdims=True)
    relative = 1.01 * upward(moved + 2 * EXP_ULPS * UNIT)
    radius = upward(2.1 * (relative + gamma(n_terms + 1)) * middle)
    return Ball(middle, np.where(relative < _LARGEST_RELATIVE, radius, 1.01))
