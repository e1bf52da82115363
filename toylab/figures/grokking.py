"""The story of a training: curves of the losses and measures, and the phases that they mark."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from toylab.analysis.training_phases import NEVER
from toylab.figures.modular_cells import Cell, Networks, cells, key_words, memorised_at, word
from toylab.figures.palette import (
    BLUE,
    GREEN,
    INK,
    MUTED,
    ORANGE,
    PURPLE,
    SKY,
    VERMILLION,
    YELLOW,
    rounded,
)
from toylab.figures.style import caption, log_axis, new_figure, styled

if TYPE_CHECKING:
    from toylab.experiments.modular import ModularResult

__all__ = [
    "LossForms",
    "loss_forms",
    "progress_measures",
    "spikes",
    "training_story",
]

TINT = 0.16
RESOLUTION = 2.0**-23  # one step of float32 next to 1
PHASES = (("memorisation", SKY), ("circuit formation", YELLOW), ("cleanup", GREEN))
Drawn = Sequence[tuple[NDArray[np.float64], str, str]]


class LossForms(NamedTuple):
    """The same network trained on two forms of one loss.

    Attributes:
        float32: with log-softmax in float32. accurate: with the softplus form.
    """

    float32: ModularResult
    accurate: ModularResult


@styled
def training_story(result: ModularResult | Networks, title: str = "") -> Figure:
    """Losses, accuracies and the losses with and without the key waves, with the three phases.

    Memorisation ends where the excluded loss is least, circuit formation where the test loss last
    stands at a blind guess or above (dashed: ln p), cleanup where test accuracy stays above 99 %.

    Args:
        result: a run; of a sweep or of several runs the first network.
        title: what the figure shows.

    Source: Nanda et al. 2023, figures 2 and 7.
    """
    cell = cells(result)[0]
    figure, grid = new_figure(3, 1, height=6.6, sharex=True, height_ratios=[1.25, 0.8, 1.1])
    losses, shares, parts = grid[:, 0]
    curves = ((cell.train_loss, BLUE, "train"), (cell.test_loss, VERMILLION, "test"))
    _log_curves(losses, cell, curves, "loss")
    percent = (
        (100.0 * cell.train_accuracy, BLUE, "train"),
        (100.0 * cell.test_accuracy, VERMILLION, "test"),
    )
    _curves(shares, cell, percent)
    shares.set(ylabel="accuracy (%)", ylim=(-3, 103), yticks=[0, 50, 100])
    kept = (
        (cell.restricted_loss, GREEN, "key waves only"),
        (cell.excluded_loss, PURPLE, "without them"),
    )
    _log_curves(parts, cell, kept, "loss")
    parts.set_xlabel("training steps")
    _phase_bands(list(grid[:, 0]), cell)
    done = cell.phases.cleaned
    default = (
        f"p = {cell.config.p}: its pairs known by {word(memorised_at(cell))}, all by {word(done)}"
        if done != NEVER
        else f"p = {cell.config.p}: test accuracy {100 * cell.test_accuracy[-1]:.0f} % "
        f"after {cell.step[-1]} steps"
    )
    return caption(figure, title or default, _story_in_words(cell))


def _story_in_words(cell: Cell) -> str:
    """The text alternative of the curves."""
    phases = ", ".join(
        f"{name} ends at {word(step)}" for (name, _), step in zip(PHASES, cell.phases, strict=True)
    )
    return (
        f"Training on {cell.config.n_train} of {cell.config.p**2} pairs for {cell.step[-1]} steps. "
        f"{phases}. Test loss from {cell.test_loss[0]:.3g} over {cell.test_loss.max():.3g} to "
        f"{cell.test_loss[-1]:.3g}, test accuracy at the end "
        f"{100 * cell.test_accuracy[-1]:.2f} %. Keys: {key_words(cell)}."
    )


@styled
def progress_measures(result: ModularResult | Networks, title: str = "") -> Figure:
    """How far the circuit has come at every record: losses of parts, sparsity, weights, variance.

    The keys are those of the last record. Above, the loss of the key waves alone and of all but
    them beside the test loss, and the Gini coefficients of the energy by frequency in W_E and
    W_L = W_U W_out. Below, the sum of squares of all weights, and the share of the logits'
    variance that the keys explain, together and one by one.

    Args:
        result: a run; of a sweep or of several runs the first network.
        title: what the figure shows.

    Source: Nanda et al. 2023, section 5.1 and figure 7.
    """
    cell = cells(result)[0]
    figure, grid = new_figure(2, 2, height=5.0, width=7.0, sharex=True)
    (losses, sparsity), (weights, explained) = grid
    curves = (
        (cell.restricted_loss, GREEN, "key waves only"),
        (cell.excluded_loss, PURPLE, "without them"),
        (cell.test_loss, VERMILLION, "test"),
    )
    _log_curves(losses, cell, curves, "loss")
    _curves(sparsity, cell, ((cell.gini_in, BLUE, "W_E"), (cell.gini_out, ORANGE, "W_L")))
    sparsity.set(ylabel="Gini coefficient", ylim=(0, 1))
    _curves(weights, cell, ((cell.weight_norm, INK, ""),))
    weights.set(ylabel="sum of squared weights", xlabel="training steps")
    weights.set_ylim(0, 1.15 * _top(cell.weight_norm))
    single = [(100.0 * cell.share[:, k - 1], MUTED, "") for k in cell.key_frequencies]
    _curves(explained, cell, [*single, (100.0 * cell.explained, BLUE, "all keys")])
    for line in explained.lines[: len(single)]:
        line.set(linewidth=0.9)
    _name_ends(explained, cell)
    explained.set(ylabel="variance explained (%)", xlabel="training steps", ylim=(0, 103))
    _phase_bands(list(grid.ravel()), cell)
    default = (
        f"Gini of W_E {cell.gini_in[0]:.2f} → {cell.gini_in[-1]:.2f}, weights shrink "
        f"by {_shrinkage(cell):.0f} %, keys explain {100 * cell.explained[-1]:.0f} %"
    )
    alt = (
        f"{_story_in_words(cell)} Loss of the key waves alone at the end "
        f"{cell.restricted_loss[-1]:.3g}, without them {cell.excluded_loss[-1]:.3g}."
    )
    return caption(figure, title or default, alt)


def _name_ends(axes: Axes, cell: Cell, apart: float = 6.0) -> None:
    """Each key's number where its line ends, moved up where two would overlap."""
    height = -math.inf
    for k in sorted(cell.key_frequencies, key=lambda k: cell.share[-1, k - 1]):
        height = max(100.0 * cell.share[-1, k - 1], height + apart)
        axes.annotate(f"{k}", (cell.step[-1], height), (3, 0), textcoords="offset points",
                      va="center", fontsize=8, annotation_clip=False)  # fmt: skip


