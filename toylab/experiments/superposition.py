"""Superposition: sparse features through a bottleneck that is too narrow for them.

`run` trains on samples, for any sizes; `solve` minimises the exact expected loss from many starts at
once, for up to 8 features. Both return the best of their starts as a `SuperpositionResult`.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from toylab.budget import Cost
from toylab.data.counter import fork, stream
from toylab.data.expected import COARSE, MAX_FEATURES, nodes
from toylab.data.features import Features, sample
from toylab.errors import ConfigError, DivergedError, shown
from toylab.experiments.exact import loss_at_nodes, packed, quadratic, unpacked
from toylab.experiments.problem import (
    GRAM_FEATURES,
    Problem,
    initial_weights,
    padded_shape,
    problem_of,
)
from toylab.experiments.superposition_config import SuperpositionConfig
from toylab.models.toy import ACTIVATIONS, ToyModel
from toylab.training.solve import solve as minimise
from toylab.training.sweep import Compute, Plan, as_key, experiment
from toylab.training.train import TrainState, adamw, start, train

__all__ = ["History", "SuperpositionConfig", "SuperpositionResult", "expected_loss", "run",
           "sample_features", "solve"]

MAX_EXAMPLES = 2**26
HELD_OUT_EXAMPLES = 65_536
HELD_OUT_BATCH = 1024
SOLVER_STEPS = 40
# Numbers of the streams that are forked from a start's own.
INITIAL, DATA, HELD_OUT = 0, 1, 2


class History(NamedTuple):
    """What was recorded during training, after steps n_steps * (k + 1) / n_records.

    Attributes:
        step: int32 [n_records], steps done. loss: float32 [n_records], training loss of the last step.
        W: float32 [n_records, n_hidden, n_features]. b: float32 [n_records, n_features].
    """

    step: jax.Array
    loss: jax.Array
    W: jax.Array
    b: jax.Array


class SuperpositionResult(NamedTuple):
    """A trained toy model; after a sweep every array has the grid's axes in front.

    Attributes:
        config: the config, or the grid after a sweep.
        model: W [n_hidden, n_features] and b [n_features] of the best start.
        loss: float32 [], mean over examples and features of importance * squared error: the exact expectation
            for n_features <= 8, otherwise the mean over 65,536 held-out examples.
        start_losses: float32 [n_starts], the same for each start; `loss` is the least of them.
        first_bad_step: int32 [], the first step at which the best start diverged, or -1.
        history: what was recorded of the best start (`n_records=0` and `solve` record nothing).
    """

    config: Any
    model: ToyModel
    loss: jax.Array
    start_losses: jax.Array
    first_bad_step: jax.Array
    history: History


def sample_features(config: SuperpositionConfig, key: jax.Array | int, n: int) -> jax.Array:
    """Draw `n` examples of the config's data.

    Returns:
        float32 [n, n_features]; zero where a feature is inactive.

    Raises:
        ConfigError: a bad config, key or `n` (1..67108864 numbers in all).
    """
    config = config.check()
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1 or (
            n * config.n_features > MAX_EXAMPLES):
        raise ConfigError(f"n={shown(n)}: must be an integer in 1..{MAX_EXAMPLES // config.n_features} "
                          f"for n_features={config.n_features}")
    return sample(config.features, stream(as_key(key)), int(n)).T


def expected_loss(W: Any, b: Any, config: SuperpositionConfig) -> jax.Array:
    """The exact mean over examples and features of importance * squared error, float32 [].

    Enumerates the active sets and integrates their magnitudes on fixed nodes; relative error about
    1e-3 at worst (dense data), far less on sparse data.

    Args:
        W: [n_hidden, n_features]. b: [n_features].
        config: the data and the activation; its n_hidden is not used. n_features <= 8.

    Raises:
        ConfigError: more than 8 features, or shapes that do not fit.
    """
    config = config.check()
    _require_exact(config, "expected_loss")
    W, b = jnp.asarray(W, jnp.float32), jnp.asarray(b, jnp.float32)
    n = config.n_features
    if W.ndim != 2 or W.shape[1] != n or b.shape != (n,):
        raise ConfigError(f"W, b=shapes {W.shape}, {b.shape}: must be [n_hidden, {n}] and [{n}] "
                          f"for n_features={n}")
    kind = (config.values, config.grouping, config.group_size)
    return _exact_loss(W, b, np.float32(config.density), np.float32(config.importances), kind,
                       config.activation)


@experiment
def run(config: SuperpositionConfig, *, n_starts: int = 1, n_records: int = 0) -> Plan:
    """Train on samples from `n_starts` random starts; the best is the result.

    run(config, key, n_starts=1, n_records=0) -> SuperpositionResult. Sizes are padded to a few buckets, and
    all other numbers are data, so that most changes of a config compile nothing anew.

    Args:
        config: any sizes; the training fields say how.
        n_starts: 1..4096, trained one after another.
        n_records: 0..10000 evenly spaced records of the model in `.history`; at most n_steps.

    Raises:
        ConfigError: a bad config or option.
        BudgetError: predicted memory or time beyond the limits (`toylab.budget`).
        DivergedError: the training of every start diverged. In a sweep the cell says so instead.
    """
    config = config.check()
    n_starts = _count("n_starts", n_starts, 1, 4096)
    n_records = _count("n_records", n_records, 0, min(10_000, config.n_steps))
    shape = padded_shape(config)
    pieces = n_records or 10
    targets = tuple(config.n_steps * (k + 1) // pieces for k in range(pieces))
    problem = problem_of(config, shape, n_starts, recorded=n_records > 0)
    return Plan(problem, _TRAINER, targets, 1, functools.partial(_finish_trained, config),
                _training_cost(config, shape, n_starts, n_records), _require_converged)


@experiment
def solve(config: SuperpositionConfig, *, n_starts: int = 8) -> Plan:
    """Minimise the exact expected loss from `n_starts` random starts at once; the best is the result.

    solve(config, key, n_starts=8) -> SuperpositionResult. Levenberg-Marquardt on coarse nodes; the ends of
    all starts are re-scored on fine ones. A program is compiled for each pair of sizes.

    Args:
        config: n_features <= 8; learning_rate, n_steps and the like are not used.
        n_starts: 1..4096.

    Raises:
        ConfigError: a bad config or option, or more than 8 features.
    """
    config = config.check()
    _require_exact(config, "solve")
    n_starts = _count("n_starts", n_starts, 1, 4096)
    problem = problem_of(config, (config.n_hidden, config.n_features), n_starts, recorded=False)
    # Tiny models share a call so that its overhead does not dominate; larger ones fill the cache alone.
    return Plan(problem, _SOLVER, (), 8 if config.n_features <= 3 else 1,
                functools.partial(_finish_solved, config), _solver_cost(config, n_starts))


def _require_exact(config: SuperpositionConfig, caller: str) -> None:
    if config.n_features > MAX_FEATURES:
        raise ConfigError(f"n_features={config.n_features}: {caller} enumerates all active sets and takes at most "
                          f"{MAX_FEATURES} features; use toylab.superposition.run, which samples")


def _count(name: str, value: Any, low: int, high: int) -> int:
    """An option that must be an int in low..high."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not low <= value <= high:
        raise ConfigError(f"{name}={shown(value)}: must be an integer in {low}..{high}")
    return int(value)


