"""Training on samples, as the stages of a `Compute`: for any sizes, padded."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax

from toylab.budget import Cost
from toylab.data.counter import fork, stream
from toylab.data.expected import MAX_FEATURES
from toylab.data.features import sample
from toylab.experiments.problem import (
    DATA,
    GRAM_FEATURES,
    HELD_OUT,
    INITIAL,
    Problem,
    initial_weights,
)
from toylab.experiments.superposition_config import SuperpositionConfig
from toylab.models.toy import ACTIVATIONS, ToyModel
from toylab.training.sweep import Compute
from toylab.training.train import TrainState, adamw, half_cosine, start, train

__all__ = ["TRAINER", "training_cost"]

HELD_OUT_EXAMPLES = 65_536
HELD_OUT_BATCH = 1024

# The states of all starts, and their streams uint32 [n_starts, 2].
States = tuple[TrainState, jax.Array]


def _optimizer(problem: Problem) -> optax.GradientTransformation:
    rate = half_cosine(problem.rates[0], problem.n_steps, problem.cosine)
    return adamw(rate, problem.rates[1])


def _begin(problem: Problem, key: jax.Array) -> States:
    """The untrained states."""
    streams = jax.vmap(lambda number: fork(stream(key), number))(jnp.arange(problem.n_starts))

    def one_start(words: jax.Array) -> TrainState:
        W = initial_weights(problem, fork(words, INITIAL))
        return start(ToyModel(W, jnp.zeros(W.shape[1]), problem.activation), _optimizer(problem))

    return jax.vmap(one_start)(streams), streams


def _advance(problem: Problem, state: States, until: jax.Array) -> States:
    """Train every start up to step `until`, one after another."""

    def one_start(start: States) -> TrainState:
        state, words = start

        def loss(model: ToyModel, step: jax.Array) -> jax.Array:
            x = sample(problem.features, fork(fork(words, DATA), step), problem.batch_size)
            return _batch_loss(problem, model, x)

        return train(loss, _optimizer(problem), state, until)

    return jax.lax.map(one_start, state), state[1]


def _batch_loss(problem: Problem, model: ToyModel, x: jax.Array) -> jax.Array:
    """The loss on examples that are the columns of x [N, batch]."""
    W = model.W[...]
    z = (W.T @ W) @ x if x.shape[0] <= GRAM_FEATURES else W.T @ (W @ x)
    error = x - ACTIVATIONS[problem.activation](z + model.b[...][:, None])
    return jnp.sum(problem.importance @ (error * error)) / (x.shape[1] * problem.sizes[0])


def _observe(problem: Problem, state: States) -> tuple[jax.Array, ...]:
    if not problem.recorded:
        return ()
    trained = state[0]
    return trained.step, trained.loss, trained.params.W[...], trained.params.b[...]


def _end(problem: Problem, state: States) -> tuple[Any, ...]:
    """W, b, first_bad_step and held-out loss of every start, on the same held-out examples."""
    trained, streams = state
    batches = HELD_OUT_EXAMPLES // HELD_OUT_BATCH

    def held_out(model: ToyModel) -> jax.Array:
        def one_batch(i: jax.Array) -> jax.Array:
            words = fork(fork(streams[0], HELD_OUT), i)
            return _batch_loss(problem, model, sample(problem.features, words, HELD_OUT_BATCH))

        return jnp.mean(jax.lax.map(one_batch, jnp.arange(batches)))

    model = trained.params
    losses = jax.lax.map(held_out, model) if problem.held_out else jnp.zeros(problem.n_starts)
    return model.W[...], model.b[...], trained.first_bad_step, losses


TRAINER = Compute(_begin, _advance, _observe, _end)


def training_cost(
    config: SuperpositionConfig, shape: tuple[int, int], n_starts: int, n_records: int
) -> Cost:
    """Memory for four copies of the parameters, six batches and the records; time at 20 GFLOP/s."""
    m, n = shape
    inner = n if n <= GRAM_FEATURES else 2 * m
    n_bytes = 4.0 * (
        n_starts * m * n * (4 + n_records) + 6 * n * config.batch_size + m * config.batch_size
    )
    seconds = config.n_steps * n_starts * (6.0 * config.batch_size * n * inner / 2e10 + 3e-5)
    if config.n_features > MAX_FEATURES:
        seconds += n_starts * HELD_OUT_EXAMPLES * 2.0 * n * inner / 2e10
    return Cost(n_bytes + 2e8, seconds)
