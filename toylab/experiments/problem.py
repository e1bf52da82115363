"""The superposition config as arrays of padded shape: what the compiled stages work on."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from toylab.data.counter import fork, normal
from toylab.data.expected import MAX_FEATURES
from toylab.data.features import Features
from toylab.experiments.superposition_config import SuperpositionConfig

__all__ = [
    "DATA",
    "GRAM_FEATURES",
    "HELD_OUT",
    "INITIAL",
    "Problem",
    "initial_weights",
    "padded_shape",
    "problem_of",
]

# Up to here W^T W is formed once a step, and the number of hidden dimensions costs nothing.
GRAM_FEATURES = 64

# Numbers of the streams that are forked from a start's own.
INITIAL, DATA, HELD_OUT = 0, 1, 2


def padded_shape(config: SuperpositionConfig) -> tuple[int, int]:
    """The sizes (M, N) that training compiles for: the next of a few buckets, by the config alone.

    Grids over sizes compile once a bucket (8, 24, 64, then multiples of 32 up to 512 and of 256
    beyond), and a cell has the same bits alone as in any grid.
    """
    n_features = _bucket(config.n_features)
    n_features += -n_features % config.group_size
    small = n_features <= GRAM_FEATURES and config.n_hidden <= n_features
    return (n_features if small else _bucket(config.n_hidden)), n_features


def _bucket(size: int) -> int:
    for bucket in (8, 24, 64):
        if size <= bucket:
            return bucket
    step = 32 if size <= 512 else 256
    return size + -size % step


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["density", "importance", "sizes", "rates", "n_steps"],
    meta_fields=[
        "n_hidden",
        "kind",
        "activation",
        "cosine",
        "batch_size",
        "n_starts",
        "held_out",
        "recorded",
    ],
)
@dataclasses.dataclass(frozen=True)
class Problem:
    """A config as arrays of padded shape: features and dimensions beyond its sizes do nothing.

    Attributes:
        density, importance: float32 [N]; zero for the padding, N >= n_features.
        sizes: float32 [2], (n_features, n_hidden). rates: float32 [2], (learning_rate,
            weight_decay).
        n_steps: int32 [].
        n_hidden: M >= the config's. kind: (values, grouping, group_size).
        held_out: the loss is estimated on held-out examples, since its exact value is out of reach.
        recorded: the model is kept at every target.
    """

    density: Any
    importance: Any
    sizes: Any
    rates: Any
    n_steps: Any
    n_hidden: int
    kind: tuple[Any, ...]
    activation: Any
    cosine: bool
    batch_size: int
    n_starts: int
    held_out: bool
    recorded: bool

    @property
    def features(self) -> Features:
        """The distribution of the padded data."""
        return Features(self.density, *self.kind)


def problem_of(
    config: SuperpositionConfig, shape: tuple[int, int], n_starts: int, recorded: bool
) -> Problem:
    """Fill the config's arrays with zeros up to `shape` = (M, N)."""
    n_hidden, n_features = shape
    padding = (0, n_features - config.n_features)
    return Problem(
        density=np.pad(config.density, padding).astype(np.float32),
        importance=np.pad(config.importances, padding).astype(np.float32),
        sizes=np.array([config.n_features, config.n_hidden], np.float32),
        rates=np.array([config.learning_rate, config.weight_decay], np.float32),
        n_steps=np.int32(config.n_steps),
        n_hidden=n_hidden,
        kind=(config.values, config.grouping, config.group_size),
        activation=config.activation,
        cosine=config.schedule == "cosine",
        batch_size=config.batch_size,
        n_starts=n_starts,
        held_out=config.n_features > MAX_FEATURES,
        recorded=recorded,
    )


def initial_weights(problem: Problem, words: jax.Array) -> jax.Array:
    """Xavier-normal weights, variance 2 / (n_features + n_hidden), zero in the padding; [M, N].

    Column i depends on the stream and on i alone, so the padding does not change the others.
    """
    columns = problem.density.shape[0]
    draws = jax.vmap(lambda i: normal(fork(words, i), (problem.n_hidden,)), out_axes=1)(
        jnp.arange(columns)
    )
    inside = (jnp.arange(problem.n_hidden)[:, None] < problem.sizes[1]) & (
        jnp.arange(columns)[None, :] < problem.sizes[0]
    )
    return jnp.where(inside, draws * jnp.sqrt(2.0 / jnp.sum(problem.sizes)), 0.0)
