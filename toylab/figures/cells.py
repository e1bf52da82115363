"""A result as the list of its cells, each a trained model with its config and its label.

Every figure of models starts here, so that a single run, a line, a grid and a sweep over sizes
(whose arrays are padded with zeros) are read in one way.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from toylab.figures.palette import rounded

if TYPE_CHECKING:
    from toylab.experiments.superposition import SuperpositionConfig, SuperpositionResult

Axes = tuple[tuple[str, tuple[Any, ...]], ...]

__all__ = ["Cell", "Sweep", "cells", "density_of", "extremes", "spaced", "sweep_of"]


class Cell(NamedTuple):
    """One model of a result, its padding cut off.

    Attributes:
        W: [n_hidden, n_features], to five significant digits.
        b: [n_features], likewise.
        loss: mean over examples and features.
        config: what it was trained for.
        label: the values of the sweep's axes, "density 0.05"; empty for a single run.
    """

    W: NDArray[np.float64]
    b: NDArray[np.float64]
    loss: float
    config: SuperpositionConfig
    label: str


class Sweep(NamedTuple):
    """The cells of a result and the axes along which they lie.

    Attributes:
        cells: in C order of the axes.
        axes: (name, values) of each axis; empty for a single run. Sparsity is turned into density.
    """

    cells: tuple[Cell, ...]
    axes: Axes

    @property
    def shape(self) -> tuple[int, ...]:
        """The length of each axis."""
        return tuple(len(values) for _, values in self.axes)


def cells(result: SuperpositionResult) -> tuple[Cell, ...]:
    """The cells of a run, or of a sweep in C order of its axes."""
    return sweep_of(result).cells


def sweep_of(result: SuperpositionResult) -> Sweep:
    """The cells and axes of a run or a sweep."""
    W, b = np.asarray(result.model.W[...]), np.asarray(result.model.b[...])
    W, b = W.reshape(-1, *W.shape[-2:]), b.reshape(-1, b.shape[-1])
    losses = rounded(result.loss).reshape(-1)
    configs, axes = _configs_and_axes(result.config)
    where = np.ndindex(*(len(values) for _, values in axes))
    labels = (", ".join(_label(axes[k], i) for k, i in enumerate(place)) for place in where)
    found = [_cell(W[i], b[i], losses[i], config, label)
             for i, (config, label) in enumerate(zip(configs, labels, strict=True))]
    return Sweep(tuple(found), axes)


def extremes(values: ArrayLike) -> tuple[float, float]:
    """The least and the largest finite value; (0, 0) when there is none."""
    array = np.asarray(values, dtype=np.float64)
    finite = array[np.isfinite(array)]
    return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)


def _configs_and_axes(config: Any) -> tuple[Sequence[SuperpositionConfig], Axes]:
    """The configs and axes of a run (a config), a sweep (a grid) or a list (a tuple)."""
    if isinstance(config, tuple):
        sizes = tuple(f"{one.n_features} in {one.n_hidden}" for one in config)
        return config, (("cell" if len(set(sizes)) < len(sizes) else "", _numbered(sizes)),)
    if hasattr(config, "axes"):
        return config.configs, tuple(_shown_axis(name, values) for name, values in config.axes)
    return (config,), ()


def _numbered(sizes: tuple[str, ...]) -> tuple[Any, ...]:
    """Models of a list are known by their sizes or, where these recur, by their numbers."""
    distinct = len(set(sizes)) == len(sizes)
    return sizes if distinct else tuple(float(i + 1) for i in range(len(sizes)))


def spaced(found: Sequence[Cell], limit: int) -> list[Cell]:
    """At most `limit` of the cells, evenly spaced, the first and the last among them."""
    chosen = np.linspace(0, len(found) - 1, min(limit, len(found))).round().astype(int)
    return [found[i] for i in np.unique(chosen)]


def _cell(W: NDArray[np.floating], b: NDArray[np.floating], loss: float,
          config: SuperpositionConfig, label: str) -> Cell:
    """One cell without padding; what is not finite is drawn as 0, and the label says so."""
    W, b = W[:config.n_hidden, :config.n_features], b[:config.n_features]
    if not (np.all(np.isfinite(W)) and np.all(np.isfinite(b))):
        label = f"{label} (not finite)".strip()
    W, b = (rounded(np.where(np.isfinite(array), array, 0.0)) for array in (W, b))
    return Cell(W, b, float(loss), config, label)


def density_of(config: SuperpositionConfig) -> float:
    """The probability that a feature is active, averaged over the features; in (0, 1]."""
    return float(np.mean(config.density))


def _shown_axis(name: str, values: Sequence[Any]) -> tuple[str, tuple[Any, ...]]:
    """An axis as figures name it: density for sparsity, numbers to five digits."""
    if name == "sparsity":
        return "density", tuple(_number(1.0 - np.asarray(value)) for value in values)
    return name, tuple(value if isinstance(value, str) else _number(value) for value in values)


def _number(value: Any) -> Any:
    array = rounded(value)
    return tuple(array.tolist()) if array.ndim else float(array)


def _label(axis: tuple[str, tuple[Any, ...]], index: int) -> str:
    name, values = axis
    value = values[index]
    if not isinstance(value, tuple):
        return f"{name} {value}".strip() if isinstance(value, str) else f"{name} {value:.3g}"
    varying = [i for i in range(len(value)) if len({v[i] for v in values}) > 1] or [0]
    return f"{name} of {varying[0] + 1}: {value[varying[0]]:.3g}"
