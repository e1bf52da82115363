"""What can be proved of a network's accuracy, at which price, and from when on."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from toylab.analysis.certificate_costs import flops_pair_forward, flops_weights
from toylab.figures.palette import BLUE, GREEN, INK, MUTED, ORANGE, PURPLE, VERMILLION, rounded
from toylab.figures.style import caption, log_axis, new_figure, styled

if TYPE_CHECKING:
    from toylab.analysis.certificate_history import CertifiedHistory
    from toylab.experiments.modular import ModularConfig

__all__ = ["Priced", "ProvenTraining", "price_of_proof", "proven_training"]

ORDERS = (2, 4, 8)
"""The spectral proofs that are drawn, by their order q."""
PRIMES = (23, 31, 59, 113, 211, 401)
COLOURS = (ORANGE, BLUE, PURPLE)


class ProvenTraining(NamedTuple):
    """What is proven of a network at each of its r records.

    Attributes:
        config: how it was trained. step: [r].
        accuracy: [r], over all pairs. test_accuracy: [r].
        proven: lower bounds, [r] and [r, 3] by `ORDERS`.
    """

    config: ModularConfig
    step: NDArray[np.int64]
    accuracy: NDArray[np.float64]
    test_accuracy: NDArray[np.float64]
    proven: CertifiedHistory


class Priced(NamedTuple):
    """Proofs about a quadratic two-layer network.

    Attributes:
        config: how it was trained.
        methods: what each of n proofs is called: exhaustive, moment 8, ..., weights.
        flops: [n], floating-point operations. lower: [n], the proven share of the pairs.
        planted: [n], the same of Gromov's exact weights for this p.
        accuracy: of the trained network over all pairs.
    """

    config: ModularConfig
    methods: tuple[str, ...]
    flops: NDArray[np.float64]
    lower: NDArray[np.float64]
    planted: NDArray[np.float64]
    accuracy: float


@styled
def proven_training(data: ProvenTraining, title: str = "") -> Figure:
    """Accuracy over training, and how much of it each proof establishes.

    Args:
        data: one network.
        title: what the figure shows.

    Source: the bounds are those of `toylab.analysis.certificate_spectral`.
    """
    figure, ((axes,),) = new_figure(1, 1, height=3.6)
    axes.plot(data.step, 100 * data.accuracy, color=MUTED, linewidth=4, alpha=0.45)
    axes.plot(data.step, 100 * data.proven.exhaustive, color=INK, linewidth=1.2, label="all pairs")
    for column, order, colour in zip(data.proven.spectral.T, ORDERS, COLOURS, strict=True):
        axes.plot(data.step, rounded(100 * column), color=colour, label=f"moment q = {order}")
    axes.plot(data.step, rounded(100 * data.proven.energy), color=GREEN, label="energy")
    axes.set(xlim=(0, data.step[-1]), ylim=(-2, 103), xlabel="training steps")
    axes.set_title("pairs that are right (grey, %) and proven right, by", fontsize=9)
    axes.legend(loc="center right", bbox_to_anchor=(1.0, 0.46))
    ends = ", ".join(
        f"q = {order} {100 * value:.1f} %"
        for order, value in zip(ORDERS, data.proven.spectral[-1], strict=True)
    )
    proven = 100 * float(data.proven.spectral[-1, 1])
    default = f"From its waves alone, {proven:.0f} % of the answers are proven right"
    alt = (
        f"p = {data.config.p}. At the end {100 * data.accuracy[-1]:.2f} % of the pairs are right. "
        f"Proven: every pair looked at {100 * data.proven.exhaustive[-1]:.2f} %, {ends}, energy "
        f"{100 * data.proven.energy[-1]:.1f} %."
    )
    return caption(figure, title or default, alt)


@styled
def price_of_proof(data: Priced, title: str = "") -> Figure:
    """Proven accuracy against the operations of the proof, and how the two costs grow with p.

    Args:
        data: one network and its proofs.
        title: what the figure shows.

    Source: Gross et al. 2024, arXiv 2406.11779 (length of a proof against its bound, for max-of-K).
    """
    figure, (row,) = new_figure(1, 3, height=3.5, width=7.4, width_ratios=[1.2, 0.8, 1.2])
    _draw_bounds(row[0], row[1], data)
    _draw_growth(row[2], data.config.d_mlp)
    ratio = float(data.flops[0] / data.flops[-1])
    default = (
        f"Reading the weights costs {ratio:.1f} times less than trying all pairs"
        if ratio > 1
        else f"So few numbers, so many neurons: all pairs cost {1 / ratio:.1f} times less"
    )
    told = ", ".join(
        f"{name} {100 * value:.1f} % for {flops / 1e6:.0f} MFLOP"
        for name, value, flops in zip(data.methods, data.lower, data.flops, strict=True)
    )
    alt = (
        f"Quadratic network, p = {data.config.p}, {data.config.d_mlp} neurons, right on "
        f"{100 * data.accuracy:.2f} % of the pairs. Proven: {told}."
    )
    return caption(figure, title or default, alt)


def _draw_bounds(proven: Axes, cost: Axes, data: Priced) -> None:
    """A row for each proof: what it establishes, and what it takes."""
    place, colours = np.arange(len(data.methods))[::-1], _colours(data)
    for axes, values, unit in ((proven, 100 * data.lower, " %"), (cost, data.flops / 1e6, " M")):
        axes.barh(place, rounded(values), color=colours, height=0.36)
        axes.set(xlim=(0, 1.02 * float(values.max(initial=1.0))), ylim=(-0.4, len(place) - 0.2))
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        for y, value, method in zip(place, values, data.methods, strict=True):
            text = f"{value:.3g}{unit}"
            axes.annotate(f"{method}: {text}" if axes is proven else text, (0, y), (0, 8),
                          textcoords="offset points", fontsize=8.5)  # fmt: skip
    proven.set_title(f"p = {data.config.p}: pairs proven right", fontsize=9)
    cost.set_title("operations", fontsize=9)


def _colours(data: Priced) -> list[str]:
    return [VERMILLION if method == "weights" else BLUE for method in data.methods]


def _draw_growth(axes: Axes, d_mlp: int) -> None:
    every = np.array([flops_pair_forward(p, d_mlp) for p in PRIMES], np.float64)
    weights = np.array([flops_weights(p, d_mlp) for p in PRIMES], np.float64)
    for values, colour, text in ((every, BLUE, "all pairs"), (weights, VERMILLION, "weights")):
        axes.plot(PRIMES, rounded(values), color=colour, marker="o", markersize=3)
        axes.annotate(text, (PRIMES[-2], values[-2]), (-6, 4), textcoords="offset points",
                      ha="right", color=colour, fontsize=9)  # fmt: skip
    log_axis(axes, "x", PRIMES)
    axes.set_yscale("log")
    axes.set(xlabel="modulus p", xlim=(20, 480))
    axes.set_title(f"operations, {d_mlp} neurons", fontsize=9)
