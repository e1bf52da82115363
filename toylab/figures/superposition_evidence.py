"""What the superposition chapter computes and measures: recipes, the data they make, the numbers
asked.

A measure takes the data of one seed and returns one number, so that `Check` can hold it against an
interval.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from numpy.typing import NDArray

from toylab import Grid, SuperpositionConfig, SuperpositionResult, grid, superposition, sweep
from toylab.analysis.packing import sample_cosines
from toylab.analysis.polytopes import TOLERANCE, name_polytope
from toylab.analysis.superposition import (
    dims_per_feature,
    feature_dimensionality,
    gram,
    n_represented,
    represented,
)
from toylab.figures.cells import Cell, cells, density_of
from toylab.figures.entry import Check
from toylab.figures.packing import RandomDirections
from toylab.figures.starts import Branches
from toylab.figures.superposition import Comparison

__all__ = [
    "Directions", "Recipe", "at", "bias_error", "branched", "compared", "digon_share",
    "dimensionalities", "drawn", "hit_rate", "kept", "largest_over", "made", "norm_ratio",
    "norm_steps", "off_projection", "off_shape", "over", "pair_cosines", "plateau_share",
    "shape_check", "strangers", "variance_error",
]

Measure = Callable[[Any], float]


class Recipe(NamedTuple):
    """How the models of a figure are made: each is the best of `n_starts` of one experiment.

    Attributes:
        config: a config, a grid, or a tuple of configs.
        n_starts: starts for each model.
        experiment: `superposition.solve`, which minimises the exact loss, or `superposition.run`.
    """

    config: SuperpositionConfig | Grid[SuperpositionConfig] | tuple[SuperpositionConfig, ...]
    n_starts: int = 16
    experiment: Callable[..., SuperpositionResult] = superposition.solve


class Directions(NamedTuple):
    """How many random directions to draw (n_features), in spaces of which dimensions (n_hidden)."""

    n_features: int
    n_hidden: tuple[int, ...]


def made(recipe: Recipe, key: jax.Array) -> SuperpositionResult:
    """The result of a recipe: of a run for one config, of a sweep for several."""
    if isinstance(recipe.config, SuperpositionConfig):
        return recipe.experiment(recipe.config, key, n_starts=recipe.n_starts)
    experiment = functools.partial(recipe.experiment, n_starts=recipe.n_starts)
    return sweep(experiment, recipe.config, key)


def compared(recipe: Recipe, key: jax.Array) -> Comparison:
    """A recipe with a grid, made with the linear model and as it is."""
    plan = recipe.config
    if not isinstance(plan, Grid):
        raise TypeError(f"recipe.config: must be a Grid, got {type(plan).__name__}")
    linear = grid(plan.config.replace(activation="linear"), **dict(plan.axes))
    return Comparison(made(recipe._replace(config=linear), key), made(recipe, key))


def branched(recipe: Recipe, key: jax.Array) -> Branches:
    """`n_starts` single starts over the recipe's densities, each with weights of its own."""
    results = [made(recipe._replace(n_starts=1), jax.random.fold_in(key, start))
               for start in range(recipe.n_starts)]
    first = cells(results[0])
    counts = np.array([[kept(cell) for cell in cells(result)] for result in results])
    losses = np.array([np.asarray(result.loss, np.float64) for result in results])
    return Branches(first[0].config.n_features, first[0].config.n_hidden,
                    np.array([density_of(cell.config) for cell in first]), losses, counts)


def drawn(config: Directions, key: jax.Array) -> RandomDirections:
    """The cosines of random directions, an independent draw for each number of dimensions."""
    cosines = [np.asarray(sample_cosines(jax.random.fold_in(key, d), config.n_features, d))
               for d in config.n_hidden]
    return RandomDirections(config.n_features, np.array(config.n_hidden), np.stack(cosines))


def at(index: int, measure: Callable[[Cell], Any]) -> Measure:
    """Measure one cell of a result."""
    return lambda result: float(measure(cells(result)[index]))


def over(measure: Callable[[Cell], Any], summary: Callable[[list[float]], float]) -> Measure:
    """Measure every cell of a result and sum up, with `min`, `max` or the like."""
    return lambda result: float(summary([float(measure(cell)) for cell in cells(result)]))


def kept(cell: Cell) -> int:
    """How many features a model represents."""
    return int(n_represented(cell.W))


