"""Second-order minimisation of an exactly known loss, from one start; `vmap` gives many."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

__all__ = ["Objective", "Quadratic", "Solution", "solve"]


class Quadratic(NamedTuple):
    """A sum of squares at one point: value [], gradient [p], and Gauss-Newton matrix [p, p] >= 0."""

    value: jax.Array
    gradient: jax.Array
    curvature: jax.Array


Objective = Callable[[jax.Array], Quadratic]


class Solution(NamedTuple):
    """The end of a minimisation.

    Attributes:
        params: [p], the best point seen. value: [], its value, never above the start's.
        n_steps: int32 [], the steps taken.
    """

    params: jax.Array
    value: jax.Array
    n_steps: jax.Array


class _State(NamedTuple):
    params: jax.Array
    here: Quadratic
    damping: jax.Array
    step: jax.Array
    stalled: jax.Array


PATIENCE = 4
TOLERANCE = 1e-6


def solve(objective: Objective, start: jax.Array, n_steps: int, damping: float = 1e-2) -> Solution:
    """Minimise by Levenberg-Marquardt: step = -(H + damping * max diag(H) * I)^-1 gradient.

    A step that lowers the value is taken and the damping falls to 0.4 of itself; otherwise the point
    stays and the damping grows fourfold. Symmetries of the model (rotations of the hidden space) make H
    singular, so the damping never reaches zero. The end is reached when `PATIENCE` steps in a row have
    lowered the value by less than `TOLERANCE` of itself: float32 resolves no more. Under `vmap` a start
    that has ended stays as it is, whatever its neighbours still do.

    Args:
        objective: parameters [p] -> `Quadratic`.
        start: [p].
        n_steps: the most steps to take, one evaluation of the objective each.
        damping: the first damping, relative to the largest diagonal entry of H.

    Source: Nocedal and Wright, Numerical Optimization, section 10.3.
    """

    def going(state: _State) -> jax.Array:
        return (state.step < n_steps) & (state.stalled < PATIENCE)

    def step(state: _State) -> _State:
        params, here = state.params, state.here
        scale = jnp.maximum(jnp.max(jnp.diagonal(here.curvature)), 1e-12)
        damped = here.curvature + state.damping * scale * jnp.eye(params.size)
        move = _eliminate(damped, here.gradient)
        there = objective(params - move)
        better = there.value < here.value
        fell = here.value - there.value > TOLERANCE * here.value
        params, here = jax.tree.map(lambda new, old: jnp.where(better, new, old),
                                    (params - move, there), (params, here))
        damping = jnp.where(better, jnp.maximum(0.4 * state.damping, 1e-7), 4.0 * state.damping)
        return _State(params, here, damping, state.step + 1, jnp.where(fell, 0, state.stalled + 1))

    first = _State(start, objective(start), jnp.asarray(damping, start.dtype), jnp.int32(0), jnp.int32(0))
    last = jax.lax.while_loop(going, step, first)
    return Solution(last.params, last.here.value, last.step)


def _eliminate(matrix: jax.Array, right: jax.Array) -> jax.Array:
    """matrix^-1 right for a symmetric positive definite [p, p], by Gauss-Jordan elimination.

    Without LAPACK: for a dozen unknowns its calls cost more than the arithmetic, and its batched form waits
    for threads of the pool that runs it, which can lock up when several devices share the pool.
    """

    def clear_column(k: jax.Array, rows: jax.Array) -> jax.Array:
        pivot = rows[k] / rows[k, k]
        others = jnp.where(jnp.arange(right.size) == k, 0.0, rows[:, k])
        return (rows - jnp.outer(others, pivot)).at[k].set(pivot)

    rows = jnp.concatenate([matrix, right[:, None]], axis=1)
    return jax.lax.fori_loop(0, right.size, clear_column, rows)[:, -1]