@jax.jit(static_argnums=(4, 5))
def _exact_loss(W: jax.Array, b: jax.Array, density: jax.Array, importance: jax.Array,
                kind: tuple[Any, ...], activation: Any) -> jax.Array:
    return loss_at_nodes(W, b, Features(density, *kind), importance, activation)


def _optimizer(problem: Problem) -> optax.GradientTransformation:
    return adamw(problem.rates[0], problem.rates[1], problem.n_steps, problem.cosine)


def _train_begin(problem: Problem, key: jax.Array) -> tuple[TrainState, jax.Array]:
    """The untrained states of all starts, and their streams uint32 [n_starts, 2]."""
    streams = jax.vmap(lambda number: fork(stream(key), number))(jnp.arange(problem.n_starts))

    def one_start(words: jax.Array) -> TrainState:
        W = initial_weights(problem, fork(words, INITIAL))
        return start(ToyModel(W, jnp.zeros(W.shape[1]), problem.activation), _optimizer(problem))

    return jax.vmap(one_start)(streams), streams


def _train_advance(problem: Problem, state: tuple[TrainState, jax.Array],
                   until: jax.Array) -> tuple[TrainState, jax.Array]:
    """Train every start up to step `until`, one after another."""

    def one_start(start: tuple[TrainState, jax.Array]) -> TrainState:
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


def _train_observe(problem: Problem, state: tuple[TrainState, jax.Array]) -> tuple[jax.Array, ...]:
    trained = state[0]
    return (trained.step, trained.loss, trained.params.W[...], trained.params.b[...]) if problem.recorded else ()


def _train_end(problem: Problem, state: tuple[TrainState, jax.Array]) -> tuple[Any, ...]:
    """(W, b, first_bad_step, held-out loss) of every start; all starts meet the same held-out examples."""
    trained, streams = state
    batches = HELD_OUT_EXAMPLES // HELD_OUT_BATCH

    def held_out(model: ToyModel) -> jax.Array:
        losses = jax.lax.map(lambda i: _batch_loss(problem, model, sample(
            problem.features, fork(fork(streams[0], HELD_OUT), i), HELD_OUT_BATCH)), jnp.arange(batches))
        return jnp.mean(losses)

    model = trained.params
    losses = jax.lax.map(held_out, model) if problem.held_out else jnp.zeros(problem.n_starts)
    return model.W[...], model.b[...], trained.first_bad_step, losses


