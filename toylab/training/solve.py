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
    """The end of a minimisation: parameters [p], their value [], and the last damping []."""

    params: jax.Array
    value: jax.Array
    damping: jax.Array


def solve(objective: Objective, start: jax.Array, n_steps: int, damping: float = 1e-2) -> Solution:
    """Minimise by Levenberg-Marquardt: step = -(H + damping * max diag(H) * I)^-1 gradient.

    A step that lowers the value is taken and the damping falls to 0.4 of itself; otherwise the point
    stays and the damping grows fourfold. Symmetries of the model (rotations of the hidden space) make H
    singular, so the damping never reaches zero.

    Args:
        objective: parameters [p] -> `Quadratic`.
        start: [p].
        n_steps: evaluations of the objective after the first.
        damping: the first damping, relative to the largest diagonal entry of H.

    Returns:
        The best point seen; its value is never above the start's.

    Source: Nocedal and Wright, Numerical Optimization, section 10.3.
    """
    floor = 1e-7

    def step(state: tuple[jax.Array, Quadratic, jax.Array], _: None):
        params, here, damping = state
        scale = jnp.maximum(jnp.max(jnp.diagonal(here.curvature)), 1e-12)
        damped = here.curvature + damping * scale * jnp.eye(params.size)
        candidate = params - jax.scipy.linalg.cho_solve((jnp.linalg.cholesky(damped), True), here.gradient)
        there = objective(candidate)
        better = there.value < here.value
        damping = jnp.where(better, jnp.maximum(0.4 * damping, floor), 4.0 * damping)
        kept = jax.tree.map(lambda new, old: jnp.where(better, new, old), (candidate, there), (params, here))
        return (*kept, damping), None

    first = (start, objective(start), jnp.asarray(damping, start.dtype))
    (params, here, damping_left), _ = jax.lax.scan(step, first, None, length=n_steps)
    return Solution(params, here.value, damping_left)