def _shrinkage(cell: Cell) -> float:
    """By how much the weights shrink from their largest sum of squares, in percent."""
    return 100.0 * (1.0 - cell.weight_norm[-1] / max(float(cell.weight_norm.max()), 1e-30))


def _top(values: NDArray[np.float64]) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.max(initial=0.0)) or 1.0


def _curves(axes: Axes, cell: Cell, drawn: Drawn) -> None:
    for values, colour, label in drawn:
        axes.plot(cell.step, rounded(values), color=colour, label=label or None)
    if any(label for _, _, label in drawn):
        axes.legend(loc="best", handlelength=1.2, borderaxespad=0.2)
    last = max(int(cell.step[-1]), 1)
    axes.set_xlim(-0.02 * last, 1.02 * last)


def _log_curves(axes: Axes, cell: Cell, drawn: Drawn, label: str) -> None:
    """Losses on a logarithmic scale, and the loss of a blind guess."""
    positive = [np.where(values > 0, values, np.nan) for values, _, _ in drawn]
    _curves(axes, cell, [(v, *rest) for v, (_, *rest) in zip(positive, drawn, strict=True)])  # type: ignore[misc]
    axes.axhline(math.log(cell.config.p), color=MUTED, linewidth=0.8, linestyle="--",
                 zorder=0)  # fmt: skip
    axes.annotate("blind guess", (1.0, math.log(cell.config.p)), (0, -3), fontsize=8, color=MUTED,
                  xycoords=("axes fraction", "data"), textcoords="offset points", ha="right",
                  va="top")  # fmt: skip
    axes.set_ylabel(label)
    log_axis(axes, "y", positive)


