"""Second-order minimisation of an exactly known loss, from one start; `vmap` gives many."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

__all__ = ["Objective", "Quadratic", "Solution", "solve"]


class Quadratic(NamedTuple):
    """A sum of squares at a point: value [], gradient [p], Gauss-Newton matrix [p, p] >= 0."""

    value: jax.Array
    gradient: jax.Array
    curvature: jax.Array


Objective = Callable[[jax.Array], Quadratic]

FIRST_DAMPING = 1e-2


class Solution(NamedTuple):
    """The end of a minimisation.

    Attributes:
        params: [p], the best point seen. value: [], its value, never above the start's.
    """

    params: jax.Array
    value: jax.Array


def solve(objective: Objective, start: jax.Array, n_steps: int) -> Solution:
    """Minimise by Levenberg-Marquardt: step = -(H + damping * max diag(H) * I)^-1 gradient.

    A step that lowers the value is taken and the damping falls to 0.4 of itself; otherwise the
    point stays and the damping grows fourfold. Symmetries of the model (rotations of the hidden
    space) make H singular, so the damping never reaches zero. Each start takes all of its steps,
    whatever its neighbours under `vmap` do.

    Args:
        objective: parameters [p] -> `Quadratic`.
        start: [p].
        n_steps: evaluations of the objective after the first.

    Source: Nocedal and Wright, Numerical Optimization, section 10.3.
    """

    def step(_: jax.Array, state: tuple[jax.Array, Quadratic, jax.Array]):
        params, here, damping = state
        scale = jnp.maximum(jnp.max(jnp.diagonal(here.curvature)), 1e-12)
        damped = here.curvature / scale + damping * jnp.eye(params.size)
        candidate = params - _eliminate(damped, here.gradient / scale)
        there = objective(candidate)
        better = there.value < here.value
        damping = jnp.where(better, jnp.maximum(0.4 * damping, 1e-7), 4.0 * damping)
        params, here = jax.tree.map(
            lambda new, old: jnp.where(better, new, old), (candidate, there), (params, here)
        )
        return params, here, damping

    first = (start, objective(start), jnp.asarray(FIRST_DAMPING, start.dtype))
    params, here, _ = jax.lax.fori_loop(0, n_steps, step, first)
    return Solution(params, here.value)


def _eliminate(matrix: jax.Array, right: jax.Array) -> jax.Array:
    """matrix^-1 right for a symmetric positive definite [p, p], by Gauss-Jordan elimination.

    Its entries should be of order one: the pivot's row is updated with all others, by
    row - (row_k - 1) row / row_k, which loses digits where row_k is large.

    Without LAPACK: for a dozen unknowns its calls cost more than the arithmetic, and its batched
    form waits for threads of the pool that runs it, which can lock up when several devices share
    the pool.
    """

    def clear_column(k: jax.Array, rows: jax.Array) -> jax.Array:
        multiple = rows[:, k] - (jnp.arange(right.size) == k)
        return rows - jnp.outer(multiple, rows[k] / rows[k, k])

    rows = jnp.concatenate([matrix, right[:, None]], axis=1)
    return jax.lax.fori_loop(0, right.size, clear_column, rows)[:, -1]
