"""Superposition in one model or along a line of models: WᵀW, interference and dimensionality."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from toylab.analysis.portrait import FRACTIONS, portrait
from toylab.analysis.superposition import (
    REPRESENTED,
    dims_per_feature,
    feature_coherence,
    feature_dimensionality,
    feature_interference,
    gram,
    n_represented,
    welch_bound,
)
from toylab.figures.cells import Cell, cells, density_of, extremes, spaced
from toylab.figures.palette import (
    BLUE,
    DIVERGING,
    MUTED,
    ORANGE,
    RULE,
    SEQUENTIAL,
    VERMILLION,
    rounded,
)
from toylab.figures.style import blank_figure, caption, log_axis, new_figure, styled

if TYPE_CHECKING:
    from toylab.experiments.superposition import SuperpositionResult

__all__ = [
    "Comparison", "dimensionality_against_density", "feature_bars", "gram_and_bias",
    "linear_against_relu",
]


class Comparison(NamedTuple):
    """The same data learned by two models.

    Attributes:
        linear: results of the linear model, over densities.
        relu: results of the model with a ReLU on its output, over densities.
    """

    linear: SuperpositionResult
    relu: SuperpositionResult


@styled
def gram_and_bias(result: SuperpositionResult, title: str = "") -> Figure:
    """WᵀW as a heat map, the bias as a column beside it, and each feature's norm as a bar.

    A model without superposition is a diagonal; off the diagonal stands interference. The bars are
    coloured by it: sqrt(sum_{j != i} (w_i/|w_i| . w_j)^2).

    Args:
        result: a run, or a sweep of which at most 8 evenly spaced models are drawn.
        title: what the figure shows.

    Source: Elhage et al. 2022, "Toy Models of Superposition", section 2.
    """
    return _gram_figure(spaced(cells(result), 8), title or "What each model stores: WᵀW and bias")


@styled
def linear_against_relu(data: Comparison) -> Figure:
    """One linear model beside ReLU models of rising sparsity, each as in `gram_and_bias`."""
    linear, relu = cells(data.linear)[0], spaced(cells(data.relu), 7)
    shown = [linear._replace(label="linear, any density"),
             *(cell._replace(label=f"ReLU, {cell.label}") for cell in relu)]
    kept = [int(n_represented(cell.W)) for cell in (linear, relu[-1])]
    return _gram_figure(shown, f"Linear keeps {kept[0]} features at any density; "
                               f"a ReLU keeps {kept[1]} when sparse")


def _gram_figure(found: Sequence[Cell], title: str) -> Figure:
    columns = min(len(found), 4)
    rows = -(-len(found) // columns)
    width = 4.2 if columns == 1 else 7.0
    block = (width / columns - 0.35) / 1.55  # the side of a heat map
    figure = blank_figure(rows * (block + 0.5) + 1.1, width)
    heights = [rows * (block + 0.5) + 0.35, 0.75]
    above, below = np.atleast_1d(np.asarray(figure.subfigures(2, 1, height_ratios=heights)))
    grid = above.subplots(rows, 3 * columns, squeeze=False, width_ratios=[1.0, 0.1, 0.4] * columns)
    grams = [rounded(gram(cell.W)) for cell in found]
    largest = max(float(np.max(np.abs(a))) for a in (*grams, *(cell.b for cell in found)))
    heat = Normalize(-max(1.0, largest), max(1.0, largest))
    crowds = [rounded(feature_interference(cell.W)) for cell in found]
    kept = [np.where(_norms(cell.W) > REPRESENTED, crowd, 0.0)
            for cell, crowd in zip(found, crowds, strict=True)]
    crowding = Normalize(0.0, max(1.0, *(float(np.max(values)) for values in kept), 1.0))
    longest = 1.05 * max(1.0, *(float(np.max(_norms(cell.W))) for cell in found), 1.0)
    for k, (cell, G, crowd) in enumerate(zip(found, grams, crowds, strict=True)):
        row, column = divmod(k, columns)
        place = grid[row, 3 * column:3 * column + 3]
        _draw_gram(place, cell, G, heat, colormaps[SEQUENTIAL](crowding(crowd)), longest)
    for axes in grid.reshape(-1, 3)[len(found):].ravel():
        axes.set_axis_off()
    scales = ((heat, DIVERGING, "entry of WᵀW or b"), (crowding, SEQUENTIAL, "interference"))
    for axes, (norm, cmap, label) in zip(below.subplots(1, 2), scales, strict=True):
        bar = figure.colorbar(ScalarMappable(norm, colormaps[cmap]), cax=axes,
                              orientation="horizontal")
        bar.set_label(label, fontsize=8.5)
        bar.locator = MaxNLocator(5)
    told = "; ".join(f"{cell.label or 'the model'}: {int(n_represented(cell.W))}" for cell in found)
    alt = (f"Heat maps of WᵀW for {found[0].config.n_features} features in "
           f"{found[0].config.n_hidden} dimensions. Features represented: {told}.")
    return caption(figure, title, alt)


def _norms(W: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.linalg.norm(W, axis=0)


def _draw_gram(row: Sequence[Axes], cell: Cell, G: NDArray[np.float64], heat: Normalize,
               shades: NDArray[np.float64], longest: float) -> None:
    matrix, bias, bars = row
    n = len(G)
    ticks = list(range(n)) if n <= 8 else [0, n - 1]
    matrix.imshow(G, cmap=DIVERGING, norm=heat, aspect="auto", interpolation="nearest")
    matrix.set(xticks=[], yticks=ticks, yticklabels=[i + 1 for i in ticks])
    matrix.set_title(cell.label, fontsize=9)
    bias.imshow(cell.b[:, None], cmap=DIVERGING, norm=heat, aspect="auto", interpolation="nearest")
    bias.set(xticks=[0], xticklabels=["b"], yticks=[])
    norms = rounded(_norms(cell.W))
    bars.barh(np.arange(n), norms, height=0.8, color=shades, edgecolor=MUTED, linewidth=0.4)
    bars.set(ylim=(n - 0.5, -0.5), xlim=(0, longest), yticks=[], xticks=[0, 1])
    bars.set_xlabel("norm", fontsize=8, labelpad=1)
    for axes in (matrix, bias):
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)


@styled
def feature_bars(result: SuperpositionResult, title: str = "") -> Figure:
    """Interference, nearest neighbour and dimensionality of every feature of one model.

    Left, the interference of each feature; the line is the shortest length times
    `interference_floor`, below which its root mean square over k vectors cannot fall. Middle, the
    largest |cos| with another feature; its
    maximum cannot fall below the line, the Welch bound. Right, the dimensionality with the values
    of the regular arrangements. k counts the features represented.

    Args:
        result: a run; of a sweep its first model.
        title: what the figure shows.

    Source: Elhage et al. 2022, sections 2 and 5; Welch 1974.
    """
    cell = cells(result)[0]
    m, n = cell.W.shape
    seen = portrait(cell.W, cell.b)
    k = seen.n_represented
    crowding = rounded(feature_interference(cell.W))
    drawn = ((crowding, "interference", seen.interference_floor),
             (rounded(feature_coherence(cell.W)), "closest |cos|", welch_bound(max(k, 1), m)),
             (rounded(feature_dimensionality(cell.W)), "dimensionality", None))
    figure, grid = new_figure(1, 3, height=3.0)
    for axes, (values, label, bound) in zip(grid[0], drawn, strict=True):
        axes.bar(np.arange(1, n + 1), values, color=BLUE, width=0.75)
        axes.set(xlabel="feature", title=label, xlim=(0.3, n + 0.7), xticks=_few_ticks(n))
        axes.set_ylim(0, 1.25 * max(0.9, np.max(values, initial=0.0)))
        if bound is not None:
            axes.axhline(rounded(bound), color=VERMILLION, linestyle="--",
                         label=f"bound {bound:.3g}")
            axes.legend(loc="upper right", borderaxespad=0.0)
    _draw_fractions(grid[0, 2], short=True)
    default = f"{k} of {n} features share {m} dimensions"
    alt = (f"Bars for {n} features: interference, largest cosine (bound {drawn[1][2]:.3f}) and "
           f"dimensionality {np.array2string(drawn[2][0], precision=3, threshold=12)}.")
    return caption(figure, title or default, alt)


def _few_ticks(n: int) -> list[int]:
    step = 1 if n <= 8 else 5 * (1 + n // 40)
    return sorted({1, *range(step, n + 1, step)})


@styled
def dimensionality_against_density(result: SuperpositionResult, title: str = "") -> Figure:
    """Dimensions per feature and the dimensionality of every feature against 1/density.

    Above, m/|W|_F², which rests at 1 while features have a dimension each and at 1/2 while they
    live in antipodal pairs. Below, each feature of each model as a point; the lines are regular
    arrangements.

    Args:
        result: a sweep over sparsity; a single run gives one column of points.
        title: what the figure shows.

    Source: Elhage et al. 2022, "Toy Models of Superposition", section 5.
    """
    found = sorted(cells(result), key=lambda cell: density_of(cell.config))
    inverse = rounded([1.0 / density_of(cell.config) for cell in found])
    per_feature = rounded([float(dims_per_feature(cell.W)) for cell in found])
    per_feature[~np.isfinite(per_feature)] = np.nan  # a model that keeps nothing
    figure, grid = new_figure(2, 1, height=5.6, sharex=True, height_ratios=[1, 1.7])
    above, below = grid[:, 0]
    log_axis(below, "x", inverse)
    above.plot(inverse, per_feature, color=BLUE, marker="o", markersize=3.5)
    for level in (1.0, 0.5):
        above.axhline(level, color=RULE, linewidth=0.8, zorder=0)
    above.set(ylim=(0, 1.15 * max(1.0, extremes(per_feature)[1])),
              ylabel="dimensions per feature", yticks=[0, 0.5, 1])
    spots = [rounded(feature_dimensionality(cell.W)) for cell in found]
    at = np.repeat(inverse, [len(values) for values in spots])
    below.scatter(at, np.concatenate(spots), s=9, color=BLUE, alpha=0.35, linewidths=0)
    below.set(xlabel="1 / density", ylabel="dimensionality of a feature", ylim=(-0.03, 1.08))
    _draw_fractions(below)
    m, n = found[0].config.n_hidden, found[0].config.n_features
    default = (f"{n} features in {m}: from {per_feature[-1]:.2f} to {per_feature[0]:.2f} "
               "dimensions each")
    alt = (f"Dimensions per feature fall from {per_feature[-1]:.2f} at density "
           f"{1 / inverse[-1]:.2f} to {per_feature[0]:.2f} at density {1 / inverse[0]:.3f}.")
    return caption(figure, title or default, alt)


def _draw_fractions(axes: Axes, short: bool = False) -> None:
    for level, number, shape in FRACTIONS:
        axes.axhline(level, color=ORANGE, linewidth=0.8, zorder=0)
        shift = {"2/5": 3.5, "3/8": -3.5}.get(number, 0.0)  # two lines closer than a line of text
        axes.annotate(number if short else f"{number} {shape}", (1.0, level), (3, shift),
                      xycoords=("axes fraction", "data"), textcoords="offset points", va="center",
                      fontsize=8, annotation_clip=False)
