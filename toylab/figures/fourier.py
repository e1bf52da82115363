"""A trained network of modular arithmetic as waves: its weights, its logits and its neurons.

Each function draws one network: of a sweep or of several runs the first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from toylab.analysis.fourier import frequency_energy, gini, sum_by_frequency
from toylab.analysis.logit_spectrum import logit_spectrum, plane_spectrum
from toylab.analysis.neurons import (
    SINGLE_FREQUENCY,
    NeuronFit,
    clusters,
    neuron_frequencies,
)
from toylab.experiments.modular import logits, neurons
from toylab.figures.grokking import training_story
from toylab.figures.grokking_times import grokking_sweep
from toylab.figures.modular_cells import (
    Cell,
    Networks,
    answer_word,
    by_angle,
    cells,
    key_words,
    right_answers,
    tables,
)
from toylab.figures.palette import BLUE, INK, MUTED, RULE, SEQUENTIAL, VERMILLION, rounded
from toylab.figures.style import blank_figure, caption, new_figure, styled

if TYPE_CHECKING:
    from toylab.experiments.modular import ModularResult

__all__ = [
    "grokking_sweep", "logit_fit", "neuron_waves", "spectrum", "training_story",
]  # fmt: skip

MAPS = 5  # neurons that are drawn
FAINT = 1e-5  # of the logits' energy; less is drawn as this


@styled
def spectrum(result: ModularResult | Networks, title: str = "") -> Figure:
    """The share of each frequency in W_E, in W_L = W_U W_out and in the logits; keys in colour.

    Of the weights it is e_k over the sum of all e_k, of the logits E_k over |Lc|², so that there
    the bars of the keys add up to the fraction of variance explained.

    Args:
        result: a run.
        title: what the figure shows.

    Source: Nanda et al. 2023, figure 3 (norms of the embedding's waves) and section 4.2.
    """
    cell = cells(result)[0]
    W_E, W_L = tables(cell.model)
    found = logit_spectrum(logits(cell.model), right_answers(cell.config))
    figure, grid = new_figure(3, 1, height=5.6, sharex=True)
    into, out = (np.asarray(frequency_energy(W), np.float64) for W in (W_E, W_L))
    ends = ((into, "embedding W_E"), (out, "neurons to logits W_L"))
    for axes, (energy, name) in zip(grid[:2, 0], ends, strict=True):
        _bars(axes, 100.0 * energy / (energy.sum() or 1.0), cell, f"{name}: % of energy")
        _note(axes, f"Gini {float(gini(energy)):.2f}")
    _bars(grid[2, 0], 100.0 * np.asarray(found.share, np.float64), cell, "logits: % of variance")
    explained = 100.0 * cell.explained[-1]
    _note(grid[2, 0], f"keys {explained:.1f} %")
    grid[2, 0].set_xlabel("frequency k")
    keys = key_words(cell)
    default = f"{keys[0].upper()}{keys[1:]} carry {explained:.0f} % of the logits"
    alt = (
        f"Bars over the frequencies 1 to {len(into)} of p = {cell.config.p}. Keys: "
        f"{keys}. Gini coefficients {float(gini(into)):.2f} of W_E, {float(gini(out)):.2f} of W_L."
    )
    return caption(figure, title or default, alt)


def _bars(axes: Axes, percent: NDArray[np.float64], cell: Cell, label: str) -> None:
    number = np.arange(1, len(percent) + 1)
    is_key = np.isin(number, cell.key_frequencies)
    colours = np.where(is_key, VERMILLION, MUTED)
    axes.bar(number, rounded(percent), width=0.8, color=colours.tolist())
    top = 1.22 * max(float(percent.max(initial=0.0)), 1e-9)
    axes.set(xlim=(0, len(percent) + 1), ylim=(0, top))
    axes.set_title(label, fontsize=9)
    axes.yaxis.set_major_locator(MaxNLocator(4))
    _name_bars(axes, cell.key_frequencies, percent, VERMILLION)


def _name_bars(axes: Axes, keys: NDArray[Any], heights: NDArray[Any], colour: str) -> None:
    """The number of a frequency over its bar; two that are close give way to each other."""
    near = 1 + len(heights) // 40
    for k in keys:
        left, right = (bool(np.any(np.isin(k + side * np.arange(1, near + 1), keys)))
                       for side in (-1, 1))  # fmt: skip
        side = "center" if left == right else "left" if left else "right"
        axes.annotate(f"{k}", (k, heights[k - 1]), (0, 1.5), textcoords="offset points", ha=side,
                      fontsize=8, color=colour)  # fmt: skip


def _note(axes: Axes, text: str) -> None:
    axes.annotate(text, (1.0, 1.0), (0, 3), xycoords="axes fraction", ha="right", va="bottom",
                  textcoords="offset points", fontsize=9)  # fmt: skip


@styled
def logit_fit(result: ModularResult | Networks, title: str = "") -> Figure:
    """The logits against how far an answer is off, as a sum of key cosines; their 2-D spectrum.

    Left, g(s), the mean of the centred logits over all (a, b, c) with a + b - c = s, and
    sum_k alpha_k cos(w_k s) over the keys. Right, the energy of the logits in products of a wave of
    a and a wave of b, the cosine and sine of a frequency taken together: what is computed from
    a + b alone lies on the diagonal, four products for each key.

    Args:
        result: a run.
        title: what the figure shows.

    Source: Nanda et al. 2023, section 4.2 and the figure of the logits' 2-D Fourier components.
    """
    cell = cells(result)[0]
    cube, p = logits(cell.model), cell.config.p
    found = logit_spectrum(cube, right_answers(cell.config))
    plane = plane_spectrum(cube)
    figure, (row,) = new_figure(1, 2, height=3.4, width=7.0, width_ratios=[1.25, 1])
    _draw_means(row[0], found.class_means, found.amplitude, cell)
    _draw_plane(figure, row[1], plane.energy, float(plane.total), cell)
    explained = 100.0 * cell.explained[-1]
    held = 100.0 * float(np.asarray(plane.share)[cell.key_frequencies - 1].sum())
    row[1].set_title(f"{len(cell.key_frequencies)} × 4 products hold {held:.1f} %", fontsize=9)
    s, n = f"{answer_word(cell.config)}-c", len(cell.key_frequencies)
    cosines = f"{n} cosine{'s' * (n != 1)} of {s} explain{'s' * (n == 1)}"
    default = f"{cosines} {explained:.1f} % of the logits"
    alt = (
        f"Mean logit over s = {s} modulo {p}, {float(found.class_means[0]):.1f} at s = 0, with "
        f"the sum of cosines of {key_words(cell)}; and the logits' 2-D spectrum, of which the "
        f"products of these frequencies hold {held:.1f} %."
    )
    return caption(figure, title or default, alt)


def _draw_means(axes: Axes, means: object, amplitude: object, cell: Cell) -> None:
    p, half = cell.config.p, cell.config.p // 2
    s = np.arange(-half, p - half)
    turns = 2 * np.pi * np.outer(cell.key_frequencies, s) / p
    curve = np.asarray(amplitude, np.float64)[cell.key_frequencies - 1] @ np.cos(turns)
    axes.plot(s, rounded(curve), color=VERMILLION, linewidth=1.2, label="key cosines")
    axes.scatter(s, rounded(np.asarray(means, np.float64)[s % p]), s=9, color=BLUE, zorder=3,
                 linewidths=0, label="mean logit")  # fmt: skip
    axes.set(
        xlabel=f"answer off by s = {answer_word(cell.config)}-c",
        ylabel="logit",
        xlim=(s[0] - 1, s[-1] + 1),
    )
    axes.legend(loc="upper right", borderaxespad=0.0, handlelength=1.0)


def _draw_plane(figure: Figure, axes: Axes, energy: object, total: float, cell: Cell) -> None:
    """Energy by frequency of a and of b, [K + 1, K + 1] with the constant first."""
    by_b = _by_frequency(np.asarray(energy, np.float64))
    share = _by_frequency(by_b.T).T / (total or 1.0)
    scale = LogNorm(FAINT, 1.0)
    image = axes.imshow(rounded(np.clip(share, FAINT, 1.0)), cmap=SEQUENTIAL, norm=scale,
                        origin="lower", interpolation="nearest")  # fmt: skip
    ticks = [0, *cell.key_frequencies]
    axes.set(xticks=ticks, yticks=ticks, xlabel="frequency of b", ylabel="frequency of a")
    axes.tick_params(labelsize=7, length=2)
    axes.tick_params(axis="x", labelrotation=90)
    axes.spines[:].set_visible(False)
    bar = figure.colorbar(image, ax=axes, shrink=0.9, pad=0.02)
    bar.set_label("share of the logits' energy", fontsize=8)
    bar.ax.tick_params(labelsize=7)


def _by_frequency(energy: NDArray[np.float64]) -> NDArray[np.float64]:
    """[..., p] in the order of the basis -> [..., K + 1], the constant first."""
    return np.concatenate(
        [energy[..., :1], np.asarray(sum_by_frequency(jnp.asarray(energy)))], axis=-1
    )


@styled
def neuron_waves(result: ModularResult | Networks, title: str = "") -> Figure:
    """How many neurons each frequency has, how pure they are, and a few of them.

    A neuron's purity is the share of its variance in the constant, the 4 linear and the 4 quadratic
    terms of its best frequency; above 85 % it counts as having one frequency. Below, the purest
    neurons of the largest clusters at every pair, and the same with each number n moved to
    k n mod p: seen from their own frequency all of them are one smooth wave.

    Args:
        result: a run.
        title: what the figure shows.

    Source: Nanda et al. 2023, figure 5 and section 4.2 (433 of 512 neurons above 85 %).
    """
    cell = cells(result)[0]
    active = neurons(cell.model)
    fit = NeuronFit(*(np.asarray(field) for field in neuron_frequencies(active)))  # type: ignore[arg-type]
    figure = blank_figure(5.7, 7.0)
    above, below = np.atleast_1d(np.asarray(figure.subfigures(2, 1, height_ratios=[1, 1.45])))
    left, right = above.subplots(1, 2, width_ratios=[1.6, 1])
    pure, p = np.asarray(clusters(fit, cell.config.p)), cell.config.p
    mixed = np.asarray(clusters(fit, p, 0.0)) - pure
    _draw_clusters(left, pure, mixed, cell)
    _draw_purity(right, np.asarray(fit.share, np.float64))
    _draw_neurons(below.subplots(2, MAPS, squeeze=False), np.asarray(active), fit, pure)
    count, width = int(pure.sum()), cell.config.d_mlp
    default = f"{count} of {width} neurons ({100 * count / width:.0f} %) have one frequency"
    told = ", ".join(f"{n} at {k + 1}" for k, n in enumerate(pure) if n)
    alt = f"Neurons of one frequency: {told or 'none'}; {width - count} are mixed or silent."
    return caption(figure, title or default, alt)


def _draw_clusters(
    axes: Axes, pure: NDArray[np.int32], mixed: NDArray[np.int32], cell: Cell
) -> None:
    number = np.arange(1, len(pure) + 1)
    colours = np.where(np.isin(number, cell.key_frequencies), VERMILLION, BLUE).tolist()
    axes.bar(number, pure, color=colours, width=0.8)
    axes.bar(number, mixed, bottom=pure, color=RULE, width=0.8, label="mixed")
    top = 1.18 * max(1, int((pure + mixed).max()))
    axes.set(xlabel="best frequency k", ylabel="neurons", xlim=(0, len(pure) + 1), ylim=(0, top))
    _name_bars(axes, number[pure > 0.05 * max(1, pure.sum())], pure + mixed, INK)
    axes.set_title("neurons by frequency (keys of the logits orange)", fontsize=9)


def _draw_purity(axes: Axes, share: NDArray[np.float64]) -> None:
    counts, edges = np.histogram(100.0 * share, bins=20, range=(0.0, 100.0))
    pure = edges[:-1] >= 100.0 * SINGLE_FREQUENCY - 1e-9
    colours = np.where(pure, BLUE, RULE).tolist()
    axes.bar(edges[:-1], counts, width=np.diff(edges), align="edge", color=colours)
    axes.axvline(100.0 * SINGLE_FREQUENCY, color=MUTED, linewidth=0.9, linestyle="--")
    axes.set(xlabel="share of the best frequency (%)", xlim=(0, 100))
    axes.set_title("purity; dashed: 85 %", fontsize=9)


def _draw_neurons(
    places: NDArray[Any], active: NDArray[np.float32], fit: NeuronFit, pure: NDArray[np.int32]
) -> None:
    """Neurons in columns: as they are, and with each number n moved to k n mod p."""
    chosen = _chosen_neurons(np.asarray(fit.frequency), np.asarray(fit.share), pure)
    for axes in places[:, len(chosen) :].ravel():
        axes.set_axis_off()
    for (raw, turned), m in zip(places.T, chosen, strict=False):
        k, share = int(fit.frequency[m]), float(fit.share[m])
        order = by_angle(len(active), k)
        table = rounded(active[..., m], 3)
        for axes, values in ((raw, table), (turned, table[np.ix_(order, order)])):
            axes.imshow(values, cmap=SEQUENTIAL, interpolation="nearest", origin="lower")
            axes.set(xticks=[], yticks=[])
        raw.set_title(f"neuron {m}: {100 * share:.0f} %", fontsize=8.5)
        raw.set_xlabel("b", fontsize=8, labelpad=2)
        turned.set_xlabel(f"{k}b mod p", fontsize=8, labelpad=2)
        raw.set_ylabel("a", fontsize=8, labelpad=2)
        turned.set_ylabel(f"{k}a mod p", fontsize=8, labelpad=2)


def _chosen_neurons(
    frequency: NDArray[np.int32], share: NDArray[np.float32], pure: NDArray[np.int32]
) -> list[int]:
    """The purest neurons of the largest clusters in turn: first of each, then second, and so on.

    If these do not fill the figure, the purest of the others.
    """
    ranked = []
    for place, k in enumerate(np.argsort(-pure, kind="stable") + 1):
        members = np.argsort(np.where(frequency == k, -share, 0.0), kind="stable")
        ranked += [(rank, place, int(m)) for rank, m in enumerate(members[: pure[k - 1]])]
    chosen = [m for _, _, m in sorted(ranked)]
    others = np.argsort(-share, kind="stable")
    chosen += [int(m) for m in others if frequency[m] > 0 and int(m) not in chosen]
    return chosen[:MAPS]
