"""Maps over two parameters: any quantity of a sweep, and the phases of the smallest models."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from toylab.analysis.closed_forms import Phase, classify_phase, phase, phase_losses
from toylab.analysis.superposition import (
    coherence,
    dims_per_feature,
    mean_interference,
    n_represented,
)
from toylab.config import did_you_mean
from toylab.errors import ConfigError, shown
from toylab.figures.cells import Cell, Sweep, cells, density_of, extremes, sweep_of
from toylab.figures.palette import BLUE, INK, ORANGE, RULE, SEQUENTIAL, rounded
from toylab.figures.style import caption, log_axis, new_figure, styled

if TYPE_CHECKING:
    from toylab.experiments.superposition import SuperpositionResult

__all__ = ["QUANTITIES", "PhaseMap", "Quantity", "phase_diagram", "phase_map", "sweep_map"]

Quantity = Literal[
    "mean_interference", "n_represented", "loss", "dims_per_feature", "max_coherence"]

QUANTITIES: Mapping[Quantity, tuple[str, Callable[[Cell], float]]] = {
    "mean_interference": ("mean interference", lambda cell: float(mean_interference(cell.W))),
    "n_represented": ("features represented", lambda cell: float(n_represented(cell.W))),
    "loss": ("loss", lambda cell: cell.loss),
    "dims_per_feature": ("dimensions per feature", lambda cell: float(dims_per_feature(cell.W))),
    "max_coherence": ("largest |cos|", lambda cell: float(coherence(cell.W).max)),
}
MAX_WRITTEN = 100  # beyond so many cells their values are not written into them
MAX_TICKS = 9
CAP = 1.05  # losses further above the closed form share one colour: one would hide all others
# On a coloured cell, in either theme: not the very colours that a theme replaces.
ON_LIGHT, ON_DARK = "#101214", "#FDFDFD"
GREY = "#B4BAC2"
PHASES = {Phase.IGNORED: ("ignored", GREY), Phase.OWN_DIMENSION: ("its own dimension", BLUE),
          Phase.SUPERPOSITION: ("in superposition", ORANGE)}


class PhaseMap(NamedTuple):
    """The phases of a sweep over density (x columns) and relative importance (y rows).

    Attributes:
        density: [x], increasing.
        importance: [y], of the last feature relative to the first, increasing.
        found: [y, x], the `Phase` of the trained model; NaN where the sweep has no cell.
        expected: [y, x], the `Phase` with the least loss in closed form.
        ratio: [y, x], loss of the trained model over that least loss.
        agreement: the share of cells whose phase is the expected one, in [0, 1].
    """

    density: NDArray[np.float64]
    importance: NDArray[np.float64]
    found: NDArray[np.float64]
    expected: NDArray[np.float64]
    ratio: NDArray[np.float64]
    agreement: float


@styled
def sweep_map(result: SuperpositionResult, quantity: Quantity = "mean_interference", x: str = "",
              y: str = "", title: str = "") -> Figure:
    """One number of each model over two axes of a sweep, as colour and, in few cells, as text.

    Args:
        result: a sweep; further axes than x and y stay at their first value, missing ones are one
            cell.
        quantity: mean_interference, n_represented, loss, dims_per_feature or max_coherence.
        x, y: names of axes; by default the last and the first other one.
        title: what the figure shows.

    Raises:
        ConfigError: for a quantity or an axis that does not exist.
    """
    if quantity not in QUANTITIES:
        raise ConfigError(f"quantity={shown(quantity)}: {did_you_mean(quantity, QUANTITIES)}"
                          f"must be one of {list(QUANTITIES)}")
    sweep = sweep_of(result)
    label, measure = QUANTITIES[quantity]
    names = _two_axes(sweep, x, y)
    values = rounded([measure(cell) for cell in sweep.cells]).reshape(sweep.shape)
    field, ticks = _slice(values, sweep, names)
    figure, grid = new_figure(1, 1, height=min(max(1.8 + 0.4 * field.shape[0], 2.6), 5.4))
    axes = grid[0, 0]
    colours = colormaps[SEQUENTIAL].with_extremes(bad=RULE)
    image = axes.imshow(np.where(np.isfinite(field), field, np.nan), origin="lower", aspect="auto",
                        cmap=colours, interpolation="nearest")
    for which, name, words in zip("xy", names, ticks, strict=True):
        _name_ticks(axes, which, name, words)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    if field.size <= MAX_WRITTEN:
        _write_values(axes, field, image)
    bar = figure.colorbar(image, ax=axes, pad=0.02)
    bar.set_label(label)
    low, high = extremes(field)
    alt = (f"{label} over {names[0] or 'one column'} and {names[1] or 'one row'}, "
           f"{field.shape[1]} by {field.shape[0]} models, from {low:.4g} to {high:.4g}.")
    return caption(figure, title or f"{label.capitalize()} from {low:.3g} to {high:.3g}", alt)


def _two_axes(sweep: Sweep, x: str, y: str) -> tuple[str, str]:
    """The axes for x and y, checked; empty for an axis that the sweep does not have."""
    known = [name for name, _ in sweep.axes]
    chosen = ["density" if name == "sparsity" else name for name in (x, y)]
    for argument, name in zip("xy", chosen, strict=True):
        if name and name not in known:
            raise ConfigError(f"{argument}={shown(name)}: {did_you_mean(name, known)}"
                              f"must be an axis of the sweep, one of {known}")
    if chosen[0] and chosen[0] == chosen[1]:
        raise ConfigError(f"x={shown(x)}, y={shown(y)}: must be two different axes")
    across = chosen[0] or next((name for name in reversed(known) if name != chosen[1]), "")
    return across, chosen[1] or next((name for name in known if name != across), "")


def _slice(values: NDArray[np.float64], sweep: Sweep,
           names: tuple[str, str]) -> tuple[NDArray[np.float64], list[list[str]]]:
    """The field [y, x] of two axes, others at their first value, and their tick texts."""
    known = [name for name, _ in sweep.axes]
    wanted = [known.index(name) for name in reversed(names) if name]
    others = [k for k in range(len(known)) if k not in wanted]
    field = values.transpose(others + wanted)[(0,) * len(others)]
    shape = tuple(len(sweep.axes[known.index(name)][1]) if name else 1 for name in reversed(names))
    words = [[_word(value) for value in dict(sweep.axes).get(name, ("",))] for name in names]
    return field.reshape(shape), words


def _word(value: Any) -> str:
    if isinstance(value, tuple):
        return ":".join(_word(item) for item in value)
    return value if isinstance(value, str) else f"{value:.3g}"


def _name_ticks(axes: Axes, which: str, name: str, words: Sequence[str]) -> None:
    step = -(-len(words) // MAX_TICKS)
    places = list(range(0, len(words), step))
    axes.set(**{f"{which}ticks": places, f"{which}ticklabels": [words[i] for i in places],
                f"{which}label": name})


def _write_values(axes: Axes, field: NDArray[np.float64], image: Any) -> None:
    for (row, column), value in np.ndenumerate(field):
        red, green, blue, _ = image.cmap(image.norm(value)) if np.isfinite(value) else (1, 1, 1, 1)
        dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.5
        axes.text(column, row, f"{value:.3g}", ha="center", va="center", fontsize=8,
                  color=ON_DARK if dark else ON_LIGHT)


def phase_map(result: SuperpositionResult) -> PhaseMap:
    """Read the phases of a sweep of the 2→1 or 3→2 model and set them beside the closed forms."""
    found = cells(result)
    p = rounded([density_of(cell.config) for cell in found])
    r = rounded([cell.config.importances[-1] / max(cell.config.importances[0], 1e-12)
                 for cell in found])
    density, column = np.unique(p, return_inverse=True)
    importance, row = np.unique(r, return_inverse=True)
    n = found[0].config.n_features
    expected = phase(density[None, :], importance[:, None], n)
    best = np.min(np.stack(phase_losses(density[None, :], importance[:, None], n)), axis=0)
    kinds, losses = np.full(expected.shape, np.nan), np.full(expected.shape, np.nan)
    kinds[row, column] = np.asarray(classify_phase(np.stack([cell.W for cell in found])))
    losses[row, column] = [cell.loss for cell in found]
    agreement = float(np.mean((kinds == expected)[row, column]))
    return PhaseMap(density, importance, kinds, expected.astype(float), rounded(losses / best),
                    agreement)


@styled
def phase_diagram(result: SuperpositionResult, title: str = "") -> Figure:
    """What becomes of the last feature of 2→1 or 3→2, over density and its relative importance.

    Left, the phase of each trained model, with the boundaries of the closed forms drawn over it.
    Right, its loss over that of the best explicit model, which is an upper bound: below 1 training
    found something better than each of them.

    Args:
        result: a sweep over density and over the importance of the last feature.
        title: what the figure shows; by default how often the phases agree.

    Source: Elhage et al. 2022, section 3, "Superposition as a phase change".
    """
    field = phase_map(result)
    low, high = extremes(field.ratio)
    figure, grid = new_figure(1, 2, height=3.9, sharey=True)
    left, right = grid[0]
    edges = _log_edges(field.density), _log_edges(field.importance)
    left.pcolormesh(*edges, field.found, rasterized=True, vmin=-0.5, vmax=2.5,
                    cmap=ListedColormap([colour for _, colour in PHASES.values()]))
    shades = right.pcolormesh(*edges, field.ratio, rasterized=True,
                              vmax=min(high, CAP),
                              cmap=colormaps[SEQUENTIAL].with_extremes(bad=RULE))
    n = int(cells(result)[0].config.n_features)
    for axes in (left, right):
        _draw_boundaries(axes, edges, n)
        log_axis(axes, "x", field.density)
        log_axis(axes, "y", field.importance)
        axes.set(xlabel="density", xlim=edges[0][[0, -1]], ylim=edges[1][[0, -1]])
    left.set(ylabel="relative importance of the last feature", title="phase of the trained model")
    right.set_title("loss / best closed form")
    beyond = "max" if high > CAP else "neither"
    figure.colorbar(shades, ax=right, pad=0.03, aspect=30, extend=beyond)
    handles: list[Any] = [Patch(facecolor=colour, label=name) for name, colour in PHASES.values()]
    handles.append(Line2D([], [], color=INK, label="boundary in closed form"))
    figure.legend(handles=handles, loc="outside lower left", ncols=2, handlelength=1.4)
    default = f"{n} features in {n - 1}: {100 * field.agreement:.1f} % of cells as in closed form"
    alt = (f"Phases of {field.found.size} models over density {field.density[0]:.3g} to "
           f"{field.density[-1]:.3g}; {100 * field.agreement:.1f} % agree with the closed form; "
           f"loss over its best from {low:.3f} to {high:.3f}.")
    return caption(figure, title or default, alt)


def _log_edges(centres: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cell edges between positive centres: geometric means, and as far again at both ends."""
    logs = np.log(np.maximum(centres, 1e-12))
    if len(logs) == 1:
        return np.exp(logs[0] + np.array([-0.1, 0.1]))
    middle = (logs[1:] + logs[:-1]) / 2
    return np.exp(np.concatenate([[2 * logs[0] - middle[0]], middle, [2 * logs[-1] - middle[-1]]]))


def _draw_boundaries(axes: Axes, edges: tuple[NDArray[np.float64], NDArray[np.float64]],
                     n_features: int) -> None:
    """The lines on which the losses of two phases are equal and none is lower."""
    p = np.geomspace(edges[0][0], min(edges[0][-1], 1.0), 200)
    r = np.geomspace(edges[1][0], edges[1][-1], 200)
    losses = np.stack(phase_losses(p[None, :], r[:, None], n_features))
    for k in range(2):
        margin = losses[k] / np.min(np.delete(losses, k, axis=0), axis=0) - 1.0
        if margin.min() < 0.0 < margin.max():
            axes.contour(p, r, margin, [0.0], colors=[INK], linewidths=1.3)
