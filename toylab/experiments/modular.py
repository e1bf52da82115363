"""Modular arithmetic: a network memorises, forms a circuit of waves, and cleans up.

`run` trains on a part of all p^2 pairs and measures, at every record, what Nanda et al. 2023 call
progress: how well the key frequencies alone do, and how the rest does without them.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from toylab.analysis.fourier import frequency_energy, gini
from toylab.analysis.logit_parts import key_table
from toylab.analysis.logit_spectrum import AnswerTable
from toylab.analysis.progress_measures import cross_entropies
from toylab.data.modular import answers
from toylab.errors import ConfigTypeError, DivergedError, shown
from toylab.experiments.modular_config import ModularConfig
from toylab.experiments.modular_forward import (
    Model,
    all_logits,
    all_neurons,
    pair_logits,
)
from toylab.experiments.modular_stages import TRAINER, Record, problem_of, training_cost
from toylab.models.mlp import PairMLP, gromov
from toylab.models.transformer import Transformer
from toylab.training.sweep import Plan, experiment

__all__ = [
    "ModularConfig",
    "ModularResult",
    "Progress",
    "answers",
    "gromov",
    "logits",
    "neurons",
    "own_size",
    "run",
]

KEY_SHARE = 0.01


class Progress(NamedTuple):
    """Measures over the records; keys are those of the last record, held fixed.

    Attributes:
        restricted_loss: float32 [r], of all pairs, from the key waves of the logits and their mean
            over pairs. excluded_loss: float32 [r], of the training pairs, without the key waves.
        explained: float32 [r], share of the logits' variance in the keys' cos w_k(a+b-c), sin.
        share: float32 [r, K], the same for each frequency alone.
        gini_in, gini_out: float32 [r], Gini coefficient of the energy by frequency of W_E (the
            mlp's input weights) and of W_L = W_U W_out (W_out).
        weight_norm: float32 [r], sum of squares of all weights.
    """

    restricted_loss: jax.Array
    excluded_loss: jax.Array
    explained: jax.Array
    share: jax.Array
    gini_in: jax.Array
    gini_out: jax.Array
    weight_norm: jax.Array


class ModularResult(NamedTuple):
    """A training with its history; r records; after a sweep the grid's axes come first.

    Attributes:
        config: the config, or the grid after a sweep.
        model: the network after the last good step.
        step: int32 [r], steps done at each record.
        train_loss, test_loss: float32 [r], mean cross-entropy over the p answers (with
            train_fraction=1 there is no test pair, and both are the same).
        train_accuracy, test_accuracy: float32 [r], in [0, 1].
        key_frequencies: int32 [n], ascending in 1..K: those that hold more than 1 % of the centred
            logits at the last record; a sweep fills up with zeros.
        train_pairs: int32 [n_train], the pairs trained on as a * p + b.
        progress: the measures.
        snapshots: the network at every record, each array with a leading [r].
        first_bad_step: int32 [], the step at which training diverged, or -1.
    """

    config: Any
    model: Model
    step: jax.Array
    train_loss: jax.Array
    test_loss: jax.Array
    train_accuracy: jax.Array
    test_accuracy: jax.Array
    key_frequencies: jax.Array
    train_pairs: jax.Array
    progress: Progress
    snapshots: Model
    first_bad_step: jax.Array


@experiment
def run(config: ModularConfig) -> Plan:
    """Train, and record every `record_every` steps.

    run(config, key) -> ModularResult. `watch=` is called with each `Record` as it is made.

    Raises:
        ConfigError: a bad config.
        BudgetError: predicted memory or time beyond the limits (`toylab.budget`).
        DivergedError: the training diverged. In a sweep the cell says so instead.
    """
    if not isinstance(config, ModularConfig):
        raise ConfigTypeError(
            f"config={shown(config)}: must be a ModularConfig, got {type(config).__name__}"
        )
    config = config.check()
    return Plan(
        problem_of(config),
        TRAINER,
        config.record_steps,
        1,
        functools.partial(_finish, config),
        training_cost(config),
        _require_converged,
    )


def logits(model: Model) -> jax.Array:
    """The logits of every pair, float32 [p, p, p] indexed [a, b, c] (without the one of '=')."""
    return _all_logits(_model(model))


def neurons(model: Model) -> jax.Array:
    """The neurons of every pair after the activation, float32 [p, p, d_mlp]."""
    return _all_neurons(_model(model))


_all_logits, _all_neurons = jax.jit(all_logits), jax.jit(all_neurons)


def own_size(model: Model, config: ModularConfig) -> Model:
    """One network of a sweep over sizes, without the zeros that fill it up.

    A sweep over p, d_model, n_heads or d_mlp gives all networks the largest shapes. Until it is
    cut, a smaller one computes something else: its '=' is not the last row.

    Args:
        model: weights of a single network, as large as `config` says or larger.
        config: of its cell; `result.config.configs[i]` for cell i in C order.

    Example: for a sweep over p=[11, 13], `own_size(jax.tree.map(lambda W: W[0],
        result.model), result.config.configs[0])` has an embedding of 12 rows.
    """
    shapes = _shapes(config)

    def cut(path: Any, leaf: Any) -> jax.Array:
        name = jax.tree_util.keystr(path, simple=True, separator=".").removesuffix(".value")
        return jnp.asarray(leaf[tuple(slice(size) for size in shapes[name])])

    return jax.tree_util.tree_map_with_path(cut, model)


def _shapes(config: ModularConfig) -> Mapping[str, tuple[int, ...]]:
    p, m, d = config.p, config.d_mlp, config.d_model
    if config.architecture == "mlp":
        return {"W_a": (m, p), "W_b": (m, p), "W_out": (p, m)}
    heads = config.n_heads
    head = (1, heads, d, d // heads)
    return {
        "W_E": (p + 1, d), "W_pos": (3, d), "W_U": (d, p + 1),
        "W_Q": head, "W_K": head, "W_V": head, "W_O": (1, heads, d // heads, d),
        "W_in": (1, d, m), "b_in": (1, m), "W_out": (1, m, d), "b_out": (1, d),
    }  # fmt: skip


def _model(model: Model) -> Model:
    if not isinstance(model, Transformer | PairMLP):
        raise ConfigTypeError(
            f"model={shown(model)}: must be a Transformer or a PairMLP, got {type(model).__name__}"
        )
    return model


def _finish(config: ModularConfig, outcome: Any, records: list[Any]) -> ModularResult:
    train_pairs, first_bad_step = outcome
    history: Record = jax.tree.map(lambda *leaves: np.stack(leaves), *records)
    keys: Any = np.flatnonzero(history.share[-1] > KEY_SHARE) + 1
    mask = np.isin(np.arange(1, history.share.shape[1] + 1), keys)
    measured = jax.device_get(_measured(history, mask, train_pairs, config.task, config.p))
    return ModularResult(
        config,
        records[-1].model,
        history.step,
        history.train_loss,
        history.test_loss,
        history.train_accuracy,
        history.test_accuracy,
        keys.astype(np.int32),
        train_pairs,
        measured,
        history.model,
        first_bad_step,
    )


@functools.partial(jax.jit, static_argnames=("task", "p"))
def _measured(
    history: Record, mask: jax.Array, train_pairs: jax.Array, task: Any, p: int
) -> Progress:
    """The progress measures of all records, one after another."""
    grid = jnp.asarray(answers(task, p))
    pairs = jnp.zeros(p).at[grid.ravel()].add(1.0)
    right = grid.ravel()[train_pairs]
    kept = mask.astype(jnp.float32)

    def of(record: Record) -> Progress:
        waves = key_table(AnswerTable(record.by_answer, pairs), kept)
        mean = pairs @ record.by_answer / (p * p)
        restricted = cross_entropies(waves + mean[None], jnp.arange(p)) @ pairs / (p * p)
        trained = pair_logits(record.model, train_pairs // p, train_pairs % p)[:, :p]
        into, out = _layers(record.model)
        return Progress(
            restricted,
            cross_entropies(trained - waves[right], right).mean(),
            record.share @ kept,
            record.share,
            gini(frequency_energy(into)),
            gini(frequency_energy(out)),
            jnp.sum(jnp.stack([jnp.sum(W * W) for W in jax.tree.leaves(record.model)])),
        )

    return jax.lax.map(of, history)


def _layers(model: Model) -> tuple[jax.Array, jax.Array]:
    """What the p numbers are turned into [p, ...], and what the neurons say of the p answers."""
    if isinstance(model, Transformer):
        return model.W_E[:-1], (model.W_out[0] @ model.W_U[:, :-1]).T
    return jnp.concatenate(model.inputs).T, model.W_out[...]


def _require_converged(result: ModularResult) -> None:
    config, step = result.config, int(result.first_bad_step)
    if step >= 0:
        raise DivergedError(
            f"learning_rate={config.learning_rate:g}: the loss or its gradient stopped being "
            f"finite at step {step} of {config.n_steps}; try a smaller one. "
            f"Config: {config.to_json()}"
        )
