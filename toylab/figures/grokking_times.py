"""When networks grok and by which frequencies, over the cells of a sweep or over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from toylab.analysis.training_phases import GROKKED, NEVER, first_step_at
from toylab.figures.modular_cells import Cell, Networks, cells, memorised_at
from toylab.figures.palette import BLUE, MUTED, ORANGE, PAPER, RULE, VERMILLION, rounded
from toylab.figures.starts import wilson
from toylab.figures.style import caption, new_figure, styled

if TYPE_CHECKING:
    from toylab.experiments.modular import ModularResult

__all__ = ["Group", "grokking_sweep", "groups", "seeds", "success"]


class Group(NamedTuple):
    """Networks that differ in nothing but their seed.

    Attributes:
        label: the values of the other axes, "2" or "2, add"; empty without any.
        cells: one a seed.
    """

    label: str
    cells: tuple[Cell, ...]

    @property
    def grokked(self) -> int:
        """How many hold 99 % of the test pairs to the end."""
        return sum(int(cell.phases.cleaned) != NEVER for cell in self.cells)


def groups(result: ModularResult | Networks) -> tuple[str, tuple[Group, ...]]:
    """The axes' names apart from the seed's, and the networks at each combination of their values.

    A single run, or runs that differ in their seeds alone, are one group.
    """
    found, axes = cells(result), _axes(result)
    places = list(np.ndindex(*(len(values) for _, values in axes))) if axes else [()] * len(found)
    members: dict[str, list[Cell]] = {}
    for cell, place in zip(found, places, strict=True):
        values = [values[i] for (name, values), i in zip(axes, place, strict=False)
                  if name != "seed"]  # fmt: skip
        label = ", ".join(v if isinstance(v, str) else f"{v:g}" for v in values)
        members.setdefault(label, []).append(cell)
    name = ", ".join(name for name, _ in axes if name != "seed")
    return name, tuple(Group(label, tuple(own)) for label, own in members.items())


def _axes(result: ModularResult | Networks) -> tuple[tuple[str, tuple[Any, ...]], ...]:
    """The axes of a sweep; none of a run or of several."""
    return () if isinstance(result, Networks) else getattr(result.config, "axes", ())


def success(result: ModularResult | Networks) -> tuple[int, int]:
    """How many of all networks hold 99 % of the test pairs to the end, and how many there are."""
    found = groups(result)[1]
    return sum(group.grokked for group in found), sum(len(group.cells) for group in found)


@styled
def grokking_sweep(result: ModularResult | Networks, title: str = "") -> Figure:
    """Over a grid: when networks memorise and grok, by which frequencies, and how often.

    Each network is a dot, those of one setting side by side. Above, the first step with 99 % of the
    training pairs, the first with 99 % of the test pairs (hollow), which a spike may undo, and the
    one from which they hold (full); a cross at the top is a network that did not get there. In the
    middle, the key frequencies, the area of a
    dot being the share of the logits. Below, the rate of success with its 95 % Wilson interval.

    Args:
        result: a sweep; the axis `seed`, if there is one, gives the networks of one setting.
        title: what the figure shows.

    Source: Nanda et al. 2023, appendix D (weight decay, data, seeds).
    """
    name, found = groups(result)
    width = min(max(6.0, 1.2 + 0.11 * sum(len(group.cells) + 2 for group in found)), 11.0)
    figure, grid = new_figure(3, 1, height=6.2, width=width, sharex=True,
                              height_ratios=[1.2, 1.2, 0.7])  # fmt: skip
    times, keys, rates = grid[:, 0]
    place = [(x, cell) for i, group in enumerate(found) for x, cell in _beside(i, group.cells)]
    _draw_times(times, place)
    _draw_keys(keys, place)
    _draw_rates(rates, found)
    for axes in grid[:, 0]:
        axes.set_xlim(-0.6, len(found) - 0.4)
        for i in range(1, len(found)):
            axes.axvline(i - 0.5, color=RULE, linewidth=0.6, zorder=0)
    long = max(len(group.label) for group in found) * len(found) > 70
    rates.set_xticks(range(len(found)), [group.label for group in found],
                     rotation=40 if long else 0, ha="right" if long else "center")  # fmt: skip
    rates.set_xlabel(name)
    figure.legend(*times.get_legend_handles_labels(), loc="outside lower center",
                  ncols=4, columnspacing=1.0, handletextpad=0.2)  # fmt: skip
    hits, trials = success(result)
    default = f"{hits} of {trials} networks grok" + (f", by {name}" if name else "")
    told = "; ".join(f"{g.label or 'all'}: {g.grokked} of {len(g.cells)}" for g in found)
    alt = f"Networks that hold 99 % of the test pairs, by {name or 'nothing'}: {told}."
    return caption(figure, title or default, alt)


def _beside(centre: int, found: Sequence[Cell]) -> list[tuple[float, Cell]]:
    """Places around a centre for the networks of one setting."""
    half = 0.32 * (len(found) > 1)
    offsets = np.linspace(-half, half, len(found))
    return [(centre + float(dx), cell) for dx, cell in zip(offsets, found, strict=True)]


def _draw_times(axes: Axes, place: Sequence[tuple[float, Cell]]) -> None:
    x = rounded([at for at, _ in place])
    first = np.array([memorised_at(cell) for _, cell in place])
    once = np.array([int(first_step_at(c.step, c.test_accuracy, GROKKED)) for _, c in place])
    held = np.array([int(cell.phases.cleaned) for _, cell in place])
    last = max(int(cell.step[-1]) for _, cell in place)
    for steps, face, edge, name in (
        (first, "none", BLUE, "training pairs"),
        (once, "none", VERMILLION, "test pairs, first"),
        (held, VERMILLION, VERMILLION, "test pairs, held"),
    ):
        there = steps != NEVER
        axes.scatter(x[there], steps[there], s=20, zorder=3, label=name, facecolors=face,
                     edgecolors=edge, linewidths=1.0)  # fmt: skip
    never = held == NEVER
    if never.any():
        top = np.full(never.sum(), 1.06 * last)
        axes.scatter(x[never], top, marker="x", s=22, color=VERMILLION, linewidths=1.2,
                     label="never", zorder=3)  # fmt: skip
    axes.axhline(last, color=MUTED, linewidth=0.8, linestyle="--", zorder=0)
    axes.set(ylabel="steps to 99 %", ylim=(0, 1.12 * last))


def _draw_keys(axes: Axes, place: Sequence[tuple[float, Cell]]) -> None:
    x = np.concatenate([np.full(len(cell.key_frequencies), at) for at, cell in place] or [[]])
    k = np.concatenate([cell.key_frequencies for _, cell in place])
    share = np.concatenate([cell.share[-1, cell.key_frequencies - 1] for _, cell in place])
    axes.scatter(rounded(x), k, s=rounded(90.0 * share), color=BLUE, alpha=0.75, linewidths=0)
    top = max(cell.share.shape[1] for _, cell in place)
    axes.set(ylabel="key frequencies", ylim=(0, top + 1))
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))


def _draw_rates(axes: Axes, found: Sequence[Group]) -> None:
    trials = [len(group.cells) for group in found]
    rates = np.array([100.0 * g.grokked / n for g, n in zip(found, trials, strict=True)])
    bounds = np.array([wilson(g.grokked, n) for g, n in zip(found, trials, strict=True)])
    reach = np.abs(rounded(100.0 * bounds).T - rounded(rates))
    axes.errorbar(range(len(found)), rounded(rates), yerr=reach, fmt="o", color=BLUE, capsize=2.5,
                  linewidth=1.2)  # fmt: skip
    axes.set(ylabel="success (%)", ylim=(-6, 106), yticks=[0, 50, 100])


@styled
def seeds(result: ModularResult | Networks, title: str = "") -> Figure:
    """The same setting from several starts: which frequencies, how many, and how soon.

    A row for each network. Left, its key frequencies, the area of a dot being the share of the
    logits. Right, from the first step with 99 % of the training pairs (hollow) to the one from
    which 99 % of the test pairs hold (full); a cross if they never do.

    Args:
        result: a sweep over seeds, or several runs.
        title: what the figure shows.

    Source: Nanda et al. 2023, section 4 (other seeds) and appendix C.2.
    """
    found = cells(result)
    figure, (row,) = new_figure(1, 2, height=1.5 + 0.3 * len(found), width=7.0, sharey=True,
                                width_ratios=[1.5, 1])  # fmt: skip
    y = np.arange(len(found))
    left, right = row
    for i, cell in enumerate(found):
        keys = cell.key_frequencies
        left.scatter(keys, np.full(len(keys), i), s=rounded(220.0 * cell.share[-1, keys - 1]),
                     color=BLUE, linewidths=0, alpha=0.8)  # fmt: skip
        _draw_span(right, i, cell)
    n_keys = [len(cell.key_frequencies) for cell in found]
    left.set_yticks(y, [f"{cell.label}   {n} keys" for cell, n in zip(found, n_keys, strict=True)])
    left.set(xlabel="key frequency k", ylim=(len(found) - 0.4, -0.6),
             xlim=(0, max(cell.share.shape[1] for cell in found) + 1))  # fmt: skip
    last = max(int(cell.step[-1]) for cell in found)
    right.set(xlabel="steps: memorised → grokked", xlim=(0, 1.08 * last))
    for axes in row:
        axes.grid(axis="y", linewidth=0.5)
        axes.tick_params(axis="y", length=0)
    hits, trials = success(result)
    times = [int(cell.phases.cleaned) for cell in found if int(cell.phases.cleaned) != NEVER]
    when = f" at {_range(times)} steps" if times else ""
    default = f"{hits} of {trials} seeds grok{when}, with {_range(n_keys)} frequencies"
    told = "; ".join(" ".join(map(str, cell.key_frequencies)) or "none" for cell in found)
    return caption(figure, title or default, f"Key frequencies of each network: {told}.")


def _range(values: Sequence[int]) -> str:
    """ "3 to 5", or "4" when all are alike."""
    low, high = min(values), max(values)
    return f"{low}" if low == high else f"{low} to {high}"


def _draw_span(axes: Axes, y: int, cell: Cell) -> None:
    first, held, last = memorised_at(cell), int(cell.phases.cleaned), int(cell.step[-1])
    end = held if held != NEVER else last
    if first != NEVER:
        axes.plot([first, end], [y, y], color=ORANGE if held != NEVER else RULE, linewidth=1.2)
        axes.scatter([first], [y], s=24, facecolors=PAPER, edgecolors=BLUE, zorder=3)
    mark: dict[str, Any] = {"marker": "o"} if held != NEVER else {"marker": "x", "linewidths": 1.4}
    axes.scatter([end], [y], s=26, color=VERMILLION, zorder=3, **mark)
