"""The geometry of the hidden space: each feature as the vector that its column of W is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from toylab.analysis.polytopes import TOLERANCE, name_polytope
from toylab.analysis.portrait import edges, place
from toylab.figures.cells import Cell, cells, spaced
from toylab.figures.palette import (
    BLUE,
    CATEGORIES,
    INK,
    MUTED,
    RULE,
    SEQUENTIAL,
    VERMILLION,
    rounded,
)
from toylab.figures.style import WIDTH, caption, new_figure, strip, styled

if TYPE_CHECKING:
    from toylab.experiments.superposition import SuperpositionConfig, SuperpositionResult

__all__ = ["draw_models", "hidden_geometry", "shape_of"]

MAX_PANELS = 12


@styled
def hidden_geometry(result: SuperpositionResult, title: str = "") -> Figure:
    """The features as vectors from the origin of the hidden space, one panel for each model.

    Two dimensions are drawn as they are, one along a line, three in parallel projection with the
    direction in which the columns spread least alike upright, more as their two leading principal
    directions. Colour is importance, or the set a feature belongs to, or the one whose density
    differs.

    Args:
        result: a run, or a sweep of which at most 12 evenly spaced models are drawn.
        title: what the figure shows; by default the sizes and the shapes found.

    Source: Elhage et al. 2022, "Toy Models of Superposition", section 2.
    """
    found = spaced(cells(result), MAX_PANELS)
    columns = min(len(found), 4 if len(found) > 6 else 3)
    rows = -(-len(found) // columns)
    colouring = _colouring(found[0].config)
    width = WIDTH if columns > 1 else 4.4
    panel = (width - 0.8 * (colouring.scale is not None)) / columns
    height = rows * (panel + (0.45 if columns > 1 else 0.1)) + 0.4 + 0.3 * bool(colouring.labels)
    figure, grid = new_figure(rows, columns, width=width, height=height)
    draw_models(list(grid.ravel()), found)
    _add_legend(figure, grid, colouring)
    n, m = (_sizes([getattr(cell.config, name) for cell in found])
            for name in ("n_features", "n_hidden"))
    shapes = [shape_of(cell) for cell in found]
    told = "; ".join(f"{c.label or 'the model'}: {s}" for c, s in zip(found, shapes, strict=True))
    alt = f"{n} feature vectors in {m} hidden dimensions, {len(found)} panels. {told}."
    story = " → ".join(dict.fromkeys(shape.partition(",")[0] for shape in shapes))
    default = f"{n} features in {m} dimension{'s' * (m != '1')}" + (
        f": {story}" if len(story) < 34 else "")
    return caption(figure, title or default, alt)


def _sizes(values: Sequence[int]) -> str:
    """The sizes that occur, `5` or `1 or 2` or `1 to 8`."""
    distinct = sorted(set(values))
    if len(distinct) == 1:
        return str(distinct[0])
    return f"{distinct[0]} {'or' if len(distinct) == 2 else 'to'} {distinct[-1]}"


def draw_models(panels: Sequence[Axes], found: Sequence[Cell],
                colours: Sequence[str] | None = None) -> None:
    """Draw each model's feature vectors into its axes, all to one scale; spare axes disappear.

    Args:
        panels: at least as many as models.
        found: the models.
        colours: one for each feature; by default what each model's config suggests.
    """
    tips = [rounded(place(cell.W)) for cell in found]
    reach = 1.28 * max(1.0, *(float(np.abs(points).max(initial=0.0)) for points in tips), 1.0)
    for axes, cell, points in zip(panels, found, tips, strict=False):
        _draw_vectors(axes, cell, points, reach, colours)
    for axes in panels[len(found):]:
        axes.set_axis_off()


def shape_of(cell: Cell) -> str:
    """What a model's features form: a named shape and how many are dropped, or how sets stand.

    Features that come in sets are described by the cosines between members of one set.
    """
    if cell.config.grouping != "independent" and cell.config.group_size > 1:
        return _set_cosines(cell)
    polytope = name_polytope(cell.W)
    close = polytope.name == "irregular" and polytope.deviation <= 2 * TOLERANCE
    name = f"near {polytope.nearest}" if close else polytope.name
    return name + (f", {polytope.n_dropped} dropped" if polytope.n_dropped else "")


def _set_cosines(cell: Cell) -> str:
    unit = cell.W / np.maximum(np.linalg.norm(cell.W, axis=0), 1e-12)
    number = _sets(cell.config)
    together = (number[:, None] == number) & np.triu(np.ones((len(number),) * 2, bool), 1)
    cosines = (unit.T @ unit)[together]
    low, high = f"{cosines.min():.2f}", f"{cosines.max():.2f}"
    return f"cos within sets {low}" + (f" to {high}" if low != high else "")


def _sets(config: SuperpositionConfig) -> NDArray[np.int64]:
    """The number of the set that each feature belongs to, from 0."""
    return np.arange(config.n_features) // max(config.group_size, 1)


def _draw_vectors(axes: Axes, cell: Cell, points: NDArray[np.float64], reach: float,
                  colours: Sequence[str] | None) -> None:
    strip(axes).set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    axes.set_title(cell.label, loc="center", pad=3)
    turn = np.linspace(0, 2 * np.pi, 181)
    axes.plot(np.cos(turn), np.sin(turn), color=RULE, linewidth=0.8, zorder=0)
    norms = np.linalg.norm(cell.W, axis=0)
    depths = np.clip(0.5 + 0.5 * points[:, 2], 0.0, 1.0)
    solid = len(cell.W) == 3
    for start, end in edges(cell.W) if cell.config.grouping == "independent" else ():
        near = (depths[start] + depths[end]) / 2 if solid else 1.0
        axes.plot(*points[[start, end], :2].T, color=MUTED, linewidth=0.7 + 0.9 * solid * near,
                  linestyle="-" if solid else (0, (3, 2)), alpha=0.25 + 0.75 * near, zorder=1)
    for tip in points[:, :2]:
        axes.plot(*np.column_stack([[0.0, 0.0], tip]), color=RULE if solid else MUTED,
                  zorder=0.5 if solid else 2)
    near = np.clip(1.0 + 0.35 * points[:, 2], 0.6, 1.5)
    fill = _colouring(cell.config).colours if colours is None else list(colours)
    axes.scatter(points[:, 0], points[:, 1], s=34 * near ** 2, c=fill, edgecolors=INK,
                 linewidths=0.7, zorder=3)
    _number_tips(axes, points[:, :2], norms, reach)
    axes.set_xlabel(shape_of(cell), fontsize=9)


def _number_tips(axes: Axes, points: NDArray[np.float64], norms: NDArray[np.float64],
                 reach: float) -> None:
    """Write each feature's number outside its tip; features at one place share a text."""
    if len(points) > 16:
        return
    left = [i for i in range(len(points)) if norms[i] > 0.15 * reach]
    while left:
        together = [i for i in left if np.linalg.norm(points[i] - points[left[0]]) < 0.09 * reach]
        left = [i for i in left if i not in together]
        tip = points[together[0]]
        outward = tip / max(float(np.linalg.norm(tip)), 1e-9) * 0.13 * reach
        x, y = tip + outward
        axes.text(x, y, ", ".join(str(i + 1) for i in together), ha="center", va="center",
                  fontsize=8.5, zorder=4)


