"""Modular arithmetic as the stages of a `Compute`: split, train full batch, record."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from toylab.analysis.logit_spectrum import answer_table, logit_spectrum
from toylab.analysis.progress_measures import cross_entropies
from toylab.budget import Cost
from toylab.data.modular import Split, answers, split
from toylab.experiments.modular_config import ModularConfig
from toylab.experiments.modular_forward import (
    Model,
    all_logits,
    float32_losses,
    pair_logits,
)
from toylab.experiments.pair_mlp import unordered_logits, unordered_pairs
from toylab.models.mlp import one_frequency_pair_mlp, random_pair_mlp
from toylab.models.transformer import Sizes, random_transformer
from toylab.training.sweep import Compute
from toylab.training.train import TrainState, adamw, start, train, warm_then_drop

__all__ = ["TRAINER", "Problem", "Record", "problem_of", "training_cost"]


class Record(NamedTuple):
    """What is kept after some steps.

    Attributes:
        step: int32 [], steps done.
        train_loss, test_loss: float32 [], mean cross-entropy over the p answers, accurate form
            (without test pairs, the test figures are those of the training pairs).
        train_accuracy, test_accuracy: float32 [], in [0, 1].
        by_answer: float32 [p, p], mean logits over the pairs with one answer (rows).
        share: float32 [K], each frequency's share of the centred logits.
        model: the network at that time.
    """

    step: jax.Array
    train_loss: jax.Array
    test_loss: jax.Array
    train_accuracy: jax.Array
    test_accuracy: jax.Array
    by_answer: jax.Array
    share: jax.Array
    model: Model


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["rates", "steps", "seed"],
    meta_fields=["config"],
)
@dataclasses.dataclass(frozen=True)
class Problem:
    """A config as arrays.

    Attributes:
        rates: float32 [4], learning_rate, weight_decay, drop_factor, init_scale.
        steps: int32 [2], warmup, drop_step. seed: uint32 [].
        config: the config with all of these at one fixed value, so that they compile nothing.
    """

    rates: np.ndarray
    steps: np.ndarray
    seed: Any
    config: ModularConfig


def problem_of(config: ModularConfig) -> Problem:
    """The arrays of a checked config."""
    c = config
    return Problem(
        np.array([c.learning_rate, c.weight_decay, c.drop_factor, c.init_scale], np.float32),
        np.array([c.warmup, c.drop_step], np.int32),
        np.uint32(c.seed),
        c.replace(
            learning_rate=1.0,
            weight_decay=0.0,
            drop_factor=1.0,
            init_scale=1.0,
            warmup=0,
            drop_step=0,
            seed=0,
            n_steps=0,
            record_every=1,
            modulus="any",
        ),
    )


State = tuple[TrainState, Split]


def _optimizer(problem: Problem) -> optax.GradientTransformation:
    rate = warm_then_drop(problem.rates[0], problem.steps[0], problem.steps[1], problem.rates[2])
    if problem.config.optimizer == "sgd":
        decay = optax.add_decayed_weights(problem.rates[1])
        return optax.chain(decay, optax.scale_by_learning_rate(rate))
    return adamw(rate, problem.rates[1], b2=0.98)


def _begin(problem: Problem, key: jax.Array) -> State:
    for_split, for_model = jax.random.split(jax.random.fold_in(key, problem.seed))
    model = jax.tree.map(lambda W: problem.rates[3] * W, _initial(problem.config, for_model))
    parts = split(problem.config.p, problem.config.train_fraction, for_split)
    return start(model, _optimizer(problem)), parts


def _initial(config: ModularConfig, key: jax.Array) -> Model:
    if config.architecture == "transformer":
        d_head = config.d_model // config.n_heads
        sizes = Sizes(config.p + 1, 3, config.d_model, config.n_heads, d_head, config.d_mlp)
        return random_transformer(sizes, key)
    if config.initialisation == "one_frequency":
        return one_frequency_pair_mlp(config.p, config.d_mlp, key, config.activation, 1.0)
    tied = config.inputs == "tied"
    return random_pair_mlp(config.p, config.d_mlp, key, config.activation, tied, config.p**-0.5)


def _advance(problem: Problem, state: State, until: jax.Array) -> State:
    """Full-batch steps up to `until`; a transformer's loss counts '=' among the answers."""
    training, parts = state
    loss = _loss(problem.config, parts.train)
    return train(lambda model, step: loss(model), _optimizer(problem), training, until), parts


def _loss(config: ModularConfig, pairs: jax.Array) -> Callable[[Any], jax.Array]:
    grid = answers(config.task, config.p)
    losses = cross_entropies if config.loss == "accurate" else float32_losses
    if config.unordered:
        rows = unordered_pairs(grid, pairs)
        return lambda model: losses(unordered_logits(model, rows), rows.right) @ rows.weight
    a, b, right = pairs // config.p, pairs % config.p, jnp.asarray(grid).ravel()[pairs]
    return lambda model: jnp.mean(losses(pair_logits(model, a, b), right))


def _observe(problem: Problem, state: State) -> Record:
    training, parts = state
    config = problem.config
    grid = jnp.asarray(answers(config.task, config.p))
    logits = all_logits(training.params)
    flat, right = logits.reshape(-1, config.p), grid.ravel()
    losses = cross_entropies(flat, right)
    hits = (jnp.argmax(flat, axis=1) == right).astype(jnp.float32)
    tested = parts.test if parts.test.size else parts.train
    return Record(
        training.step,
        losses[parts.train].mean(),
        losses[tested].mean(),
        hits[parts.train].mean(),
        hits[tested].mean(),
        answer_table(logits, grid).mean,
        logit_spectrum(logits, grid).share,
        training.params,
    )


def _end(problem: Problem, state: State) -> tuple[jax.Array, jax.Array]:
    training, parts = state
    return parts.train, training.first_bad_step


# Matrix products in Eigen's kernels, not in the library that XLA 0.10 prefers on a CPU: for a step
# of the transformer they need 15 to 30 % less processor time; smaller networks do not care.
_PRODUCTS = (("xla_cpu_experimental_ynn_fusion_type", ""),)
TRAINER = Compute(_begin, _advance, _observe, _end, _PRODUCTS)


def training_cost(config: ModularConfig) -> Cost:
    """Memory for activations, optimiser and records; time at 100 GFLOP/s a step and a record."""
    p, m, d = config.p, config.d_mlp, config.d_model
    wide = d * (m + p) if config.architecture == "transformer" else 0
    weights = 4 * d * d + 2 * d * m + 2 * p * d if wide else 3 * p * m
    flops = 2.0 * (wide + m * p)
    n_records = len(config.record_steps)
    n_bytes = 4.0 * (
        n_records * (weights + p * p)
        + 6 * weights
        + 4 * config.n_train * (m + p)
        + p * p * (m + 4 * p)
    )
    work = 3 * config.n_train * flops * config.n_steps + n_records * p * p * (flops + 50 * p)
    return Cost(n_bytes + 2e8, work / 1e11 + 1e-4 * config.n_steps)
