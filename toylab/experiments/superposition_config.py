"""The config of the superposition experiments."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal

import jax
import numpy as np
from jax.core import Tracer

from toylab.config import Config, choice, config, integer, per_item, real
from toylab.data.features import Features
from toylab.errors import ConfigError, ConfigTypeError, shown

__all__ = ["SuperpositionConfig"]

MAX_SIZE = 4096


@config
class SuperpositionConfig(Config):
    """n_features sparse features, n_hidden dimensions, and how the model between them is trained.

    Attributes:
        n_features: n, 1..4096. n_hidden: m, 1..4096 (above n_features, superposition is
            impossible).
        sparsity: S = P(feature is zero) in [0, 1), one number or one for each feature; `density=`
            (1 - S) may be given in its place.
        importance, importance_decay: importance_i = importance[i] * importance_decay^i weighs the
            squared error of feature i.
        activation: f in x' = f(W^T W x + b): relu, gelu or linear.
        values: an active feature is uniform on [0, 1], binary (always 1) or signed (uniform on [-1,
            1]).
        grouping, group_size: how consecutive features are tied together (`toylab.data.features`).
        learning_rate, weight_decay, n_steps, batch_size, schedule: AdamW, for `run` alone. The
            published recipe is 1e-3, 1e-2, 10000, 1024, constant; the defaults reach its loss in a
            tenth of the steps.

    Source: Elhage et al. 2022, "Toy Models of Superposition", section 2. The paper sums the loss
    over features; toylab takes the mean (paper's = n_features * toylab's).
    """

    n_features: int = integer(default=5, low=1, high=MAX_SIZE)
    n_hidden: int = integer(default=2, low=1, high=MAX_SIZE)
    sparsity: float | tuple[float, ...] = per_item(
        default=0.95, low=0, high=1, high_open=True, note="1 means no feature is ever active"
    )
    importance: float | tuple[float, ...] = per_item(default=1.0, low=0, high=1e6)
    importance_decay: float = real(default=1.0, low=0, high=1)
    activation: Literal["relu", "gelu", "linear"] = choice(
        default="relu", options=("relu", "gelu", "linear")
    )
    values: Literal["uniform", "binary", "signed"] = choice(
        default="uniform", options=("uniform", "binary", "signed")
    )
    grouping: Literal["independent", "correlated", "anticorrelated", "hierarchical"] = choice(
        default="independent",
        options=("independent", "correlated", "anticorrelated", "hierarchical"),
    )
    group_size: int = integer(default=1, low=1, high=MAX_SIZE)
    learning_rate: float = real(default=1e-2, low=0, high=10, low_open=True)
    weight_decay: float = real(default=0.0, low=0, high=10)
    n_steps: int = integer(default=1000, low=0, high=2**31 - 1)
    batch_size: int = integer(default=1024, low=1, high=2**17)
    schedule: Literal["cosine", "constant"] = choice(
        default="cosine", options=("cosine", "constant")
    )

    @classmethod
    def aliases(cls) -> dict[str, tuple[str, Callable[[Any], Any]]]:
        """`density` = 1 - sparsity."""
        return {"density": ("sparsity", _complement)}

    @property
    def density(self) -> np.ndarray:
        """P(feature is active), float64 [n_features]."""
        return 1.0 - np.broadcast_to(np.asarray(self.sparsity, float), (self.n_features,))

    @property
    def importances(self) -> np.ndarray:
        """importance[i] * importance_decay^i, float64 [n_features]."""
        return np.asarray(self.importance) * float(self.importance_decay) ** np.arange(
            self.n_features
        )

    @property
    def features(self) -> Features:
        """The distribution of the data."""
        density: Any = self.density.astype(np.float32)
        return Features(density, self.values, self.grouping, self.group_size)

    def relations(self) -> Iterator[str]:
        """Lengths, divisibility, and probabilities that must fit into one group."""
        for name in ("sparsity", "importance"):
            value = getattr(self, name)
            if isinstance(value, tuple) and len(value) != self.n_features:
                count = f"has {len(value)} values, n_features={self.n_features}"
                yield f"{name}={shown(value)}: {count}"
                return
        if not np.any(self.importances > 0):
            yield f"importance={shown(self.importance)}: must be positive for at least one feature"
        if self.n_features % self.group_size:
            yield f"group_size={self.group_size}: must divide n_features={self.n_features}"
        elif self.grouping == "anticorrelated":
            largest = self.density.reshape(-1, self.group_size).sum(axis=1).max()
            if largest > 1 + 1e-9:
                yield (
                    f"sparsity={shown(self.sparsity)}: the densities of one anticorrelated group "
                    f"must sum to at most 1, not {largest:.4g}; use a sparsity of at "
                    f"least {1 - 1 / self.group_size:.4g}"
                )

    def notices(self) -> list[str]:
        """Remarks on a valid but unusual choice."""
        if self.n_hidden > self.n_features:
            return [
                f"n_hidden={self.n_hidden}: exceeds n_features={self.n_features}; "
                "no superposition is possible"
            ]
        return []


def _complement(density: Any) -> Any:
    if isinstance(density, Tracer):
        return 1.0 - density
    if isinstance(density, jax.Array | np.ndarray):
        density = np.asarray(density).tolist()
    if isinstance(density, list | tuple):
        return tuple(_complement(value) for value in density)
    if isinstance(density, bool) or not isinstance(density, int | float | np.number):
        raise ConfigTypeError(
            f"density={shown(density)}: must be a number, got {type(density).__name__}"
        )
    if not 0 <= density <= 1:
        raise ConfigError(f"density={shown(density)}: must be in (0, 1]")
    return round(1.0 - float(density), 12)
