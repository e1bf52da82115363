"""A one-layer transformer on `a b =`, for many pairs at once, computed where it is read.

The same numbers as `Transformer` at the last position, with less work: scores and values depend on
one token each, so they are tables over the vocabulary; the products of weight matrices that stand
next to each other (W_O W_in, W_O W_U, W_out W_U) are formed once; the residual stream never exists.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from toylab.models.transformer import Transformer

__all__ = ["LastToken", "all_pairs", "some_pairs"]


class LastToken(NamedTuple):
    """What happens at '='.

    Attributes:
        pattern: [..., n_heads, 3], attention from '=' to a, b and itself.
        neurons: [..., d_mlp], after the ReLU. logits: [..., d_vocab].
    """

    pattern: jax.Array
    neurons: jax.Array
    logits: jax.Array


class _Tables(NamedTuple):
    """Scores [p, n_heads] and values [p, n_heads * d_head] of a and of b; those of '=' [1, ...]."""

    score_a: jax.Array
    score_b: jax.Array
    score_is: jax.Array
    value_a: jax.Array
    value_b: jax.Array
    value_is: jax.Array


def all_pairs(model: Transformer) -> LastToken:
    """Every pair: fields [p, p, ...] indexed [a, b]; logits [p, p, p], without the one for '='."""
    tables = _tables(model)
    p = tables.score_a.shape[0]
    found = _at_equals(
        model,
        tables._replace(
            score_a=jnp.repeat(tables.score_a, p, axis=0),
            value_a=jnp.repeat(tables.value_a, p, axis=0),
            score_b=jnp.tile(tables.score_b, (p, 1)),
            value_b=jnp.tile(tables.value_b, (p, 1)),
        ),
    )
    found = found._replace(logits=found.logits[:, :p])
    return jax.tree.map(lambda leaf: leaf.reshape(p, p, *leaf.shape[1:]), found)


def some_pairs(model: Transformer, a: jax.Array, b: jax.Array) -> LastToken:
    """The pairs (a[i], b[i]): fields [n, ...]; logits [n, d_vocab], as they are trained."""
    tables = _tables(model)
    return _at_equals(
        model,
        tables._replace(
            score_a=tables.score_a[a],
            value_a=tables.value_a[a],
            score_b=tables.score_b[b],
            value_b=tables.value_b[b],
        ),
    )


def _tables(model: Transformer) -> _Tables:
    """What each token contributes, given its place in `a b =`."""
    W_E, W_pos = model.W_E[...], model.W_pos[...]
    p = W_E.shape[0] - 1
    at_a, at_b, at_is = (
        rows + W_pos[place][None] for place, rows in enumerate((W_E[:p], W_E[:p], W_E[p:]))
    )
    d_head = model.W_Q.shape[-1]
    query = jnp.einsum("d,hde->he", at_is[0], model.W_Q[0])
    look = jnp.einsum("he,hde->dh", query, model.W_K[0]) / d_head**0.5
    W_V = model.W_V[0].transpose(1, 0, 2).reshape(at_is.shape[1], -1)
    places = (at_a, at_b, at_is)
    return _Tables(*(x @ look for x in places), *(x @ W_V for x in places))


def _at_equals(model: Transformer, rows: _Tables) -> LastToken:
    """From tables gathered to one row for each pair."""
    n, n_heads = rows.score_a.shape
    own = jnp.broadcast_to(rows.score_is, (n, n_heads))
    pattern = jax.nn.softmax(jnp.stack([rows.score_a, rows.score_b, own], axis=-1), axis=-1)
    values = (rows.value_a, rows.value_b, rows.value_is)
    mixed = jnp.zeros((n, n_heads, values[0].shape[1] // n_heads))
    for place, value in enumerate(values):
        by_head = value.reshape(value.shape[0], n_heads, -1)
        mixed += pattern[:, :, place, None] * by_head
    mixed = _apart(mixed.reshape(n, -1))
    W_O = model.W_O[0].reshape(mixed.shape[1], -1)
    W_in, W_out, W_U = model.W_in[0], model.W_out[0], model.W_U[...]
    stream = model.W_E[-1] + model.W_pos[2]
    before = _apart(mixed @ (W_O @ W_in)) + (stream @ W_in + model.b_in[0])[None]
    neurons = jax.nn.relu(before)
    # One row for each answer: the gradient's product by columns takes twice as long.
    W_L = jnp.einsum("md,dc->cm", W_out, W_U)
    logits = mixed @ (W_O @ W_U) + jnp.einsum("nm,cm->nc", neurons, W_L)
    logits = _apart(logits + ((stream + model.b_out[0]) @ W_U)[None])
    return LastToken(pattern, neurons, logits)


def _apart(array: jax.Array) -> jax.Array:
    """Fused with what comes before or after a product, a CPU computes some of it many times over.

    Kept apart, a training step needs a quarter less time.
    """
    return jax.lax.optimization_barrier(array)