def off_shape(name: str) -> Callable[[Cell], float]:
    """How far features are from the named shape, in cosines; infinite for any other shape."""

    def deviation(cell: Cell) -> float:
        found = name_polytope(cell.W)
        return found.deviation if found.name == name else math.inf

    return deviation


def shape_check(name: str, index: int = 0, where: str = "") -> Check:
    """That one cell has the named shape, within the tolerance of `name_polytope`."""
    label = f"deviation from {name} {where}".strip()
    return Check(label, at(index, off_shape(name)), 0.0, TOLERANCE)


def dimensionalities(cell: Cell) -> NDArray[np.float64]:
    """The dimensionality of each feature, [n]."""
    return np.asarray(feature_dimensionality(cell.W), np.float64)


def norm_ratio(cell: Cell) -> float:
    """The largest norm of a feature over the smallest."""
    norms = np.linalg.norm(cell.W, axis=0)
    return float(norms.max() / max(norms.min(), 1e-12))


def strangers(cell: Cell) -> int:
    """Features kept beyond the m most important, and features of these that are not kept."""
    top = np.arange(cell.config.n_features) < cell.config.n_hidden
    return int(np.sum(np.asarray(represented(cell.W)) != top))


def off_projection(cell: Cell) -> float:
    """The largest entry of WᵀW minus the projection onto the m most important features."""
    ideal = np.diag((np.arange(cell.config.n_features) < cell.config.n_hidden).astype(float))
    return float(np.max(np.abs(np.asarray(gram(cell.W)) - ideal)))


def bias_error(cell: Cell) -> float:
    """The largest distance of b from the mean p/2, over all but the m most important features."""
    return float(np.max(np.abs(cell.b - cell.config.density / 2)[cell.config.n_hidden:]))


def pair_cosines(cell: Cell) -> NDArray[np.float64]:
    """The cosine between the two features of each consecutive pair, [n/2]."""
    unit = cell.W / np.maximum(np.linalg.norm(cell.W, axis=0), 1e-12)
    return np.sum(unit[:, ::2] * unit[:, 1::2], axis=0)


def norm_steps(result: SuperpositionResult) -> NDArray[np.float64]:
    """Changes of the first feature's norm from one cell of a line to the next, largest first."""
    norms = [float(np.linalg.norm(cell.W[:, 0])) for cell in cells(result)]
    return np.sort(np.abs(np.diff(norms)))[::-1]


def plateau_share(result: SuperpositionResult) -> float:
    """The share of the range of log density in which m/|W|² is within 10 % of 1/2."""
    values = np.array([float(dims_per_feature(cell.W)) for cell in cells(result)])
    logs = np.log([density_of(cell.config) for cell in cells(result)])
    order = np.argsort(logs)
    between = np.interp(np.linspace(logs.min(), logs.max(), 2001), logs[order], values[order])
    return float(np.mean(np.abs(between - 0.5) <= 0.05))


def digon_share(result: SuperpositionResult) -> float:
    """The share of kept features with D within 0.02 of 1/2, in the model with m/|W|² closest to
    it."""
    cell = min(cells(result), key=lambda cell: abs(float(dims_per_feature(cell.W)) - 0.5))
    D = dimensionalities(cell)[np.asarray(represented(cell.W))]
    return float(np.mean(np.abs(D - 0.5) <= 0.02))


def hit_rate(result: SuperpositionResult) -> float:
    """Percent of all starts that end within 1 % of the best at their density."""
    losses = np.asarray(result.start_losses, np.float64)
    return float(100.0 * np.mean(losses <= 1.01 * losses.min(axis=-1, keepdims=True)))


def variance_error(data: RandomDirections) -> float:
    """The largest relative deviation of the cosines' variance from 1/d."""
    return float(np.max(np.abs(np.var(data.cosines.astype(float), axis=1) * data.n_hidden - 1.0)))


def largest_over(reference: Callable[[int, int], Any],
                 summary: Callable[[Sequence[float]], float]) -> Measure:
    """The largest |cos| in each space over reference(n_features, n_hidden), summed up."""

    def measure(data: RandomDirections) -> float:
        largest = np.max(np.abs(data.cosines), axis=1)
        return summary([float(value) / max(float(reference(data.n_features, int(d))), 1e-9)
                        for value, d in zip(largest, data.n_hidden, strict=True)])

    return measure
