"""The logits of small networks without rounding: integers for two layers, 80 digits for attention.

Written from the definition of the networks, one pair at a time, and shares nothing with
`toylab.analysis`: what certificates claim is held against it.
"""

from __future__ import annotations

import decimal
from fractions import Fraction
from typing import Any

import numpy as np

from toylab.models.mlp import PairMLP
from toylab.models.transformer import Transformer

DIGITS = 80


def exact_logits(model: PairMLP | Transformer) -> np.ndarray:
    """[p, p, p] of `Fraction` (two layers) or `Decimal` (attention), indexed [a, b, c]."""
    if isinstance(model, PairMLP):
        return _pair_logits(model)
    with decimal.localcontext(prec=DIGITS):
        return _attention_logits(model)


def n_right(logits: np.ndarray, answers: np.ndarray) -> int:
    """How many pairs have their answer's logit above every other; ties are wrong."""
    return sum(
        all(values[c] < values[right] for c in range(len(values)) if c != right)
        for row, rights in zip(logits, answers, strict=True)
        for values, right in zip(row, rights.tolist(), strict=True)
    )


def distance(computed: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """|computed - exact|, in float64 (rounded once), of the same shape."""
    with decimal.localcontext(prec=4 * DIGITS):
        number: Any = type(logits.flat[0])
        difference = [
            abs(number(x) - y) for x, y in zip(computed.ravel().tolist(), logits.flat, strict=True)
        ]
    return np.array([float(x) for x in difference]).reshape(computed.shape)


def _pair_logits(model: PairMLP) -> np.ndarray:
    """Σ_m W_out[c, m] f(W_a[m, a] + W_b[m, b]) in integers, then divided by powers of two."""
    (W_a, W_b), unit_in = _integers(*model.inputs)
    (W_out,), unit_out = _integers(model.W_out[...])
    squared = model.activation == "quadratic"
    before = W_a.T[:, None] + W_b.T[None]  # [a, b, m]
    hidden = before * before if squared else np.where(before > 0, before, 0)
    numerators = hidden @ W_out.T
    unit = unit_out * unit_in ** (2 if squared else 1)
    return np.array([Fraction(x, unit) for x in numerators.flat], object).reshape(numerators.shape)


def _integers(*arrays: Any) -> tuple[list[np.ndarray], int]:
    """Arrays of floats as integers over one common power of two."""
    floats = [np.asarray(array, np.float64) for array in arrays]
    ratios = [[x.as_integer_ratio() for x in array.ravel().tolist()] for array in floats]
    unit = max(denominator for ratio in ratios for _, denominator in ratio)
    return [
        np.array([n * (unit // d) for n, d in ratio], object).reshape(array.shape)
        for ratio, array in zip(ratios, floats, strict=True)
    ], unit


def _attention_logits(model: Transformer) -> np.ndarray:
    names = ("W_Q", "W_K", "W_V", "W_O", "W_in", "b_in", "W_out", "b_out")
    W_E, W_pos, W_U = (_decimals(getattr(model, name)[...]) for name in ("W_E", "W_pos", "W_U"))
    W_Q, W_K, W_V, W_O, W_in, b_in, W_out, b_out = (
        _decimals(getattr(model, name)[0]) for name in names
    )
    p = len(W_E) - 1
    logits = np.empty((p, p, p), object)
    root = decimal.Decimal(W_Q.shape[-1]).sqrt()
    for a, b in np.ndindex(p, p):
        x = W_E[[a, b, p]] + W_pos
        middle = x[2]
        for Q, K, V, O in zip(W_Q, W_K, W_V, W_O, strict=True):
            scores = (x @ K) @ (x[2] @ Q) / root
            weight = np.array([score.exp() for score in scores - max(scores)], object)
            middle = middle + (weight / weight.sum()) @ (x @ V) @ O
        before = middle @ W_in + b_in
        hidden = np.array([max(value, decimal.Decimal(0)) for value in before], object)
        logits[a, b] = ((middle + hidden @ W_out + b_out) @ W_U)[:p]
    return logits


def _decimals(array: Any) -> np.ndarray:
    floats = np.asarray(array, np.float64)
    numbers = [decimal.Decimal(x) for x in floats.ravel().tolist()]
    return np.array(numbers, object).reshape(floats.shape)
