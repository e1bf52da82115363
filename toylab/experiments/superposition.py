"""Superposition: sparse features through a bottleneck that is too narrow for them.

`run` trains on samples, for any sizes; `solve` minimises the exact expected loss from many starts
at once, for up to 8 features. Both return the best of their starts as a `SuperpositionResult`.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from toylab.analysis.arguments import weights
from toylab.data.counter import stream
from toylab.data.expected import MAX_FEATURES
from toylab.data.features import Features, sample
from toylab.errors import ConfigError, ConfigTypeError, DivergedError, shown
from toylab.experiments.exact import SOLVER, loss_at_nodes, solver_cost, solver_microbatch
from toylab.experiments.problem import padded_shape, problem_of
from toylab.experiments.sampled import TRAINER, training_cost
from toylab.experiments.superposition_config import SuperpositionConfig
from toylab.models.toy import ToyModel
from toylab.training.sweep import Plan, as_key, experiment

__all__ = [
    "History",
    "SuperpositionConfig",
    "SuperpositionResult",
    "expected_loss",
    "run",
    "sample_features",
    "solve",
]

MAX_EXAMPLES = 2**26
LEAST_DENSITY = 1e-4
NEVER: Any = np.int32(-1)


class History(NamedTuple):
    """What was recorded during training, after steps n_steps * (k + 1) / n_records.

    Attributes:
        step: int32 [n_records], steps done. loss: float32 [n_records], training loss of the last
            step.
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
        loss: float32 [], mean over examples and features of importance * squared error: the exact
            expectation for n_features <= 8, otherwise the mean over 65,536 held-out examples.
        start_losses: float32 [n_starts], one for each start, whose least names the best. `run`
            measures them as `loss`; `solve` on fewer nodes (relative error below 0.01), to be
            compared with one another.
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
    config = _checked(config)
    if (
        isinstance(n, bool)
        or not isinstance(n, int | np.integer)
        or n < 1
        or (n * config.n_features > MAX_EXAMPLES)
    ):
        raise ConfigError(
            f"n={shown(n)}: must be an integer in 1..{MAX_EXAMPLES // config.n_features} "
            f"for n_features={config.n_features}"
        )
    _require_samplable(config)
    return sample(config.features, stream(as_key(key)), int(n)).T


def expected_loss(W: Any, b: Any, config: SuperpositionConfig) -> jax.Array:
    """The exact mean over examples and features of importance * squared error, float32 [].

    Enumerates the active sets and integrates their magnitudes on fixed nodes. The relative error is
    below 1e-3 on sparse data, and up to a few times that on dense or grouped data.

    Args:
        W: [n_hidden, n_features]. b: [n_features].
        config: the data and the activation; its n_hidden is not used. n_features <= 8.

    Raises:
        ConfigError: more than 8 features, or shapes that do not fit.
    """
    config = _checked(config)
    _require_exact(config, "expected_loss")
    W, b = weights(W), jnp.asarray(np.asarray(b, float), jnp.float32)
    n = config.n_features
    if W.ndim != 2 or W.shape[1] != n or b.shape != (n,):
        raise ConfigError(
            f"W, b=shapes {W.shape}, {b.shape}: must be [n_hidden, {n}] and [{n}] "
            f"for n_features={n}"
        )
    kind = (config.values, config.grouping, config.group_size)
    return _exact_loss(
        W, b, np.float32(config.density), np.float32(config.importances), kind, config.activation
    )


