"""How the neurons of a two-layer network choose their frequency, and how their phases line up."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from toylab.analysis.lottery import RULES
from toylab.figures.palette import BLUE, GREEN, INK, MUTED, RULE, VERMILLION, rounded
from toylab.figures.style import caption, new_figure, styled

if TYPE_CHECKING:
    from toylab.experiments.modular import ModularConfig

__all__ = ["NeuronStory", "lottery", "neuron_phases"]

RULE_WORDS = {
    "first": "first to blow up",
    "drive": "largest α²β cos D",
    "magnitude": "largest α",
    "phase": "least |D|",
}
TURN = 2 * np.pi


class NeuronStory(NamedTuple):
    """The waves of a tied two-layer network's m neurons over its r records.

    Attributes:
        config: how it was trained.
        step: [r].
        misalignment: [r], mean |sin D|. participation: [r], mean inverse participation ratio.
        phi, psi: [2, m], phases of each neuron's final frequency in its input and output weights,
            before and after training.
        frequency: [m], the final frequency of the input weights, 1..K.
        agreement: the share of neurons whose output weights have the same frequency at the end.
        aligned: the share with |D| < 0.1 at the end.
        symmetry: [4, K], |mean of e^(i r φ)| over the neurons of each frequency, r = 1..4.
        foretold: share of neurons whose frequency each rule of `RULES` names from the start.
        leader: [r], share of neurons whose largest wave at a record is the final one.
        magnitude: [r, K], α of the first neuron.
    """

    config: ModularConfig
    step: NDArray[np.int64]
    misalignment: NDArray[np.float64]
    participation: NDArray[np.float64]
    phi: NDArray[np.float64]
    psi: NDArray[np.float64]
    frequency: NDArray[np.int64]
    agreement: float
    aligned: float
    symmetry: NDArray[np.float64]
    foretold: NDArray[np.float64]
    leader: NDArray[np.float64]
    magnitude: NDArray[np.float64]


@styled
def neuron_phases(story: NeuronStory, title: str = "") -> Figure:
    """Phases of input and output before and after training, their alignment, and the groups.

    Above left, each neuron's output phase ψ against twice its input phase φ, at the frequency that
    it ends with; the line is ψ = 2φ. Above right, mean |sin(2φ - ψ)| and the inverse participation
    ratio over training. Below, how many neurons each frequency has, and how evenly their phases lie
    on the circle: |mean of e^(i r φ)|, about 1/√n for n random phases (line).

    Args:
        story: one network.
        title: what the figure shows.

    Source: He et al. 2026 (arXiv 2602.16849), the figures of 2φ against ψ, of sparsity and
        alignment over training, and of phases on circles.
    """
    figure, grid = new_figure(2, 2, height=5.8, width=7.0)
    _draw_phases(grid[0, 0], story)
    _draw_alignment(grid[0, 1], story)
    _draw_groups(grid[1, 0], story)
    _draw_symmetry(grid[1, 1], story)
    share = 100 * story.aligned
    default = f"Training turns {share:.0f} % of the neurons to ψ = 2φ"
    alt = (
        f"p = {story.config.p}, {story.config.d_mlp} neurons. Before training the points of ψ "
        f"against 2φ fill the square, after it they lie on the diagonal. Mean |sin(2φ - ψ)| falls "
        f"from {story.misalignment[0]:.2f} to {story.misalignment[-1]:.3f}; the participation "
        f"ratio goes from {story.participation[0]:.2f} to {story.participation[-1]:.2f}. "
        f"{_counts(story).min()} to {_counts(story).max()} neurons have each frequency."
    )
    return caption(figure, title or default, alt)


def _draw_phases(axes: Axes, story: NeuronStory) -> None:
    for row, colour, word, size in ((0, RULE, "before", 9), (1, BLUE, "after", 7)):
        x, y = 2 * story.phi[row] % TURN, story.psi[row] % TURN
        axes.scatter(rounded(x), rounded(y), s=size, color=colour, linewidths=0, label=word)
    axes.plot([0, TURN], [0, TURN], color=INK, linewidth=0.8)
    ticks = [0, np.pi, TURN]
    axes.set(xlim=(0, TURN), ylim=(0, TURN), xticks=ticks, yticks=ticks, xlabel="2φ, of the input")
    axes.set_ylabel("ψ, of the output", labelpad=1)
    axes.set_xticklabels(["0", "π", "2π"])
    axes.set_yticklabels(["0", "π", "2π"])
    axes.legend(loc="upper left", ncols=2, bbox_to_anchor=(-0.03, 1.16), handletextpad=0.1,
                markerscale=1.6, columnspacing=1.0)  # fmt: skip


def _draw_alignment(axes: Axes, story: NeuronStory) -> None:
    curves = (
        (story.participation, GREEN, "waves per neuron: IPR", (0.97, 0.62)),
        (story.misalignment, VERMILLION, "mean |sin(2φ - ψ)|", (0.97, 0.1)),
    )
    for values, colour, text, place in curves:
        axes.plot(story.step, rounded(values), color=colour)
        axes.annotate(text, place, xycoords="axes fraction", ha="right", color=colour, fontsize=9)
    axes.set(ylim=(0, 1), xlim=(0, story.step[-1]), xlabel="training steps")


def _draw_groups(axes: Axes, story: NeuronStory) -> None:
    count = _counts(story)
    axes.bar(np.arange(1, len(count) + 1), count, width=0.75, color=BLUE)
    axes.axhline(count.mean(), color=INK, linewidth=0.8)
    axes.set(xlabel="frequency k", ylabel="neurons", xlim=(0.4, len(count) + 0.6))


def _draw_symmetry(axes: Axes, story: NeuronStory) -> None:
    count = _counts(story)
    K = len(count)
    for row, values in enumerate(story.symmetry):
        x = np.arange(1, K + 1) + 0.16 * (row - 1.5)
        unwanted = row in (1, 3)
        axes.scatter(x, rounded(values), s=10, color=VERMILLION if unwanted else MUTED)
    axes.plot(np.arange(1, K + 1), rounded(1 / np.sqrt(np.maximum(count, 1))), color=INK,
              linewidth=0.8)  # fmt: skip
    axes.set(xlabel="frequency k", ylabel="|mean of e^(i r φ)|", xlim=(0.4, K + 0.6), ylim=(0, 1))
    for text, colour, height in (("r = 2, 4", VERMILLION, 0.9), ("r = 1, 3", MUTED, 0.81)):
        axes.annotate(text, (0.97, height), xycoords="axes fraction", ha="right", color=colour,
                      fontsize=9)  # fmt: skip


def _counts(story: NeuronStory) -> NDArray[np.int64]:
    """Neurons of each frequency, [K]."""
    return np.bincount(story.frequency - 1, minlength=story.symmetry.shape[1])


@styled
def lottery(story: NeuronStory, title: str = "") -> Figure:
    """One neuron's race of waves; when the winner leads; and what tells it from the start.

    Left, the magnitudes α_k of the first neuron's input waves. Middle, the share of neurons in
    which the wave that wins in the end is the largest already. Right, the share whose winner each
    rule names from the random start alone; the line is chance, 1/K.

    Args:
        story: one network.
        title: what the figure shows.

    Source: He et al. 2026 (arXiv 2602.16849), the magnitude race and the lottery.
    """
    figure, (row,) = new_figure(1, 3, height=3.1, width=7.4, width_ratios=[1.1, 1, 1.1])
    _draw_race(row[0], story)
    row[1].plot(story.step, rounded(100 * story.leader), color=BLUE)
    row[1].set(ylim=(0, 102), xlim=(0, story.step[-1]), xlabel="training steps")
    row[1].set_title("the winner leads (% of neurons)", fontsize=9)
    _draw_rules(row[2], story)
    best, K = 100 * story.foretold[0], story.symmetry.shape[1]
    default = f"The start decides: {best:.0f} % of the winners can be told before training"
    told = ", ".join(
        f"{RULE_WORDS[rule]} {100 * rate:.0f} %"
        for rule, rate in zip(RULES, story.foretold, strict=True)
    )
    alt = (
        f"p = {story.config.p}, {story.config.d_mlp} neurons of {K} waves each. Share of neurons "
        f"whose final frequency each rule names from the start: {told}; chance {100 / K:.0f} %. "
        f"The largest wave of the start wins in {100 * story.leader[0]:.0f} %."
    )
    return caption(figure, title or default, alt)


def _draw_race(axes: Axes, story: NeuronStory) -> None:
    winner, favourite = int(story.frequency[0]), int(np.argmax(story.magnitude[0])) + 1
    for k, values in enumerate(story.magnitude.T, start=1):
        colour = VERMILLION if k == winner else INK if k == favourite else MUTED
        axes.plot(story.step, rounded(values), color=colour, zorder=2 + (k == winner),
                  linewidth=1.8 if k == winner else 0.9)  # fmt: skip
    words = f"k = {winner} wins" if winner == favourite else f"k = {winner} beats k = {favourite}"
    axes.set(xlim=(0, story.step[-1]), xlabel="training steps")
    axes.set_ylim(0, 1.02 * float(story.magnitude.max()))
    axes.set_title(f"waves α of a neuron: {words}", fontsize=9)


def _draw_rules(axes: Axes, story: NeuronStory) -> None:
    rates, place = 100 * story.foretold, np.arange(len(RULES))[::-1]
    axes.barh(place, rounded(rates), color=[BLUE] + [MUTED] * (len(RULES) - 1), height=0.38)
    for y, rule, rate in zip(place, RULES, rates, strict=True):
        axes.annotate(f"{RULE_WORDS[rule]}: {rate:.0f} %", (0, y), (0, 9),
                      textcoords="offset points", fontsize=9)  # fmt: skip
    chance = 100 / story.symmetry.shape[1]
    axes.axvline(chance, color=RULE, linewidth=0.8, zorder=0)
    axes.set(yticks=[], xlim=(0, 100), ylim=(-0.4, len(RULES) - 0.2), xticks=[chance, 50, 100])
    axes.set_xticklabels(["chance", "50", "100"])
    axes.spines["left"].set_visible(False)
    axes.set_title("told from the start (% of neurons)", fontsize=9)
