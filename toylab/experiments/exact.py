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

# All starts take rough and coarse steps, the best one then medium steps.
ROUGH_STEPS, COARSE_STEPS, LAST_STEPS = 20, 8, 8


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
    the chain rule through the small map from (W, b) to g (`_through_gram`).
    """
    n = importance.shape[0]
    rule = nodes(n, features.values, fineness)
    mass = node_weights(rule, features)
    x1, pairs, unpair = _moment_tables(rule)
    weighted_x1, weighted_pairs = mass[:, None] * x1, mass[None] * pairs.T
    stake = importance / n

    def objective(params: jax.Array) -> Quadratic:
        W, b = unpacked(params, n)
        g = jnp.concatenate([W.T @ W, b[:, None]], axis=1)
        z = g @ x1.T
        y, slope = jax.jvp(ACTIVATIONS[activation], (z,), (jnp.ones_like(z),))
        # Both with the nodes last: a third faster here than a plain matrix product.
        sums = jnp.einsum("jq,cq->jc", slope * slope, weighted_pairs)
        moments = stake[:, None, None] * sums[:, unpair]
        if activation == "gelu":
            error = y - x1[:, :n].T
            value = jnp.sum(stake[:, None] * mass[None, :] * error * error)
            pull = stake[:, None] * ((slope * error) @ weighted_x1)
        else:
            # f(z) = f'(z) z with f' = 0 or 1: the moments hold the whole loss.
            value, pull = _piecewise_linear(g, moments, stake @ (mass @ x1[:, :n] ** 2))
        return _through_gram(W, value, pull, moments)

    return objective


def _through_gram(W: jax.Array, value: jax.Array, pull: jax.Array, moments: jax.Array) -> Quadratic:
    """From g = (W^T W, b) back to (W, b): gradient 2 J^T pull, matrix 2 sum_j J_j^T M_j J_j.

    g_j = (W^T w_j, b_j) depends on W through column j and through every column once more:
    d(w_j . w_k) = dw_j . w_k + w_j . dw_k. Hence four terms for a pair of columns i and l, of which
    the first is for i = l only. Sums of products in place of small matrix products, which cost
    three times as much under `vmap`.
    """
    m, n = W.shape
    M, M_b, M_1 = moments[:, :n, :n], moments[:, :n, n], moments[:, n, n]
    own = jnp.eye(n)
    WM = jnp.sum(W[:, None, :, None] * M[None], axis=2)  # [m, i, n]
    both = jnp.sum(WM[:, :, None] * W[None, None], axis=3)  # [m, i, m]
    once = WM[:, :, None] * W.T[None, :, :, None]  # [m, i, m, l]
    never = jnp.sum((W[:, None] * W[None])[..., None, None] * M[None, None], axis=2)  # [m, m, i, l]
    H_WW = both[..., None] * own[None, :, None] + once + once.transpose(2, 3, 0, 1)
    H_WW = (H_WW + never.transpose(0, 2, 1, 3)).reshape(m * n, m * n)
    H_Wb = jnp.sum(W[:, None] * M_b[None], axis=2)[:, None] * own[None]
    H_Wb = (H_Wb + W[:, None] * M_b.T[None]).reshape(m * n, n)
    upper = jnp.concatenate([H_WW, H_Wb], axis=1)
    lower = jnp.concatenate([H_Wb.T, own * M_1[None]], axis=1)
    gradient = packed(W @ (pull[:, :n] + pull[:, :n].T), pull[:, n])
    return Quadratic(value, 2 * gradient, 2 * jnp.concatenate([upper, lower]))


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
    rough, coarse, medium = (
        quadratic(problem.features, problem.importance, problem.activation, fineness)
        for fineness in (ROUGH, COARSE, MEDIUM)
    )

    def one_start(number: jax.Array) -> jax.Array:
        W = initial_weights(problem, fork(fork(stream(key), number), INITIAL))
        near = solve(rough, packed(W, jnp.zeros(n_features)), ROUGH_STEPS)
        return solve(coarse, near.params, COARSE_STEPS).params

    def score(params: jax.Array, fineness: Fineness) -> jax.Array:
        W, b = unpacked(params, n_features)
        return loss_at_nodes(
            W, b, problem.features, problem.importance, problem.activation, fineness
        )

    ends = jax.vmap(one_start)(jnp.arange(problem.n_starts))
    scores = jax.lax.map(lambda end: score(end, MEDIUM), ends)
    best = jnp.argmin(scores)
    last = solve(medium, ends[best], LAST_STEPS)
    W, b = unpacked(last.params, n_features)
    return W, b, score(last.params, FINE), scores.at[best].set(last.value)


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
        lanes * per_start + 2e8,
        (n_starts * (ROUGH_STEPS + COARSE_STEPS) + 3 * LAST_STEPS) * (flops / 1e10 + 5e-6),
    )
