"""How many pairs a network can get wrong at most, from the logits as waves plus a residual.

Write L(a, b, c) = g(s) + R_s(a, b) with s = y(a, b) - c mod p, y the right answer and g the mean
over all pairs; gap(s) = g(0) - g(s). The pair (a, b) is wrong only if some s ≠ 0 has L_s ≥ L_0 (a
tie is wrong), which says R_s - R_0 ≥ gap(s). If all gaps are positive,

    moment of order q:  errors ≤ Σ_{s≠0} Σ_ab ((R_s - R_0)₊ / gap(s))^q
    energy:             errors ≤ 2 ‖R‖² / min gap²,  since (R_s - R_0)² ≤ 2 (R_s² + R_0²).

Errors are integers: below 1 proves 100 %. If every pair is right, all ratios are below 1 and the
moment falls to 0 as q grows; one wrong pair makes it grow without bound.

Rounding. R_s - R_0 = gap(s) - (L_0 - L_s), so both bounds hold for *any* positive numbers in place
of the gaps, and any constants in place of g: those computed need no margin for being rounded. What
needs one are the logits, L_0 - L_s: twice their error bound and 4u(gap + 2 max |L|) for the
arithmetic is added to each numerator, and sums are enlarged by 2⁻²⁰ (`rounding.upward`).

Source: Chebyshev's inequality for each rival answer; shared with `certificate_weights`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from toylab.analysis.certificate_forward import Row
from toylab.analysis.rounding import UNIT, upward

__all__ = [
    "Aligned",
    "Moments",
    "align",
    "class_gaps",
    "energy_errors",
    "errors_by_energy",
    "errors_by_moments",
    "residual_energy",
]


class Aligned(NamedTuple):
    """Logits by how far they are from the right answer.

    Attributes:
        logits: [p, p, p] indexed [a, b, s]: the logit of c = y(a, b) - s mod p, so s = 0 is right.
        error: [p, p], no logit of the pair is farther than this from exact.
    """

    logits: np.ndarray
    error: np.ndarray


class Moments(NamedTuple):
    """What a moment of the residual proves.

    Attributes:
        errors: upper bound on the number of wrong pairs, a real number; inf when a gap is not
            positive.
        least_gap: min_{s≠0} gap(s). largest_ratio: max (R_s - R_0) / gap(s); below 1 means that
            every pair is right, whatever the order.
    """

    errors: float
    least_gap: float
    largest_ratio: float


def align(rows: Iterable[Row], answers: np.ndarray) -> Aligned:
    """Collect the rows a = 0..p-1 and reorder the logits of each pair by s = answer - c mod p.

    Args:
        rows: p rows. answers: [p, p] integers in 0..p-1.
    """
    p = answers.shape[0]
    turned = (answers[:, :, None] - np.arange(p)[None, None]) % p
    logits, error = np.empty((p, p, p)), np.empty((p, p))
    for a, row in zip(range(p), rows, strict=True):
        logits[a] = np.take_along_axis(row.logits, turned[a], axis=-1)
        error[a] = row.error
    return Aligned(logits, error)


def class_gaps(aligned: Aligned) -> np.ndarray:
    """gap(s) = g(0) - g(s) for s = 1..p-1, [p-1]; g is the mean over all pairs."""
    means = aligned.logits.mean((0, 1))
    return means[0] - means[1:]


def errors_by_moments(aligned: Aligned, order: int) -> Moments:
    """errors ≤ Σ_{s≠0} Σ_ab ((R_s - R_0)₊ / gap(s))^order, rounding included.

    Args:
        aligned: logits by s. order: q, at least 1.

    Example: logits that depend on s alone have R = 0: 0 errors (1e-10 with the margin).
    """
    gaps = class_gaps(aligned)
    if not gaps.min() > 0:
        return Moments(np.inf, float(gaps.min()), np.inf)
    total, largest = 0.0, 0.0
    with np.errstate(over="ignore"):  # a tiny gap makes a bound of inf, which proves nothing
        for logits, error in zip(aligned.logits, aligned.error, strict=True):
            size = abs(logits).max(-1)
            margin = upward(2 * error + 4 * UNIT * (gaps.max() + 2 * size))
            excess = gaps[None] - (logits[:, :1] - logits[:, 1:]) + margin[:, None]
            ratio = np.maximum(excess, 0) / gaps[None]
            total += (ratio**order).sum()
            largest = max(largest, ratio.max())
    return Moments(upward(float(total)), float(gaps.min()), float(largest))


def residual_energy(aligned: Aligned) -> float:
    """‖R‖² = Σ_abc (L - mean_c L - g(s))² for the centred g, from above."""
    means = aligned.logits.mean((0, 1))
    means -= means.mean()
    squares, doubt = 0.0, 0.0
    with np.errstate(over="ignore"):  # an energy of inf proves nothing
        for logits, error in zip(aligned.logits, aligned.error, strict=True):
            residual = (logits - logits.mean(-1, keepdims=True)) - means[None]
            size = abs(logits).max(-1) + abs(means).max()
            squares += np.square(residual).sum()
            doubt += means.size * np.square(error + 4 * UNIT * size).sum()
    return upward((math.sqrt(upward(float(squares))) + math.sqrt(upward(float(doubt)))) ** 2)


def energy_errors(energy: float, least_gap: float) -> float:
    """2‖R‖² / min gap², from above; inf when the gap is not positive or vanishes when squared."""
    smallest = max(0.0, least_gap * (1 - 4 * UNIT))
    if not smallest * smallest > 0:
        return np.inf
    return upward(2 * energy / (smallest * smallest))


def errors_by_energy(aligned: Aligned) -> float:
    """Upper bound 2‖R‖² / min gap² on the number of wrong pairs, a real number or inf."""
    return energy_errors(residual_energy(aligned), float(class_gaps(aligned).min()))
