"""The exact expected loss of a toy model, and its second-order expansion for `solve`."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from toylab.data.expected import FINE, Fineness, Nodes, node_weights, nodes
from toylab.data.features import Features
from toylab.models.toy import ACTIVATIONS, Activation
from toylab.training.solve import Objective, Quadratic

__all__ = ["loss_at_nodes", "packed", "quadratic", "unpacked"]


def loss_at_nodes(W: jax.Array, b: jax.Array, features: Features, importance: jax.Array,
                  activation: Activation, fineness: Fineness = FINE) -> jax.Array:
    """sum_i importance_i E (x_i - x'_i)^2 / n_features for n_features <= 8, float32 [].

    Args:
        W: [n_hidden, n_features]; b: [n_features].
        features: the distribution of x.
        importance: [n_features].
        activation: f in x' = f(W^T W x + b).
        fineness: how many nodes; the default is for reporting.
    """
    rule = nodes(W.shape[1], features.values, fineness)
    x = rule.x.T
    error = x - ACTIVATIONS[activation](W.T @ (W @ x) + b[:, None])
    return (importance @ (error * error)) @ node_weights(rule, features) / W.shape[1]


def packed(W: jax.Array, b: jax.Array) -> jax.Array:
    """Parameters as one vector: W row by row, then b."""
    return jnp.concatenate([W.reshape(-1), b])


def unpacked(params: jax.Array, n_features: int) -> tuple[jax.Array, jax.Array]:
    """The inverse of `packed`: W [n_hidden, n_features] and b [n_features]."""
    return params[:-n_features].reshape(-1, n_features), params[-n_features:]


def quadratic(features: Features, importance: jax.Array, activation: Activation,
              fineness: Fineness) -> Objective:
    """The expected loss with gradient and Gauss-Newton matrix, as a function of `packed` parameters.

    Output j is f(z_j) with z_j = g_j . (x, 1), where g_j = (row j of W^T W, b_j). Around any point the
    loss is therefore a quadratic form in g_j whose coefficients are second moments of (x, 1) weighted by
    f'(z_j)^2. These moments come from one matrix product over the nodes; the rest is the chain rule
    through the small map from (W, b) to g.
    """
    n = importance.shape[0]
    rule = nodes(n, features.values, fineness)
    weight = importance[:, None] * node_weights(rule, features)[None, :] / n
    x1, pairs, unpair = _moment_tables(rule)

    def gram(params: jax.Array) -> jax.Array:
        W, b = unpacked(params, n)
        return jnp.concatenate([W.T @ W, b[:, None]], axis=1)

    def objective(params: jax.Array) -> Quadratic:
        g = gram(params)
        z = g @ x1.T
        y, slope = jax.jvp(ACTIVATIONS[activation], (z,), (jnp.ones_like(z),))
        error = y - x1[:, :n].T
        pull = (weight * slope * error) @ x1
        moments = ((weight * slope * slope) @ pairs)[:, unpair]
        jacobian = jax.jacfwd(gram)(params)
        curvature = jnp.einsum("jap,jab,jbq->pq", jacobian, moments, jacobian)
        return Quadratic(jnp.sum(weight * error * error), 2 * jnp.einsum("ja,jap->p", pull, jacobian),
                         2 * curvature)

    return objective


def _moment_tables(rule: Nodes) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(x, 1) [q, n+1], its distinct products of pairs [q, (n+1)(n+2)/2], and where each pair is found."""
    x1 = np.concatenate([rule.x, np.ones_like(rule.x[:, :1])], axis=1)
    rows, columns = np.triu_indices(x1.shape[1])
    unpair: Any = np.zeros((x1.shape[1],) * 2, int)
    unpair[rows, columns] = unpair[columns, rows] = np.arange(len(rows))
    return x1, x1[:, rows] * x1[:, columns], unpair