def _phase_bands(panels: Sequence[Axes], cell: Cell) -> None:
    """The phases as tinted bands, named below the figure; none if they did not come in order."""
    borders = [0, *(int(step) for step in cell.phases)]
    spans = list(itertools.pairwise(borders))
    if any(low >= high for low, high in spans):
        return
    for axes in panels:
        for (_, colour), span in zip(PHASES, spans, strict=True):
            axes.axvspan(*span, color=colour, alpha=TINT, linewidth=0, zorder=-1)
    keys = [
        Patch(color=colour, alpha=2 * TINT, linewidth=0, label=f"{name}, to {high}")
        for (name, colour), (_, high) in zip(PHASES, spans, strict=True)
    ]
    figure = panels[0].figure
    figure.legend(handles=keys, loc="outside lower center", ncols=3, handlelength=1.2)


@styled
def loss_forms(data: LossForms, title: str = "") -> Figure:
    """The saw-tooth of a float32 log-softmax beside the same training with the accurate loss.

    Near 0 a float32 log-softmax moves in steps of 1.2e-7: the loss reaches 0, gradients vanish,
    Adam's denominators shrink, and the next gradient is a blow. Above, the training loss, measured
    in the accurate form for both; below, the sum of squares of all weights.

    Args:
        data: the two trainings.
        title: what the figure shows.

    Source: the released code of Nanda et al. 2023, whose loss is in float32.
    """
    figure, (above, below) = new_figure(2, 1, height=5.0, sharex=True, height_ratios=[1.5, 1])
    runs = [cells(one)[0] for one in data]
    named = (("float32 log-softmax", VERMILLION), ("accurate form", BLUE))
    for cell, (name, colour) in zip(runs, named, strict=True):
        positive = np.where(cell.train_loss > 0, cell.train_loss, np.nan)
        _curves(above[0], cell, ((positive, colour, name),))
        _curves(below[0], cell, ((cell.weight_norm, colour, ""),))
    above[0].axhline(RESOLUTION, color=MUTED, linewidth=0.8, linestyle="--", zorder=0)
    above[0].annotate("one step of float32", (0.0, RESOLUTION), (4, 3), fontsize=8, color=MUTED,
                      xycoords=("axes fraction", "data"), textcoords="offset points")  # fmt: skip
    above[0].set_ylabel("training loss")
    log_axis(above[0], "y", [RESOLUTION, *(cell.train_loss.max() for cell in runs)])
    below[0].set(ylabel="sum of squared weights", xlabel="training steps")
    below[0].set_ylim(0, 1.1 * max(_top(cell.weight_norm) for cell in runs))
    peaks = [spikes(cell) for cell in runs]
    default = f"Leaps of the training loss: {peaks[0]} in float32, {peaks[1]} in the accurate form"
    least = [float(cell.train_loss.min()) for cell in runs]
    alt = (
        f"Training loss over {runs[0].step[-1]} steps: least {least[0]:.2g} with {peaks[0]} "
        f"spikes in float32, least {least[1]:.2g} with {peaks[1]} in the accurate form."
    )
    return caption(figure, title or default, alt)


def spikes(cell: Cell, factor: float = 100.0) -> int:
    """How often the training loss leaps, between two falls, to `factor` times its least so far.

    Worked value: 1, .001, .2, .001, .0005, .1 leaps twice.
    """
    count, least, high = 0, math.inf, False
    for loss in cell.train_loss:
        least = min(least, float(loss))
        if high and loss < 10.0 * least:
            high = False
        elif not high and loss > factor * least:
            count, high = count + 1, True
    return count
