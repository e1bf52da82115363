"""Both architectures of modular arithmetic on many pairs at once, and the loss that stalls."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from toylab.models.last_token import all_pairs, some_pairs
from toylab.models.mlp import ACTIVATIONS, PairMLP
from toylab.models.transformer import Transformer

__all__ = [
    "Model",
    "all_logits",
    "all_neurons",
    "float32_losses",
    "pair_logits",
]

Model = Transformer | PairMLP


def pair_logits(model: Model, a: jax.Array, b: jax.Array) -> jax.Array:
    """Logits [n, outputs] of the pairs (a[i], b[i]) as trained: a transformer's hold '=' too."""
    if isinstance(model, Transformer):
        return some_pairs(model, a, b).logits
    W_a, W_b = model.inputs
    hidden = ACTIVATIONS[model.activation](W_a.T[a] + W_b.T[b])
    return hidden @ model.W_out[...].T


def all_logits(model: Model) -> jax.Array:
    """Logits [p, p, p] indexed [a, b, c], without the one of '='."""
    if isinstance(model, Transformer):
        return all_pairs(model).logits
    return all_neurons(model) @ model.W_out[...].T


def all_neurons(model: Model) -> jax.Array:
    """Neurons [p, p, d_mlp] of every pair, after the activation."""
    if isinstance(model, Transformer):
        return all_pairs(model).neurons
    W_a, W_b = model.inputs
    return ACTIVATIONS[model.activation](W_a.T[:, None] + W_b.T[None])


def float32_losses(logits: jax.Array, right: jax.Array) -> jax.Array:
    """Cross-entropy of each example [n] as float32 log-softmax, to show what it hides.

    It moves in steps of 1.2e-7 near zero, reaches 0, and its gradient vanishes; compare
    `toylab.analysis.progress_measures.cross_entropies`.
    """
    scores = jax.nn.log_softmax(logits, axis=1)
    return -jnp.take_along_axis(scores, right[:, None], axis=1)[:, 0]