_TRAINER = Compute(_train_begin, _train_advance, _train_observe, _train_end)


def _finish_trained(config: SuperpositionConfig, outcome: Any, records: list[Any]) -> SuperpositionResult:
    m, n = config.n_hidden, config.n_features
    W, b, first_bad_step, losses = outcome
    W, b = W[:, :m, :n], b[:, :n]
    if n <= MAX_FEATURES:
        losses = np.array([expected_loss(*model, config) for model in zip(W, b, strict=True)])
    # A start that diverged keeps its last good state, and is chosen only when every start diverged.
    best = int(np.argmin(np.where(first_bad_step < 0, losses, np.inf) if np.any(first_bad_step < 0) else losses))
    if not records or not records[0]:
        history = _no_history(m, n)
    else:
        step, loss, W_then, b_then = (np.stack(parts)[:, best] for parts in zip(*records, strict=True))
        history = History(step, loss, W_then[:, :m, :n], b_then[:, :n])
    return _result(config, (W[best], b[best]), losses, best, first_bad_step[best], history)


def _solve_begin(problem: Problem, key: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """W [n_starts, m, n], b [n_starts, n] and exact losses [n_starts] of all starts."""
    n_features = problem.density.shape[0]
    objective = quadratic(problem.features, problem.importance, problem.activation, COARSE)

    def one_start(number: jax.Array) -> jax.Array:
        W = initial_weights(problem, fork(fork(stream(key), number), INITIAL))
        return minimise(objective, packed(W, jnp.zeros(n_features)), SOLVER_STEPS).params

    ends = jax.vmap(one_start)(jnp.arange(problem.n_starts))
    W, b = jax.vmap(lambda end: unpacked(end, n_features))(ends)
    return W, b, jax.lax.map(lambda model: loss_at_nodes(
        *model, problem.features, problem.importance, problem.activation), (W, b))


_SOLVER = Compute(_solve_begin, advance=lambda problem, state, until: state,
                  observe=lambda problem, state: (), end=lambda problem, state: state)


def _finish_solved(config: SuperpositionConfig, outcome: Any, records: list[Any]) -> SuperpositionResult:
    W, b, losses = outcome
    best = int(np.argmin(losses))
    return _result(config, (W[best], b[best]), losses, best, np.int32(-1), _no_history(*W.shape[1:]))


def _result(config: SuperpositionConfig, model: tuple[Any, Any], losses: Any, best: int, first_bad_step: Any,
            history: History) -> SuperpositionResult:
    return SuperpositionResult(config, ToyModel(*model, config.activation), losses[best], losses, first_bad_step,
                               history)


def _no_history(m: int, n: int) -> History:
    return History(np.zeros(0, np.int32), np.zeros(0, np.float32), np.zeros((0, m, n), np.float32),
                   np.zeros((0, n), np.float32))


def _solver_cost(config: SuperpositionConfig, n_starts: int) -> Cost:
    """Measured on two cores: 5 to 2 takes 8 microseconds a start and step per thousand node values."""
    n, lanes = config.n_features, n_starts * (8 if config.n_features <= 3 else 1)
    params = (config.n_hidden + 1) * n
    values = n * len(nodes(n, config.values, COARSE).x)
    per_start = 4.0 * (8 * values + 4 * n * (n + 1) * params + 4 * params**2)
    flops = 2.0 * values * (n + 2) ** 2 + 2 * n * (n + 1) ** 2 * params + n * n * params**2
    return Cost(lanes * per_start + 2e8, n_starts * SOLVER_STEPS * (flops / 1e10 + 5e-6))


def _training_cost(config: SuperpositionConfig, shape: tuple[int, int], n_starts: int, n_records: int) -> Cost:
    """Memory: three copies of the parameters, six batches, and the records. Time: three passes at 20 GFLOP/s."""
    m, n = shape
    inner = n if n <= GRAM_FEATURES else 2 * m
    n_bytes = 4.0 * (n_starts * m * n * (4 + n_records) + 6 * n * config.batch_size + m * config.batch_size)
    seconds = config.n_steps * n_starts * (6.0 * config.batch_size * n * inner / 2e10 + 3e-5)
    return Cost(n_bytes + 2e8, seconds)


def _require_converged(result: SuperpositionResult) -> None:
    step = int(result.first_bad_step)
    if step >= 0:
        raise DivergedError(
            f"learning_rate={result.config.learning_rate:g}: the loss or its gradient stopped being finite at step "
            f"{step} of {result.config.n_steps}; try a smaller one. The last finite loss was "
            f"{float(result.loss):.4g}. Config: {result.config.to_json()}")
