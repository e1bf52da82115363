"""The geometry of the hidden space: each feature as the vector that its column of W is."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from toylab.analysis.polytopes import name_polytope
from toylab.analysis.superposition import REPRESENTED
from toylab.figures.cells import Cell, cells, spaced
from toylab.figures.style import (
    BLUE,
    CATEGORIES,
    INK,
    MUTED,
    RULE,
    SEQUENTIAL,
    VERMILLION,
    caption,
    new_figure,
    rounded,
    strip,
    styled,
)

if TYPE_CHECKING:
    from toylab.experiments.superposition import SuperpositionConfig, SuperpositionResult

__all__ = ["hidden_geometry"]

MAX_PANELS = 12


@styled
def hidden_geometry(result: SuperpositionResult, title: str = "") -> Figure:
    """The features as vectors from the origin of the hidden space, one panel for each model.

    Two dimensions are drawn as they are, one along a line, three in parallel projection along the
    axis in which the columns spread least alike, more as their two leading principal directions.
    Colour is importance, or the set a feature belongs to, or the one whose density differs.

    Args:
        result: a run, or a sweep of which at most 12 evenly spaced models are drawn.
        title: what the figure shows; by default sizes and the geometry found.

    Source: Elhage et al. 2022, "Toy Models of Superposition", section 2.
    """
    found = spaced(cells(result), MAX_PANELS)
    columns = min(len(found), 4 if len(found) > 6 else 3)
    rows = -(-len(found) // columns)
    panel = 6.0 / max(columns, 2)
    figure, grid = new_figure(rows, columns, height=rows * (panel + 0.35) + 0.75)
    tips = [_place(cell.W) for cell in found]
    reach = 1.18 * max(1.0, *(float(np.abs(t).max(initial=0.0)) for t in tips), 1.0)
    for axes, cell, points in zip(grid.ravel(), found, tips, strict=False):
        _draw_vectors(axes, cell, points, reach)
    for axes in grid.ravel()[len(found):]:
        axes.set_axis_off()
    _add_legend(figure, grid, found[0].config)
    config = found[0].config
    names = [f"{cell.label or 'the model'}: {name_polytope(cell.W).name}" for cell in found]
    alt = (f"{config.n_features} feature vectors in {config.n_hidden} hidden dimensions, "
           f"{len(found)} panels. {'; '.join(names)}.")
    default = f"{config.n_features} features in {config.n_hidden} dimensions"
    return caption(figure, title or default, alt)


def _place(W: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where the columns of W [m, n] go in a picture, with their depth: [n, 3]."""
    m, n = W.shape
    points = np.zeros((n, 3))
    if m <= 2:
        points[:, :m] = W.T
        return points
    left, spread, _ = np.linalg.svd(W, full_matrices=True)
    if m > 3:
        points[:, :2] = (left[:, :2].T @ W).T
        return rounded(points)
    # The direction whose spread stands apart is the axis of symmetry, if there is one: look down on it.
    spread = np.pad(spread, (0, 3 - len(spread)))
    apart = 0 if abs(spread[0] - spread[1]) > abs(spread[1] - spread[2]) else 2
    order = [k for k in range(3) if k != apart] + [apart]
    return rounded((_tilt() @ left[:, order].T @ W).T)


def _tilt(turn: float = 0.35, rise: float = 0.45) -> NDArray[np.float64]:
    """Rows: right, up and towards the viewer, for a camera turned and raised by angles in radians."""
    c, s, cr, sr = np.cos(turn), np.sin(turn), np.cos(rise), np.sin(rise)
    return np.array([[c, s, 0.0], [-s * sr, c * sr, cr], [s * cr, -c * cr, sr]])