@experiment
def run(config: SuperpositionConfig, *, n_starts: int = 1, n_records: int = 0) -> Plan:
    """Train on samples from `n_starts` random starts; the best is the result.

    run(config, key, n_starts=1, n_records=0) -> SuperpositionResult. Sizes are padded to a few
    buckets, and all other numbers are data, so that most changes of a config compile nothing anew.

    Args:
        config: any sizes; the training fields say how.
        n_starts: 1..4096, trained one after another.
        n_records: 0..10000 evenly spaced records of the model in `.history`; at most n_steps.

    Raises:
        ConfigError: a bad config or option.
        BudgetError: predicted memory or time beyond the limits (`toylab.budget`).
        DivergedError: the training of every start diverged. In a sweep the cell says so instead.
    """
    config = _checked(config)
    _require_samplable(config)
    n_starts = _count("n_starts", n_starts, 1, 4096)
    n_records = _count("n_records", n_records, 0, min(10_000, config.n_steps))
    shape = padded_shape(config)
    cost = training_cost(config, shape, n_starts, n_records)
    # The host looks up after each piece, to report progress or to be interrupted: twice a second.
    pieces = n_records or min(max(10, int(2 * cost.seconds)), 1000)
    targets = tuple(config.n_steps * (k + 1) // pieces for k in range(pieces))
    problem = problem_of(config, shape, n_starts, recorded=n_records > 0)
    return Plan(
        problem,
        TRAINER,
        targets,
        1,
        functools.partial(_finish_trained, config),
        cost,
        _require_converged,
    )


@experiment
def solve(config: SuperpositionConfig, *, n_starts: int = 8) -> Plan:
    """Minimise the exact expected loss from `n_starts` random starts; the best is the result.

    solve(config, key, n_starts=8) -> SuperpositionResult. Levenberg-Marquardt on rough, then on
    coarse nodes; the ends are compared on finer ones, and the winner's loss is `expected_loss`.
    For up to 5 independent features it is typically within 0.1 % of the least known; for 6 to 8
    dense or grouped ones the nodes are fewer for each set, and `run` may find less. A program is
    compiled for each pair of sizes.

    Args:
        config: n_features <= 8; learning_rate, n_steps and the like are not used.
        n_starts: 1..4096.

    Raises:
        ConfigError: a bad config or option, or more than 8 features.
    """
    config = _checked(config)
    _require_exact(config, "solve")
    n_starts = _count("n_starts", n_starts, 1, 4096)
    problem = problem_of(config, (config.n_hidden, config.n_features), n_starts, recorded=False)
    return Plan(
        problem,
        SOLVER,
        (),
        solver_microbatch(config),
        functools.partial(_finish_solved, config),
        solver_cost(config, n_starts),
    )


def _checked(config: SuperpositionConfig) -> SuperpositionConfig:
    if not isinstance(config, SuperpositionConfig):
        raise ConfigTypeError(
            f"config={shown(config)}: must be a SuperpositionConfig, got {type(config).__name__}"
        )
    return config.check()


def _require_samplable(config: SuperpositionConfig) -> None:
    """One draw in multiples of 2^-24 decides and measures; below 1e-4 it would measure coarsely."""
    least = float(config.density.min())
    if least < LEAST_DENSITY:
        raise ConfigError(
            f"density={least:.3g}: samples resolve densities from {LEAST_DENSITY:g} on; use a "
            "smaller sparsity, or solve, which does not sample"
        )


def _require_exact(config: SuperpositionConfig, caller: str) -> None:
    if config.n_features > MAX_FEATURES:
        raise ConfigError(
            f"n_features={config.n_features}: {caller} enumerates all active sets and takes at "
            f"most {MAX_FEATURES} features; use toylab.superposition.run, which samples"
        )


def _count(name: str, value: Any, low: int, high: int) -> int:
    """An option that must be an int in low..high."""
    if (
        isinstance(value, bool)
        or not isinstance(value, int | np.integer)
        or not low <= value <= high
    ):
        raise ConfigError(f"{name}={shown(value)}: must be an integer in {low}..{high}")
    return int(value)


@jax.jit(static_argnums=(4, 5))
def _exact_loss(
    W: jax.Array,
    b: jax.Array,
    density: jax.Array,
    importance: jax.Array,
    kind: tuple[Any, ...],
    activation: Any,
) -> jax.Array:
    return loss_at_nodes(W, b, Features(density, *kind), importance, activation)


def _finish_trained(
    config: SuperpositionConfig, outcome: Any, records: list[Any]
) -> SuperpositionResult:
    m, n = config.n_hidden, config.n_features
    W, b, first_bad_step, estimates = outcome
    W, b = W[:, :m, :n], b[:, :n]
    losses: Any = estimates
    if n <= MAX_FEATURES:
        losses = np.array([expected_loss(*model, config) for model in zip(W, b, strict=True)])
    # A start that diverged keeps its last good state; it is chosen only when every start diverged.
    sound = (first_bad_step < 0) & np.isfinite(losses)
    best = int(np.argmin(np.where(sound, losses, np.inf) if sound.any() else losses))
    if not records or not records[0]:
        history = _no_history(m, n)
    else:
        kept: list[Any] = [np.stack(parts)[:, best] for parts in zip(*records, strict=True)]
        step, loss, W_then, b_then = kept
        history = History(step, loss, W_then[:, :m, :n], b_then[:, :n])
    return SuperpositionResult(
        config,
        ToyModel(W[best], b[best], config.activation),
        losses[best],
        losses,
        first_bad_step[best],
        history,
    )


def _finish_solved(
    config: SuperpositionConfig, outcome: Any, records: list[Any]
) -> SuperpositionResult:
    W, b, loss, scores = outcome
    return SuperpositionResult(
        config, ToyModel(W, b, config.activation), loss, scores, NEVER, _no_history(*W.shape)
    )


def _no_history(m: int, n: int) -> History:
    shapes = [(0,), (0,), (0, m, n), (0, n)]
    types = [np.int32, np.float32, np.float32, np.float32]
    empty: list[Any] = [np.zeros(s, t) for s, t in zip(shapes, types, strict=True)]
    return History(*empty)


def _require_converged(result: SuperpositionResult) -> None:
    config, step = result.config, int(result.first_bad_step)
    if step >= 0:
        raise DivergedError(
            f"learning_rate={config.learning_rate:g}: the loss or its gradient stopped being "
            f"finite at step {step} of {config.n_steps}; try a smaller one. The loss of the last "
            f"good state is {float(result.loss):.4g}. Config: {config.to_json()}"
        )
