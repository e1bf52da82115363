"""The logits of every pair in float64, each with a proven bound of its rounding error.

The bound costs next to nothing. Written out, it is a second forward pass over absolute values; but
only the worst of a pair's p logits is needed, and a maximum over c can be taken into the weights:
Σ_m |W[c, m]| e_m ≤ Σ_m w_m e_m with w_m = max_c |W[c, m]|. That turns each matrix of the second
pass into one vector, and loosens the bound 1.6-fold for waves, 3-fold for normal weights (p = 113).

Transformer. At '=' attention is a softmax over three scores: one depends on a, one on b, one on
nothing. So do the values and what they become behind W_O W_in and W_O W_U: tables over p tokens. A
pair's pre-activations and direct logits are then 3 n_heads + 1 rows of those tables added up.

"The function" is the network in real arithmetic with its stored weights.

Source: the arithmetic and its assumptions are in `toylab.analysis.rounding`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from toylab.analysis.arguments import integer, real
from toylab.analysis.rounding import Ball, add, exact, gamma, multiply, scale, softmax, upward
from toylab.config import Rule
from toylab.errors import ConfigError, ConfigTypeError
from toylab.models.mlp import PairMLP
from toylab.models.transformer import Transformer

__all__ = ["LARGEST_WEIGHT", "PairWeights", "Row", "logit_rows", "modulus", "pair_weights"]

LARGEST_WEIGHT = 1e30
"""Weights up to this size cannot make a logit or its bound overflow."""

_WEIGHT = Rule("float", -LARGEST_WEIGHT, LARGEST_WEIGHT)
_BATCH = 16


class Row(NamedTuple):
    """The logits of the pairs (a, b) with one a.

    Attributes:
        logits: [p, p] indexed [b, c]. error: [p], no logit of (a, b) is farther than error[b] from
            the function's.
    """

    logits: np.ndarray
    error: np.ndarray


class PairWeights(NamedTuple):
    """A two-layer network in float64: W_a, W_b [d_mlp, p], W_out [p, d_mlp]; x² or ReLU."""

    W_a: np.ndarray
    W_b: np.ndarray
    W_out: np.ndarray
    squared: bool


class _Tables(NamedTuple):
    """What tokens bring to '='; `wide` = d_mlp pre-activations, then p direct logits.

    Attributes:
        scores: of a and b [p, n_heads], of '=' [1, n_heads]. rows: of a and b [p, n_heads, wide],
            of '=' [1, n_heads, wide]. constant: [1, wide], what reaches all pairs.
        W_L: [d_mlp, p], neurons to logits.
    """

    scores: tuple[Ball, ...]
    rows: tuple[Ball, ...]
    constant: Ball
    W_L: Ball


def modulus(model: PairMLP | Transformer) -> int:
    """p, the number of answers; refuses what is not one network for pairs of numbers.

    Raises:
        ConfigTypeError: `model=list: must be a PairMLP or a Transformer`.
        ConfigError: a stack of models, several layers, a context of other than 3 tokens, or p
            above 1000.
    """
    if not isinstance(model, PairMLP | Transformer):
        hint = "; write result.model" if hasattr(model, "model") else ""
        kind = type(model).__name__
        raise ConfigTypeError(f"model={kind}: must be a PairMLP or a Transformer{hint}")
    name, shape = (
        ("W_out", "[p, d_mlp]") if isinstance(model, PairMLP) else ("W_E", "[p + 1, d_model]")
    )
    array = getattr(model, name)[...]
    if array.ndim != 2:
        raise ConfigError(
            f"model={type(model).__name__} with {name}{list(array.shape)}: must be one model, "
            f"{name} {shape}; certify_history takes a stack with a leading axis of records"
        )
    if isinstance(model, PairMLP):
        return integer("p", array.shape[0], 2, 1000)
    if (model.sizes.n_layers, model.sizes.n_ctx) != (1, 3):
        raise ConfigError(
            f"model=Transformer with n_layers={model.sizes.n_layers}, n_ctx={model.sizes.n_ctx}: "
            "must have one layer and read three tokens, `a b =`"
        )
    return integer("p", array.shape[0] - 1, 2, 1000)


def logit_rows(model: PairMLP | Transformer) -> Iterator[Row]:
    """The rows a = 0, 1, ..., p - 1 of the logits' table, one after the other.

    Raises:
        ConfigError: as `modulus`, and `W_E[0, 1]=nan: must be finite and in [-1e+30, 1e+30]`.
    """
    modulus(model)
    if isinstance(model, PairMLP):
        return _pair_rows(pair_weights(model))
    return _attention_rows(_tables(model))


def pair_weights(model: PairMLP) -> PairWeights:
    """The weights of a two-layer network, exactly; a refusal of NaN as in `logit_rows`."""
    W_a, W_b = model.inputs
    W_a, W_b, W_out = _double("W_a", W_a), _double("W_b", W_b), _double("W_out", model.W_out)
    if not W_a.shape == W_b.shape == W_out.T.shape:
        raise ConfigError(
            f"W_a{list(W_a.shape)}, W_b{list(W_b.shape)}, W_out{list(W_out.shape)}: "
            "must be [d_mlp, p], [d_mlp, p] and [p, d_mlp]"
        )
    return PairWeights(W_a, W_b, W_out, model.activation == "quadratic")


def _double(name: str, weight: Any) -> np.ndarray:
    return real(name, np.asarray(weight[...]), _WEIGHT)


class _Hidden(NamedTuple):
    """A row before the last product: neurons [p, d_mlp], direct logits [p, p], error so far [p]."""

    neurons: np.ndarray
    direct: np.ndarray
    error: np.ndarray


def _read_out(rows: Iterator[_Hidden], W_L: np.ndarray, reach: np.ndarray) -> Iterator[Row]:
    """Neurons times W_L [d_mlp, p]; `reach` [d_mlp], their part in the error, is one more column.

    Several rows share a product: threads of the BLAS wait for each other at every one.
    """
    onwards = np.column_stack([W_L, reach])
    while batch := list(itertools.islice(rows, _BATCH)):
        product = np.concatenate([row.neurons for row in batch]) @ onwards
        for row, part in zip(batch, np.split(product, len(batch)), strict=True):
            yield Row(part[:, :-1] + row.direct, upward(part[:, -1] + row.error))


def _pair_rows(weights: PairWeights) -> Iterator[Row]:
    """One rounding in W_a + W_b, doubled by the square, one for the square, m in the sum."""
    W_b = np.ascontiguousarray(weights.W_b.T)
    p, d_mlp = W_b.shape
    activation = np.square if weights.squared else _relu
    none, nothing = np.zeros((p, p)), np.zeros(p)
    rows = (_Hidden(activation(column + W_b), none, nothing) for column in weights.W_a.T)
    reach = upward(gamma(d_mlp + 4) * abs(weights.W_out).max(0))
    return _read_out(rows, weights.W_out.T, reach)


def _attention_rows(tables: _Tables) -> Iterator[Row]:
    reach = _reaches(tables)
    return _read_out(_attention_hidden(tables, reach), tables.W_L.middle, reach.neurons)


def _attention_hidden(tables: _Tables, reach: _Reach) -> Iterator[_Hidden]:
    """The pattern's three parts times the tables' rows, and a ReLU."""
    of_a, of_b, of_is = tables.scores
    row_a, row_b, row_is = (table.middle for table in tables.rows)
    d_mlp, p = tables.W_L.middle.shape
    ones = np.ones((p, 1))
    for a in range(p):
        scores = _each(_three, Ball(of_a.middle[a], of_a.radius[a]), of_b, of_is)
        pattern = softmax(scores)
        to_a, to_b, to_is = np.moveaxis(pattern.middle, -1, 0)
        shared = np.concatenate([row_a[a], row_is[0], tables.constant.middle])
        # einsum rather than @: these sums are too short for the threads of a BLAS.
        wide = np.einsum("bh,hw->bw", np.hstack([to_a, to_is, ones]), shared)
        wide += np.einsum("bh,bhw->bw", to_b, row_b)
        direct = wide[:, d_mlp:]
        error = _reached(reach, pattern, a) + gamma(d_mlp + 2) * abs(direct).max(1)
        yield _Hidden(_relu(wide[:, :d_mlp]), direct, error)


def _relu(before: np.ndarray) -> np.ndarray:
    return np.maximum(before, 0)


def _three(of_a: np.ndarray, of_b: np.ndarray, of_is: np.ndarray) -> np.ndarray:
    """[n_heads], [p, n_heads] and [1, n_heads] as [p, n_heads, 3]."""
    return np.stack(np.broadcast_arrays(of_a[None], of_b, of_is), axis=-1)


class _Reach(NamedTuple):
    """How far parts of the computation can move the worst logit.

    Attributes:
        size: one unit of attention to a, b [p, n_heads] and '=' [1, n_heads].
        doubt: the same attention through the tables' radii and the rounding of the sum of rows.
        constant: what does not depend on the pattern.
        neurons: [d_mlp], one unit of a neuron through the radius of W_L and the rounding of the
            product with it.
    """

    size: list[np.ndarray]
    doubt: list[np.ndarray]
    constant: float
    neurons: np.ndarray


def _reaches(tables: _Tables) -> _Reach:
    size, radius = abs(tables.W_L.middle), tables.W_L.radius
    d_mlp = len(size)
    weight = (size + radius).max(1, initial=0)
    loss = gamma(3 * tables.rows[0].middle.shape[1] + 2)

    def reach(row: np.ndarray) -> np.ndarray:
        return upward(row[..., :d_mlp] @ weight + row[..., d_mlp:].max(-1))

    def doubt(table: Ball) -> np.ndarray:
        return reach(table.radius + loss * abs(table.middle))

    return _Reach(
        size=[reach(abs(table.middle) + table.radius) for table in tables.rows],
        doubt=[doubt(table) for table in tables.rows],
        constant=float(doubt(tables.constant)[0]),
        neurons=upward(gamma(d_mlp + 2) * size + radius).max(1, initial=0),
    )


def _reached(reach: _Reach, pattern: Ball, a: int) -> np.ndarray:
    """Bound of a pair's error before the ReLU's product with W_L, [p]."""
    total = np.full(len(pattern.middle), reach.constant)
    for place, at in enumerate((slice(a, a + 1), slice(None), slice(None))):
        through_pattern = pattern.radius[..., place] * reach.size[place][at]
        through_table = pattern.middle[..., place] * reach.doubt[place][at]
        total += (through_pattern + through_table).sum(-1)
    return total


def _tables(model: Transformer) -> _Tables:
    """Everything that depends on one token, with radii."""
    weights = _attention_weights(model)
    W_E, W_pos = weights["W_E"], weights["W_pos"]
    W_Q, W_K, W_V, W_O, W_in, W_out = (
        exact(weights[name][0]) for name in ("W_Q", "W_K", "W_V", "W_O", "W_in", "W_out")
    )
    p = len(W_E) - 1
    W_answers = exact(weights["W_U"][:, :p])
    tokens = (W_E[:p], W_E[:p], W_E[p:])
    places = [add(exact(x), exact(W_pos[i : i + 1])) for i, x in enumerate(tokens)]
    query = multiply(places[2], W_Q)  # [n_heads, 1, d_head]
    look = multiply(W_K, _each(lambda x: x.swapaxes(1, 2), query))  # [n_heads, d_model, 1]
    look = _each(lambda x: x[..., 0].T, look)
    to_both = _each(_beside, W_in, W_answers)
    behind = multiply(W_O, to_both)  # [n_heads, d_head, wide]
    bias = multiply(exact(weights["b_out"]), W_answers)
    bias = _each(_beside, exact(weights["b_in"]), bias)
    per_root = 1 / math.sqrt(W_Q.middle.shape[-1])
    rows = (multiply(multiply(x, W_V), behind) for x in places)
    return _Tables(
        scores=tuple(scale(multiply(x, look), per_root) for x in places),
        rows=tuple(_each(lambda x: np.ascontiguousarray(x.swapaxes(0, 1)), row) for row in rows),
        constant=add(multiply(places[2], to_both), bias),
        W_L=multiply(W_out, W_answers),
    )


def _each(change: Callable[..., np.ndarray], *balls: Ball) -> Ball:
    """The same rearrangement of middles and of radii."""
    return Ball(*(change(*parts) for parts in zip(*balls, strict=True)))


def _beside(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    return np.concatenate([left, right], axis=-1)


def _attention_weights(model: Transformer) -> dict[str, np.ndarray]:
    """All arrays in float64, their shapes checked against each other."""
    vocab, ctx, d, heads, head, mlp, layers = model.sizes
    shapes = {
        "W_E": (vocab, d),
        "W_pos": (ctx, d),
        **dict.fromkeys(("W_Q", "W_K", "W_V"), (layers, heads, d, head)),
        "W_O": (layers, heads, head, d),
        "W_in": (layers, d, mlp),
        "b_in": (layers, mlp),
        "W_out": (layers, mlp, d),
        "b_out": (layers, d),
        "W_U": (d, vocab),
    }
    arrays = {name: _double(name, getattr(model, name)) for name in shapes}
    for name, shape in shapes.items():
        if arrays[name].shape != shape:
            raise ConfigError(
                f"{name}{list(arrays[name].shape)}: must be {list(shape)}, "
                "as W_E, W_pos, W_Q and W_in say"
            )
    return arrays