def _draw_vectors(axes: Axes, cell: Cell, points: NDArray[np.float64], reach: float) -> None:
    strip(axes).set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    axes.set_title(cell.label)
    circle = np.exp(1j * np.linspace(0, 2 * np.pi, 181))
    axes.plot(circle.real, circle.imag, color=RULE, linewidth=0.8, zorder=0)
    norms = np.linalg.norm(cell.W, axis=0)
    for start, end in _edges(cell.W, norms):
        axes.plot(*points[[start, end], :2].T, color=MUTED, linewidth=0.7, linestyle=(0, (3, 2)),
                  zorder=1)
    for index in np.argsort(points[:, 2], kind="stable"):
        axes.plot(*np.column_stack([[0.0, 0.0], points[index, :2]]), color=MUTED, zorder=2)
    colours = _colouring(cell.config).colours
    near = np.clip(1.0 + 0.35 * points[:, 2], 0.6, 1.5)
    axes.scatter(points[:, 0], points[:, 1], s=34 * near ** 2, c=colours, edgecolors=INK,
                 linewidths=0.7, zorder=3)
    _number_tips(axes, points[:, :2], norms, reach)
    axes.text(0.5, -0.02, name_polytope(cell.W).name, transform=axes.transAxes, ha="center", va="top", fontsize=9)


def _edges(W: NDArray[np.float64], norms: NDArray[np.float64]) -> list[tuple[int, int]]:
    """Which represented features to join: neighbours by angle in the plane, by distance in space."""
    kept = np.flatnonzero(norms > REPRESENTED)
    if len(kept) < 3 or len(W) not in (2, 3):
        return []
    if len(W) == 2:
        turn = kept[np.argsort(np.arctan2(W[1, kept], W[0, kept]), kind="stable")]
        return list(zip(turn.tolist(), np.roll(turn, -1).tolist(), strict=True))
    gaps = np.linalg.norm(W[:, kept, None] - W[:, None, kept], axis=0)
    shortest = gaps[gaps > 0.1].min(initial=np.inf)
    near = np.argwhere((gaps > 0.1) & (gaps < 1.2 * shortest))
    return [(int(kept[i]), int(kept[j])) for i, j in near if i < j]


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
        axes.text(*(tip + outward), ", ".join(str(i + 1) for i in together), ha="center",
                  va="center", fontsize=8.5, zorder=4)


class _Colouring(NamedTuple):
    """One colour for each feature, and what explains them: a scale, or (label, colour) pairs."""

    colours: list[str] | NDArray[np.float64]
    scale: ScalarMappable | None
    labels: tuple[tuple[str, str], ...]


def _colouring(config: SuperpositionConfig) -> _Colouring:
    n, importances, densities = config.n_features, config.importances, config.density
    if config.grouping != "independent":
        groups = np.arange(n) // max(config.group_size, 1)
        colours = [CATEGORIES[g % len(CATEGORIES)] for g in groups]
        pairs = {f"set {g + 1}": c for g, c in zip(groups, colours, strict=True)}
        return _Colouring(colours, None, tuple(pairs.items()))
    if np.ptp(importances) > 0:
        scale = ScalarMappable(Normalize(0.0, float(np.max(importances))), colormaps[SEQUENTIAL])
        return _Colouring(np.asarray(scale.to_rgba(importances)), scale, ())
    if np.ptp(densities) > 0:
        usual = np.median(densities)
        colours = [BLUE if d == usual else VERMILLION for d in densities]
        return _Colouring(colours, None, (("other density", VERMILLION), ("the others", BLUE)))
    return _Colouring([BLUE] * n, None, ())


def _add_legend(figure: Figure, grid: NDArray[np.object_], config: SuperpositionConfig) -> None:
    colouring = _colouring(config)
    if colouring.scale is not None:
        bar = figure.colorbar(colouring.scale, ax=list(grid.ravel()), shrink=0.7, aspect=25, pad=0.02)
        bar.set_label("importance")
        bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
    elif colouring.labels:
        handles = [Line2D([], [], marker="o", linestyle="", markeredgecolor=INK, markerfacecolor=c,
                          label=label) for label, c in colouring.labels]
        figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 5))
