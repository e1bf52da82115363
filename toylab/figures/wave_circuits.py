"""How a network of modular arithmetic computes: readouts, attention, ablations, clock or pizza."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from toylab.analysis import attention_waves as waves_of_attention
from toylab.analysis import progress_measures
from toylab.analysis.neurons import (
    SINGLE_FREQUENCY,
    neuron_frequencies,
    polynomial_neurons,
    project_on_readout,
)
from toylab.analysis.readouts import Readouts, readouts
from toylab.errors import ConfigError
from toylab.experiments.modular import logits, neurons
from toylab.figures.modular_cells import (
    Cell,
    Networks,
    answer_word,
    attention_pattern,
    by_angle,
    cells,
    key_words,
    right_answers,
    strongest_first,
    tables,
)
from toylab.figures.palette import (
    BLUE,
    DIVERGING,
    GREEN,
    INK,
    MUTED,
    ORANGE,
    PAPER,
    PURPLE,
    RULE,
    SEQUENTIAL,
    VERMILLION,
    rounded,
)
from toylab.figures.style import blank_figure, caption, log_axis, new_figure, styled

if TYPE_CHECKING:
    from toylab.experiments.modular import ModularResult

__all__ = [
    "Circuits", "ablations", "attention_waves", "clock_or_pizza", "neuron_ablations",
    "neuron_scores", "readout_waves",
]  # fmt: skip

REACH = 2.5  # standard deviations at which the shading of right logits ends


class Circuits(NamedTuple):
    """Networks and planted logits on the scale from pizza to clock.

    Attributes:
        labels: one for each of n networks.
        symmetricity: [n], gradient symmetricity; NaN for logits without a network.
        irrelevance: [n], distance irrelevance.
        tables: n of [p, p], the right logit by a + b (rows) and a - b.
        published: (label, gradient symmetricity, distance irrelevance) of networks elsewhere.
    """

    labels: tuple[str, ...]
    symmetricity: NDArray[np.float64]
    irrelevance: NDArray[np.float64]
    tables: tuple[NDArray[np.float64], ...]
    published: tuple[tuple[str, float, float], ...] = ()


@styled
def readout_waves(result: ModularResult | Networks, title: str = "") -> Figure:
    """What the neurons send along each key's cosine and sine of the outputs.

    Above, u_k^T MLP(a, b) and v_k^T MLP(a, b) for the two strongest keys, each number n moved to
    k n mod p, so that a wave of a + b is one diagonal stripe. Below, for every key how much of each
    is cos w_k(a + b) or sin w_k(a + b), and with which coefficient.

    Args:
        result: a run; of a sweep or of several runs the first network.
        title: what the figure shows.

    Source: Nanda et al. 2023, section 4.2 and table 1.
    """
    cell = cells(result)[0]
    keys, t = strongest_first(cell), answer_word(cell.config)
    W_L = tables(cell.model).W_L
    sent = readouts(W_L, neurons(cell.model), keys, right_answers(cell.config))
    figure = blank_figure(4.7, 7.0)
    above, below = np.atleast_1d(np.asarray(figure.subfigures(2, 1, height_ratios=[1.1, 1])))
    places = list(above.subplots(1, 4))
    maps = [(i, name) for i in range(min(len(keys), 2)) for name in ("cosine", "sine")]
    for axes in places[len(maps) :]:
        axes.set_axis_off()
    for axes, (i, name) in zip(places, maps, strict=False):
        _draw_readout(axes, sent, i, name, int(keys[i]))
    left, right = below.subplots(1, 2)
    fve = [100.0 * np.asarray(part.fve, np.float64) for part in sent]
    _paired_bars(left, keys, fve, f"explained by the wave of {t} (%)")
    _paired_bars(right, keys, [np.asarray(part.coefficient) for part in sent], "coefficient")
    left.set_ylim(0, 100)
    right.legend(loc="upper right", ncols=2, handlelength=1.0, borderaxespad=0.0)
    low, high = (float(f(fve)) if len(keys) else 0.0 for f in (np.min, np.max))
    default = f"Readouts are {low:.0f} to {high:.0f} % waves of {t}"
    told = ", ".join(f"{k}: {c:.0f} and {s:.0f} %" for k, c, s in zip(keys, *fve, strict=True))
    alt = f"Share of the readouts along cosine and sine that is a wave of {t}, by key: {told}."
    return caption(figure, title or default, alt)


def _draw_readout(axes: Axes, sent: Readouts, i: int, name: str, k: int) -> None:
    part = getattr(sent, name)
    order = by_angle(len(part.values[i]), k)
    values = np.asarray(part.values[i], np.float64)[np.ix_(order, order)]
    reach = float(np.abs(values).max()) or 1.0
    axes.imshow(rounded(values, 3), cmap=DIVERGING, vmin=-reach, vmax=reach, origin="lower",
                interpolation="nearest")  # fmt: skip
    axes.set(xticks=[], yticks=[])
    axes.set_title(f"{'u' if name == 'cosine' else 'v'}ᵀMLP, k = {k}", fontsize=9)
    axes.set_xlabel(f"{k}b mod p", fontsize=8, labelpad=2)
    axes.set_ylabel(f"{k}a mod p", fontsize=8, labelpad=2)


def _paired_bars(
    axes: Axes, keys: NDArray[np.int64], values: Sequence[NDArray[np.float64]], label: str
) -> None:
    at = np.arange(len(keys))
    for dx, heights, colour, name in zip((-0.2, 0.2), values, (BLUE, ORANGE), ("cos", "sin"),
                                         strict=True):  # fmt: skip
        axes.bar(at + dx, rounded(heights), width=0.38, color=colour, label=name)
    axes.set_xticks(at, [str(k) for k in keys])
    axes.set_xlabel("key frequency k, strongest first")
    axes.set_title(label, fontsize=9)
    axes.margins(y=0.22)


@styled
def attention_waves(result: ModularResult | Networks, title: str = "") -> Figure:
    """Attention from '=' to a for every pair, head by head, and the waves that it is made of.

    Above, the weight on a. Below, the share of its variance in cos, sin of w_k a and of w_k b; keys
    of the logits in colour. The rest are products of waves and waves of no key.

    Args:
        result: a run of a transformer; of a sweep or of several runs the first network.
        title: what the figure shows.

    Raises:
        ConfigError: the network is an mlp.

    Source: Nanda et al. 2023, figure 4 and appendix C.1.
    """
    cell = cells(result)[0]
    if cell.config.architecture != "transformer":
        raise ConfigError("architecture='mlp': has no attention; write architecture='transformer'")
    pattern = attention_pattern(cell.model)
    found = waves_of_attention.attention_waves(pattern, cell.key_frequencies)
    heads = min(pattern.shape[2], 8)
    figure, grid = new_figure(2, heads, height=3.9, width=max(4.5, 1.75 * heads), sharey="row",
                              height_ratios=[1.25, 1])  # fmt: skip
    scale = Normalize(0.0, 1.0)
    for head, (above, below) in enumerate(grid.T):
        above.imshow(rounded(pattern[..., head, 0], 3), cmap=SEQUENTIAL, norm=scale,
                     origin="lower", interpolation="nearest")  # fmt: skip
        above.set(xticks=[], yticks=[], xlabel="b")
        to_itself = 100 * float(found.self_weight[head])
        above.set_title(f"head {head}  (to '=' {to_itself:.1f} %)", fontsize=8.5)
        percent = 100.0 * np.asarray(found.share[head], np.float64)
        number = np.arange(1, len(percent) + 1)
        colours = np.where(np.isin(number, cell.key_frequencies), VERMILLION, MUTED)
        below.bar(number, rounded(percent), color=colours.tolist(), width=1.0)
        below.set(xlabel="frequency k", ylim=(0, 100), xlim=(0, len(percent) + 1))
        below.set_title(f"keys {100 * found.key_share[head]:.0f} %", fontsize=9)
    grid[0, 0].set_ylabel("a")
    grid[1, 0].set_ylabel("explained (%)")
    shade = ScalarMappable(scale, colormaps[SEQUENTIAL])
    bar = figure.colorbar(shade, ax=grid[0, :], pad=0.01, shrink=0.9)
    bar.set_label("attention to a", fontsize=8.5)
    shares = [100 * float(value) for value in found.key_share[:heads]]
    default = f"Key waves explain {min(shares):.0f} to {max(shares):.0f} % of each head's attention"
    told = "; ".join(
        f"head {h}: best frequency {int(found.frequency[h])} with "
        f"{100 * float(found.best_share[h]):.0f} %, keys {shares[h]:.0f} %"
        for h in range(heads)
    )
    return caption(figure, title or default, f"Attention from '=' to a over all pairs. {told}.")


@styled
def ablations(result: ModularResult | Networks, title: str = "") -> Figure:
    """Loss and accuracy on all pairs when waves are taken out of the logits, or all else is.

    The dashed line is the loss of a blind guess, ln p.

    Args:
        result: a run; of a sweep or of several runs the first network.
        title: what the figure shows.

    Source: Nanda et al. 2023, sections 4.4 and 5.
    """
    cell = cells(result)[0]
    return _scores(cell, _ablated(cell), title)


@styled
def neuron_ablations(result: ModularResult | Networks, title: str = "") -> Figure:
    """Loss and accuracy on all pairs when neurons are replaced by what is understood of them.

    Single-frequency neurons (share above 85 %) become their polynomials of degree 2 in the waves of
    a and of b. The directions of the keys are those along which W_L writes the keys' cosines and
    sines on the logits: the neurons are projected on them, or on all others. What attention writes
    on the logits past the neurons stays.

    Args:
        result: a run; of a sweep or of several runs the first network.
        title: what the figure shows.

    Source: Nanda et al. 2023, section 4.4.
    """
    cell = cells(result)[0]
    rows = [(name, score, colour) for (name, score), colour in
            zip(neuron_scores(cell).items(), (INK, ORANGE, GREEN, VERMILLION), strict=True)]
    outside = 100.0 * float(rows[-1][1].accuracy)
    default = f"Outside the keys' directions the neurons answer {outside:.1f} % of the pairs"
    return _scores(cell, rows, title or default)


def neuron_scores(cell: Cell) -> dict[str, progress_measures.Score]:
    """Scores on all pairs: intact, with polynomials, on the keys' directions, and off them."""
    H, cube, W_L = neurons(cell.model), logits(cell.model), tables(cell.model).W_L
    fit = neuron_frequencies(H)
    single = np.asarray(fit.share) > SINGLE_FREQUENCY
    polynomials = np.where(single, polynomial_neurons(H, fit.frequency), H)
    within = project_on_readout(H, W_L, cell.key_frequencies)
    changed = (H, polynomials, within.on, within.off)
    answers = right_answers(cell.config)
    names = ("intact", "polynomials", "keys' directions", "all others")
    return {
        name: progress_measures.score(cube + (new - H) @ W_L.T, None, answers)
        for name, new in zip(names, changed, strict=True)
    }


