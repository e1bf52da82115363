"""Results that were never trained: any weights, in the form that the experiments return."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from toylab import Grid, SuperpositionResult
from toylab.experiments.superposition import History
from toylab.models.toy import ToyModel

Result = Callable[..., SuperpositionResult]


def _result(config: Any, W: Any, b: Any = None, loss: Any = None,
            start_losses: Any = None) -> SuperpositionResult:
    W = np.asarray(W, np.float32)
    lead = W.shape[:-2]
    b = np.zeros((*lead, W.shape[-1])) if b is None else np.asarray(b)
    loss = np.ones(lead) if loss is None else np.asarray(loss)
    starts = loss[..., None] if start_losses is None else np.asarray(start_losses)
    empty = History(*(jnp.zeros((*lead, 0)),) * 4)
    model = ToyModel(jnp.asarray(W), jnp.asarray(b, jnp.float32))
    return SuperpositionResult(config, model, jnp.asarray(loss), jnp.asarray(starts),
                               jnp.full(lead, -1), empty)


@pytest.fixture
def result() -> Result:
    """(config or grid, W, b, loss, start_losses) -> a result that holds them."""
    return _result


@pytest.fixture
def random_result() -> Result:
    """A result of the given config, grid or tuple of configs with arbitrary weights and losses."""

    def build(config: Any, n_starts: int = 3, seed: int = 0) -> SuperpositionResult:
        if isinstance(config, Grid):
            configs, shape = config.configs, config.shape
        elif isinstance(config, tuple):
            configs, shape = config, (len(config),)
        else:
            configs, shape = (config,), ()
        m, n = (max(getattr(c, f) for c in configs) for f in ("n_hidden", "n_features"))
        rng = np.random.default_rng(seed)
        W = np.zeros((len(configs), m, n))
        for i, one in enumerate(configs):
            W[i, :one.n_hidden, :one.n_features] = rng.normal(
                size=(one.n_hidden, one.n_features)) / np.sqrt(one.n_hidden)
        starts = rng.uniform(0.01, 0.02, size=(*shape, n_starts))
        return _result(config, W.reshape(*shape, m, n), rng.normal(size=(*shape, n)),
                       starts.min(axis=-1), starts)

    return build


@pytest.fixture
def polygon() -> Callable[..., np.ndarray]:
    """(vertices, features, radius) -> W [2, features]: a regular polygon, other features 0."""

    def build(vertices: int, features: int, radius: float = 1.0, turn: float = 0.3) -> np.ndarray:
        angle = 2 * np.pi * np.arange(vertices) / vertices + turn
        W = np.zeros((2, features))
        W[:, :vertices] = radius * np.stack([np.cos(angle), np.sin(angle)])
        return W

    return build
