"""The exact expected loss of a toy model, and its minimisation as the stages of a `Compute`."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from toylab.budget import Cost
from toylab.data.counter import fork, stream
from toylab.data.expected import COARSE, FINE, MEDIUM, ROUGH, Fineness, Nodes, node_weights, nodes
from toylab.data.features import Features
from toylab.experiments.problem import INITIAL, Problem, initial_weights
from toylab.experiments.superposition_config import SuperpositionConfig
from toylab.models.toy import ACTIVATIONS, Activation
from toylab.training.solve import Objective, Quadratic, solve
from toylab.training.sweep import Compute

__all__ = [
    "SOLVER",
    "loss_at_nodes",
    "packed",
    "quadratic",
    "solver_cost",
    "solver_microbatch",
    "unpacked",
]

ROUGH_STEPS, COARSE_STEPS = 20, 16


def loss_at_nodes(
    W: jax.Array,
    b: jax.Array,
    features: Features,
    importance: jax.Array,
    activation: Activation,
    fineness: Fineness = FINE,
) -> jax.Array:
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


def quadratic(
    features: Features, importance: jax.Array, activation: Activation, fineness: Fineness
) -> Objective:
    """The expected loss with gradient and Gauss-Newton matrix, for `packed` parameters.

    Output j is f(z_j) with z_j = g_j . (x, 1), where g_j = (row j of W^T W, b_j). Around any point
    the loss is therefore a quadratic form in g_j whose coefficients are second moments of (x, 1)
    weighted by f'(z_j)^2. These moments come from one matrix product over the nodes; the rest is
    the chain rule through the small map from (W, b) to g.
    """
    n = importance.shape[0]
    rule = nodes(n, features.values, fineness)
    mass = node_weights(rule, features)
    x1, pairs, unpair = _moment_tables(rule)
    weighted_x1, weighted_pairs = mass[:, None] * x1, mass[:, None] * pairs
    stake = importance / n

    def gram(params: jax.Array) -> jax.Array:
        W, b = unpacked(params, n)
        return jnp.concatenate([W.T @ W, b[:, None]], axis=1)

    def objective(params: jax.Array) -> Quadratic:
        g = gram(params)
        z = g @ x1.T
        y, slope = jax.jvp(ACTIVATIONS[activation], (z,), (jnp.ones_like(z),))
        moments = stake[:, None, None] * ((slope * slope) @ weighted_pairs)[:, unpair]
        if activation == "gelu":
            error = y - x1[:, :n].T
            value = jnp.sum(stake[:, None] * mass[None, :] * error * error)
            pull = stake[:, None] * ((slope * error) @ weighted_x1)
        else:
            # f(z) = f'(z) z with f' = 0 or 1: the moments hold the whole loss.
            value, pull = _piecewise_linear(g, moments, stake @ (mass @ x1[:, :n] ** 2))
        jacobian = jax.jacfwd(gram)(params)
        curvature = jnp.einsum("jap,jab,jbq->pq", jacobian, moments, jacobian)
        return Quadratic(value, 2 * jnp.einsum("ja,jap->p", pull, jacobian), 2 * curvature)

    return objective


def _piecewise_linear(
    g: jax.Array, moments: jax.Array, silent: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """The loss [] and half its gradient with respect to g [n, n+1], where f' is 0 or 1.

    While output j is on, its error is (g_j - e_j) . (x, 1), whose square averages to a quadratic
    form in the moments; while it is off, x_j^2 is lost. `silent` is the loss of a model whose
    outputs are all off.
    """
    n = g.shape[0]
    difference = g - jnp.eye(n, n + 1)
    pull = jnp.einsum("jab,jb->ja", moments, difference)
    on = jnp.einsum("jjj->", moments[:, :n, :n])
    return silent - on + jnp.sum(pull * difference), pull


def _moment_tables(rule: Nodes) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(x, 1) [q, n+1], its distinct products of pairs [q, -1], and where each pair is found."""
    x1 = np.concatenate([rule.x, np.ones_like(rule.x[:, :1])], axis=1)
    rows, columns = np.triu_indices(x1.shape[1])
    unpair: Any = np.zeros((x1.shape[1],) * 2, int)
    unpair[rows, columns] = unpair[columns, rows] = np.arange(len(rows))
    return x1, x1[:, rows] * x1[:, columns], unpair


def _begin(problem: Problem, key: jax.Array) -> tuple[jax.Array, ...]:
    """W [m, n], b [n] and exact loss [] of the best start, and the scores [n_starts] of all."""
    n_features = problem.density.shape[0]
    rough, coarse = (
        quadratic(problem.features, problem.importance, problem.activation, fineness)
        for fineness in (ROUGH, COARSE)
    )

    def one_start(number: jax.Array) -> jax.Array:
        W = initial_weights(problem, fork(fork(stream(key), number), INITIAL))
        near = solve(rough, packed(W, jnp.zeros(n_features)), ROUGH_STEPS)
        return solve(coarse, near.params, COARSE_STEPS).params

    ends = jax.vmap(one_start)(jnp.arange(problem.n_starts))
    W, b = jax.vmap(lambda end: unpacked(end, n_features))(ends)

    def score(model: tuple[jax.Array, jax.Array], fineness: Fineness) -> jax.Array:
        W, b = model
        return loss_at_nodes(
            W, b, problem.features, problem.importance, problem.activation, fineness
        )

    scores = jax.lax.map(lambda model: score(model, MEDIUM), (W, b))
    best = jnp.argmin(scores)
    return W[best], b[best], score((W[best], b[best]), FINE), scores


SOLVER = Compute(
    _begin,
    advance=lambda problem, state, until: state,
    observe=lambda problem, state: (),
    end=lambda problem, state: state,
)


def solver_microbatch(config: SuperpositionConfig) -> int:
    """Cells in one call: tiny ones share its overhead, larger ones fill the cache alone."""
    return 8 if config.n_features <= 3 else 1


def solver_cost(config: SuperpositionConfig, n_starts: int) -> Cost:
    """Memory for the node values of all lanes; time at 10 GFLOP/s and 5 microseconds a step."""
    n, lanes = config.n_features, n_starts * solver_microbatch(config)
    params = (config.n_hidden + 1) * n
    values = n * len(nodes(n, config.values, COARSE).x)
    per_start = 4.0 * (8 * values + 4 * n * (n + 1) * params + 4 * params**2)
    flops = (
        2.0 * values * (n + 2) ** 2
        + 2 * n * (n + 1) ** 2 * params
        + n * n * params**2
        + 2 * params**3
    )
    return Cost(
        lanes * per_start + 2e8, n_starts * (ROUGH_STEPS + COARSE_STEPS) * (flops / 1e10 + 5e-6)
    )
