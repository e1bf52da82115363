"""The toy models of superposition: a linear bottleneck, read out by its own transpose."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import jax
from flax import nnx

__all__ = ["ACTIVATIONS", "Activation", "ToyModel"]

Activation = Literal["relu", "gelu", "linear"]

ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "relu": jax.nn.relu,
    "gelu": jax.nn.gelu,
    "linear": lambda z: z,
}


class ToyModel(nnx.Module):
    """x' = f(W^T W x + b), where f is ReLU, GELU or the identity.

    Source: Elhage et al. 2022, section 2 ("The ReLU output model", "The linear model").

    Attributes:
        W: [n_hidden, n_features]; the direction of feature i is the column W[:, i].
        b: [n_features].
        activation: f, a static word.
    """

    def __init__(self, W: jax.Array, b: jax.Array, activation: Activation = "relu"):
        self.W = nnx.Param(W)
        self.b = nnx.Param(b)
        self.activation = activation

    def hidden(self, x: jax.Array) -> jax.Array:
        """h = W x: one example [n_features] to its hidden vector [n_hidden]."""
        return self.W[...] @ x

    def __call__(self, x: jax.Array) -> jax.Array:
        """x' = f(W^T h + b): one example [n_features] to its reconstruction [n_features]."""
        return ACTIVATIONS[self.activation](self.W[...].T @ self.hidden(x) + self.b[...])
