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
from matplotlib.figure import Figure
from numpy.typing import NDArray

from toylab import (
    Grid,
    SuperpositionConfig,
    SuperpositionResult,
    grid,
    sample_features,
    superposition,
    sweep,
)
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
from toylab.figures.entry import Check, Entry
from toylab.figures.learning import Attacks, Learning
from toylab.figures.packing import RandomDirections
from toylab.figures.starts import Branches
from toylab.figures.superposition import Comparison

__all__ = [
    "COSINE", "TMS", "Directions", "Recipe", "across_sets", "at", "attacked", "bias_error",
    "branched", "compared", "digon_share", "dimensionalities", "drawn", "entry", "hit_rate",
    "kept", "largest_over", "level_share", "made", "model", "norm_ratio", "norm_steps",
    "off_projection", "off_shape", "over", "pair_cosines", "plateau_share", "rank_correlation",
    "recorded", "rise_between", "shape_check", "strangers", "variance_error",
]

TMS = "Elhage et al. 2022, Toy Models of Superposition"
COSINE = 1.0001  # a cosine of float32 vectors may exceed 1 by this much

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


def model(n_features: int, n_hidden: int, **fields: Any) -> SuperpositionConfig:
    """The config of n features in m dimensions."""
    return SuperpositionConfig(n_features=n_features, n_hidden=n_hidden, **fields)


def entry(id: str, title: str, source: str, caption: str, config: Any,
          figure: Callable[[Any], Figure], statement: str, *checks: Check, seeds: int = 3,
          quick: bool = True, compute: Callable[[Any, jax.Array], Any] | None = None) -> Entry:
    """An entry of this chapter; by default its data are what `made` makes of a recipe."""
    return Entry(id, "superposition", title, source, caption, config, compute or made, figure,
                 statement, checks, seeds, quick)


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


def recorded(recipe: Recipe, key: jax.Array) -> Learning:
    """One training with 100 records, each scored on the same held-out examples."""
    if not isinstance(recipe.config, SuperpositionConfig):
        raise TypeError(f"recipe.config: must be a config, got {type(recipe.config).__name__}")
    config, history = recipe.config, recipe.experiment(recipe.config, key, n_records=100).history
    x = np.asarray(sample_features(config, jax.random.fold_in(key, 1), 8192))
    losses = [_loss(W, b, x, x, config.importances)
              for W, b in zip(np.asarray(history.W), np.asarray(history.b), strict=True)]
    return Learning(config, np.asarray(history.step), np.asarray(history.W), np.array(losses))


def attacked(recipe: Recipe, key: jax.Array) -> Attacks:
    """The models of a recipe, each under the worst of the attacks along a column of WᵀW.

    An attack adds ±0.1 of the unit vector along WᵀW e_i to every input, for the feature i and the
    sign that raise the loss most. The linear model keeps the top m and raises its loss by 0.01
    times the largest importance over n.
    """
    found = cells(made(recipe, key))
    rises, attack_size = [], 0.1
    for cell in found:
        importance = cell.config.importances
        x = np.asarray(sample_features(cell.config, jax.random.fold_in(key, 1), 4096))
        columns = cell.W.T @ cell.W
        lengths = np.linalg.norm(columns, axis=1, keepdims=True)
        units = columns[lengths[:, 0] > 0] / lengths[lengths[:, 0] > 0]
        plain = _loss(cell.W, cell.b, x, x, importance)
        rise = [_loss(cell.W, cell.b, x + sign * attack_size * unit, x, importance) - plain
                for unit in units for sign in (1.0, -1.0)]
        unit_rise = importance.max() * attack_size ** 2 / len(importance)
        rises.append(max(rise, default=0.0) / unit_rise)
    return Attacks(np.array([density_of(cell.config) for cell in found]),
                   np.array([1.0 / float(dims_per_feature(cell.W)) for cell in found]),
                   np.array(rises))


def _loss(W: NDArray[Any], b: NDArray[Any], x: NDArray[Any], target: NDArray[Any],
          importance: NDArray[Any]) -> float:
    """The loss of a ReLU model on examples x [N, n] that stand for `target` [N, n]."""
    return float(np.mean(importance * (np.maximum(x @ W.T @ W + b, 0.0) - target) ** 2))


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


def level_share(learning: Learning, start: float, end: float) -> float:
    """The share of kept features with D within 0.03 of 1/2, 2/3, 3/4 or 1, over part of a training.

    Args:
        learning: with r records.
        start, end: the part, as shares of the records.
    """
    part = slice(int(start * len(learning.W)), int(end * len(learning.W)))
    D = np.asarray(feature_dimensionality(learning.W[part]))
    levels = np.array([1 / 2, 2 / 3, 3 / 4, 1.0])
    resting = np.min(np.abs(D[..., None] - levels), axis=-1) <= 0.03
    return float(np.mean(resting[np.asarray(represented(learning.W[part]))]))


def rank_correlation(attacks: Attacks) -> float:
    """Spearman's rank correlation of vulnerability and features per dimension, in [-1, 1]."""
    one, two = (np.argsort(np.argsort(values)).astype(float)
                for values in (attacks.features_per_dim, attacks.rise))
    one, two = one - one.mean(), two - two.mean()
    return float(one @ two / np.sqrt((one @ one) * (two @ two)))


def rise_between(low: float, high: float, summary: Callable[[Sequence[float]], float]) -> Measure:
    """The vulnerability of models with so many features per dimension, summed up."""

    def measure(attacks: Attacks) -> float:
        inside = (attacks.features_per_dim >= low) & (attacks.features_per_dim < high)
        return summary([float(value) for value in attacks.rise[inside]])

    return measure


def across_sets(cell: Cell) -> tuple[float, float]:
    """The largest |cos| between features of one set, and between features of different sets."""
    unit = cell.W / np.maximum(np.linalg.norm(cell.W, axis=0), 1e-12)
    number = np.arange(cell.config.n_features) // cell.config.group_size
    same, cosines = number[:, None] == number, np.abs(unit.T @ unit)
    np.fill_diagonal(cosines, 0.0)
    return float(cosines[same].max()), float(cosines[~same].max(initial=0.0))


def largest_over(reference: Callable[[int, int], Any],
                 summary: Callable[[Sequence[float]], float]) -> Measure:
    """The largest |cos| in each space over reference(n_features, n_hidden), summed up."""

    def measure(data: RandomDirections) -> float:
        largest = np.max(np.abs(data.cosines), axis=1)
        return summary([float(value) / max(float(reference(data.n_features, int(d))), 1e-9)
                        for value, d in zip(largest, data.n_hidden, strict=True)])

    return measure
