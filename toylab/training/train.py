"""Stochastic training: one loop for every model whose loss can be differentiated."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

__all__ = ["TrainState", "adamw", "half_cosine", "start", "train", "warm_then_drop"]

Loss = Callable[[Any, jax.Array], jax.Array]


class TrainState(NamedTuple):
    """A training between two steps; everything needed to go on.

    Attributes:
        params: any pytree of float arrays (a model).
        opt_state: the optimiser's state.
        step: int32 [], the steps done.
        loss: float32 [], the training loss of the last finite step (NaN before the first).
        first_bad_step: int32 [], the first step whose loss or gradient was not finite, or -1.
    """

    params: Any
    opt_state: optax.OptState
    step: jax.Array
    loss: jax.Array
    first_bad_step: jax.Array


def start(params: Any, optimizer: optax.GradientTransformation) -> TrainState:
    """The state before the first step."""
    return TrainState(
        params, optimizer.init(params), jnp.int32(0), jnp.float32(jnp.nan), jnp.int32(-1)
    )


def train(
    loss: Loss, optimizer: optax.GradientTransformation, state: TrainState, until: jax.Array | int
) -> TrainState:
    """Take steps until `state.step == until`.

    The number of steps is data, not part of the compiled program. Calling `train` in pieces gives
    the same bits as calling it once. When a loss or a gradient is not finite, that step's number is
    noted in `first_bad_step` and the last good parameters stay as they are, without a word to the
    host.

    Args:
        loss: (params, step) -> float32 []; draws its own batch from the step's number.
        optimizer: any optax transformation.
        state: where to go on.
        until: the step to stop before.
    """

    def one_step(_: jax.Array, state: TrainState) -> TrainState:
        value, gradient = jax.value_and_grad(loss)(state.params, state.step)
        updates, opt_state = optimizer.update(gradient, state.opt_state, state.params)
        good = (
            (state.first_bad_step < 0)
            & jnp.isfinite(value)
            & jnp.isfinite(optax.tree.norm(gradient))
        )
        params, opt_state, value = jax.tree.map(
            lambda new, old: jnp.where(good, new, old),
            (optax.apply_updates(state.params, updates), opt_state, value),
            (state.params, state.opt_state, state.loss),
        )
        broke_now = ~good & (state.first_bad_step < 0)
        return TrainState(
            params,
            opt_state,
            state.step + 1,
            value,
            jnp.where(broke_now, state.step, state.first_bad_step),
        )

    return jax.lax.fori_loop(0, until - state.step, one_step, state)


def adamw(
    rate: Callable[[Any], jax.Array], weight_decay: jax.Array | float, b2: float = 0.999
) -> optax.GradientTransformation:
    """AdamW with b1 = 0.9 and eps = 1e-8; `rate` maps the step to the learning rate.

    All numbers may be traced. Source: Loshchilov and Hutter 2019 (decoupled weight decay).
    """
    return optax.chain(
        optax.scale_by_adam(b2=b2),
        optax.add_decayed_weights(weight_decay),
        optax.scale_by_learning_rate(rate),
    )


def half_cosine(
    learning_rate: jax.Array | float, n_steps: jax.Array | int, cosine: bool
) -> Callable[[Any], jax.Array]:
    """A rate that falls to zero along half a cosine, or stays when `cosine` is false."""

    def rate(step: Any) -> jax.Array:
        turn = jnp.pi * step / jnp.maximum(n_steps, 1)
        return learning_rate * (0.5 * (1.0 + jnp.cos(turn)) if cosine else jnp.ones_like(turn))

    return rate


def warm_then_drop(
    learning_rate: jax.Array | float,
    warmup: jax.Array | int,
    drop_step: jax.Array | int,
    drop_factor: jax.Array | float,
) -> Callable[[Any], jax.Array]:
    """A rate that rises in a straight line from 0 and is multiplied by a factor from a step on.

    rate(step) = learning_rate * min(step / warmup, 1), times drop_factor when 0 < drop_step <=
    step. The first step of a warm-up has rate 0, as in the released code of Nanda et al. 2023.
    """

    def rate(step: Any) -> jax.Array:
        rise = jnp.minimum(step / jnp.maximum(warmup, 1), 1.0)
        risen = jnp.where(jnp.asarray(warmup) > 0, rise, 1.0)
        dropped = (jnp.asarray(drop_step) > 0) & (step >= jnp.asarray(drop_step))
        return learning_rate * risen * jnp.where(dropped, drop_factor, 1.0)

    return rate
