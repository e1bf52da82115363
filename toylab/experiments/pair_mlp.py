"""The exact loss of a tied two-layer network, with each unordered pair computed once.

A tied network gives (a, b) and (b, a) the same logits. Where both have the same answer, the mean
over any set of ordered pairs is a weighted sum over the p(p+1)/2 pairs with a ≤ b: the same loss
in half of the work. Train and test set are two vectors of weights on one forward pass.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from toylab.analysis.arguments import Numbers
from toylab.analysis.modular_arguments import answer_grid, pair_numbers, whole_numbers
from toylab.analysis.progress_measures import cross_entropies
from toylab.errors import ConfigError
from toylab.models.mlp import ACTIVATIONS, PairMLP

__all__ = ["UnorderedPairs", "unordered_logits", "unordered_loss", "unordered_pairs"]


class UnorderedPairs(NamedTuple):
    """All pairs with a ≤ b, in the order (0, 0), (0, 1), ..., (p-1, p-1); n = p(p+1)/2.

    Attributes:
        a, b: int32 [n]. right: int32 [n], the answers.
        weight: float32 [n], the share of the given pairs that are (a, b) or (b, a); sums to 1.
    """

    a: jax.Array
    b: jax.Array
    right: jax.Array
    weight: jax.Array


def unordered_pairs(answers: Numbers, pairs: Numbers | None = None) -> UnorderedPairs:
    """Every unordered pair, weighted by how often it occurs among `pairs`.

    Args:
        answers: int [p, p], the same for (a, b) and (b, a).
        pairs: int [n], numbers a p + b (may be traced); all p² unless given.

    Raises:
        ConfigError: `answers: (0, 1) has 4 but (1, 0) has 1; ...`, or a pair out of range.

    Example: over all pairs of p = 2 the weights of (0, 0), (0, 1), (1, 1) are 1/4, 1/2, 1/4.
    """
    square = whole_numbers("answers", answers, ("p", "p"), 0, 2**31 - 1)
    p = square.shape[0]
    grid, numbers = answer_grid(square, p), pair_numbers(pairs, p)
    if not isinstance(grid, Tracer):
        _require_symmetric(np.asarray(grid))
    a, b = (side.astype(np.int32) for side in np.triu_indices(p))
    counts = jnp.zeros((p, p)).at[numbers // p, numbers % p].add(1.0)
    both = jnp.where(jnp.eye(p, dtype=bool), counts, counts + counts.T)
    return UnorderedPairs(jnp.asarray(a), jnp.asarray(b), grid[a, b], both[a, b] / numbers.size)


def unordered_logits(model: PairMLP, pairs: UnorderedPairs) -> jax.Array:
    """The logits [n, p] of a tied network on every unordered pair.

    Raises:
        ConfigError: a network whose W_b is its own.
    """
    if model.W_b is not None:
        raise ConfigError(
            "model.W_b: must be None; a network that is not tied tells (a, b) from (b, a)"
        )
    hidden = ACTIVATIONS[model.activation](_both_rows(model.W_a[...].T, pairs.a, pairs.b))
    return hidden @ model.W_out[...].T


def unordered_loss(model: PairMLP, pairs: UnorderedPairs) -> jax.Array:
    """The mean cross-entropy over the pairs that `pairs.weight` was made of, float32 []."""
    return cross_entropies(unordered_logits(model, pairs), pairs.right) @ pairs.weight


def _require_symmetric(grid: np.ndarray) -> None:
    differ = np.argwhere(grid != grid.T)
    if len(differ):
        a, b = differ[0].tolist()
        raise ConfigError(
            f"answers: ({a}, {b}) has {grid[a, b]} but ({b}, {a}) has {grid[b, a]}; a tied network "
            "answers both alike, so train one that is not tied"
        )


# Forward a product with a one-hot matrix, backward a scatter of rows: on a CPU each is the faster
# one of the two where it stands. XLA fuses a gather into the activation and repeats it backward.
@jax.custom_vjp
def _both_rows(table: jax.Array, a: jax.Array, b: jax.Array) -> jax.Array:
    """table[a] + table[b], [n, d_mlp]."""
    p = table.shape[0]
    return (jax.nn.one_hot(a, p) + jax.nn.one_hot(b, p)) @ table


def _both_rows_forward(
    table: jax.Array, a: jax.Array, b: jax.Array
) -> tuple[jax.Array, tuple[jax.Array, jax.Array, jax.Array]]:
    return _both_rows(table, a, b), (jnp.zeros_like(table), a, b)


def _both_rows_backward(
    kept: tuple[jax.Array, jax.Array, jax.Array], gradient: jax.Array
) -> tuple[jax.Array, None, None]:
    zeros, a, b = kept
    return zeros.at[a].add(gradient).at[b].add(gradient), None, None


_both_rows.defvjp(_both_rows_forward, _both_rows_backward)