class _Colouring(NamedTuple):
    """One colour for each feature, and what explains them: a scale, or (label, colour) pairs."""

    colours: list[str] | NDArray[np.float64]
    scale: ScalarMappable | None
    labels: tuple[tuple[str, str], ...]


def _colouring(config: SuperpositionConfig) -> _Colouring:
    n, importances, densities = config.n_features, config.importances, config.density
    if config.grouping != "independent":
        groups = _sets(config)
        colours = [CATEGORIES[g % len(CATEGORIES)] for g in groups]
        pairs = {f"set {g + 1}": c for g, c in zip(groups, colours, strict=True)}
        return _Colouring(colours, None, tuple(pairs.items()))
    if np.ptp(importances) > 0:
        span = Normalize(float(np.min(importances)), float(np.max(importances)))
        scale = ScalarMappable(span, colormaps[SEQUENTIAL])
        return _Colouring(np.asarray(scale.to_rgba(importances)), scale, ())
    if np.ptp(densities) > 0:
        usual = np.median(densities)
        colours = [BLUE if d == usual else VERMILLION for d in densities]
        return _Colouring(colours, None, (("other density", VERMILLION), ("the others", BLUE)))
    return _Colouring([BLUE] * n, None, ())


def _add_legend(figure: Figure, grid: NDArray[np.object_], colouring: _Colouring) -> None:
    if colouring.scale is not None:
        bar = figure.colorbar(colouring.scale, ax=list(grid.ravel()), shrink=0.8, aspect=25,
                              pad=0.03)
        bar.set_label("importance")
        bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
    elif colouring.labels:
        handles = [Line2D([], [], marker="o", linestyle="", markeredgecolor=INK, markerfacecolor=c,
                          label=label) for label, c in colouring.labels]
        figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 5))