def _scores(cell: Cell, rows: Sequence[tuple[str, progress_measures.Score, str]], title: str
            ) -> Figure:  # fmt: skip
    """Losses and accuracies of the rows, each a name, its scores and its colour."""
    names, colours = [name for name, _, _ in rows], [colour for _, _, colour in rows]
    losses = rounded([float(score.loss) for _, score, _ in rows])
    accuracies = rounded([100.0 * float(score.accuracy) for _, score, _ in rows])
    figure, (row,) = new_figure(1, 2, height=1.3 + 0.27 * len(rows), sharey=True)
    (left, right), at, blind = row, np.arange(len(rows)), float(np.log(cell.config.p))
    left.scatter(losses, at, s=42, color=colours, zorder=3)
    left.axvline(rounded(blind), color=MUTED, linewidth=0.9, linestyle="--", zorder=0)
    low = max(float(losses[losses > 0].min(initial=blind)), 1e-12)
    log_axis(left, "x", [*losses, blind])
    left.set(xlim=(0.4 * low, 12.0 * max(losses.max(), blind)), yticks=at,
             yticklabels=names, ylim=(len(rows) - 0.4, -0.6), xlabel="loss")  # fmt: skip
    left.grid(axis="y")
    right.barh(at, accuracies, color=colours, height=0.6)
    right.set(xlabel="accuracy (%)", xlim=(0, 118), xticks=[0, 50, 100])
    for axes in row:
        axes.tick_params(axis="y", length=0)
    for y, (loss, accuracy) in enumerate(zip(losses, accuracies, strict=True)):
        _beside(left, loss, y, f"{loss:.2g}", 7)
        _beside(right, accuracy, y, f"{accuracy:.3g}", 4)
    default = f"Without its keys the network is right on {accuracies[-1]:.1f} % of the pairs"
    told = ", ".join(f"{name}: {loss:.2g}" for name, loss in zip(names, losses, strict=True))
    alt = f"Keys: {key_words(cell)}. Loss over all pairs, {told}; a blind guess has {blind:.2f}."
    return caption(figure, title or default, alt)


def _ablated(cell: Cell) -> list[tuple[str, progress_measures.Score, str]]:
    """What is left of the logits, how it scores, and the colour of its row."""
    answers = right_answers(cell.config)
    found = progress_measures.ablations(logits(cell.model), cell.key_frequencies, None, answers)
    each = zip(cell.key_frequencies, *found.without_each, strict=True)
    return [
        ("intact", found.intact, INK),
        ("only key waves", found.only_key, GREEN),
        ("only key cosines", found.only_cosines, GREEN),
        *((f"without {k}", progress_measures.Score(*score), ORANGE) for k, *score in each),
        ("without all keys", found.without_all, VERMILLION),
    ]


def _beside(axes: Axes, x: float, y: float, text: str, gap: float) -> None:
    axes.annotate(text, (x, y), (gap, 0), textcoords="offset points", va="center", fontsize=8,
                  bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 0.6})  # fmt: skip


@styled
def clock_or_pizza(data: Circuits, title: str = "") -> Figure:
    """Which of two circuits: gradient symmetricity against distance irrelevance, and right logits.

    A clock's right logit is the same for all pairs of one sum, a pizza's fades with the difference
    of its numbers. Left, the two measures, published networks as crosses; right, the right logit by
    sum and difference, centred, the shading of each panel ending at 2.5 standard deviations.

    Args:
        data: networks, and logits planted by hand.
        title: what the figure shows.

    Source: Zhong et al. 2023, "The clock and the pizza", figures 3 and 6 and section 4.
    """
    figure = blank_figure(3.7, 7.4)
    left, right = np.atleast_1d(np.asarray(figure.subfigures(1, 2, width_ratios=[1.0, 1.15])))
    axes = left.subplots()
    colours = (BLUE, ORANGE, GREEN, PURPLE)
    for i, label in enumerate(data.labels):
        if np.isfinite(data.symmetricity[i]):
            axes.scatter([rounded(data.symmetricity[i])], [rounded(data.irrelevance[i])], s=34,
                         color=colours[i % len(colours)], label=label, zorder=3)  # fmt: skip
    for label, x, y in data.published:
        axes.scatter([x], [y], marker="x", s=34, color=INK, zorder=2)
        axes.annotate(label, (x, y), (-5, 6), textcoords="offset points", ha="center", fontsize=8)
    axes.set(xlabel="gradient symmetricity", ylabel="distance irrelevance", xlim=(-0.15, 1.12),
             ylim=(-0.05, 1.09))  # fmt: skip
    axes.axhline(0.0, color=RULE, linewidth=0.8, zorder=0)
    left.legend(loc="outside lower center", ncols=1)
    grid = np.atleast_1d(right.subplots(2, 2)).ravel()
    for axes in grid[len(data.tables) :]:
        axes.set_axis_off()
    for axes, table, label in zip(grid, data.tables, data.labels, strict=False):
        centred = np.asarray(table, np.float64) - np.mean(table)
        reach = max(REACH * float(centred.std()), 1e-4 * float(np.abs(table).max()), 1e-30)
        axes.imshow(rounded(centred / reach, 3), cmap=DIVERGING, vmin=-1, vmax=1, origin="lower",
                    interpolation="nearest")  # fmt: skip
        axes.set(xticks=[], yticks=[])
        axes.set_title(label, fontsize=8.5)
    for axes in grid[: len(data.tables)]:
        axes.set_xlabel("a-b", fontsize=8, labelpad=2)
        axes.set_ylabel("a+b", fontsize=8, labelpad=2)
    kind = "clock" if data.irrelevance[0] >= 0.5 else "pizza"
    default = f"Distance irrelevance {data.irrelevance[0]:.2f}: the {data.labels[0]} is a {kind}"
    told = "; ".join(
        f"{label}: symmetricity {s:.2f}, irrelevance {d:.2f}"
        for label, s, d in zip(data.labels, data.symmetricity, data.irrelevance, strict=True)
    )
    return caption(figure, title or default, f"{told}.")
