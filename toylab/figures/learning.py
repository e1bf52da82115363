"""What happens during training, and what superposition costs afterwards under attack."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from toylab.analysis.portrait import FRACTIONS
from toylab.analysis.superposition import feature_dimensionality
from toylab.figures.cells import extremes
from toylab.figures.palette import BLUE, MUTED, ORANGE, VERMILLION, rounded
from toylab.figures.style import caption, log_axis, new_figure, styled

if TYPE_CHECKING:
    from toylab.experiments.superposition import SuperpositionConfig

__all__ = ["Attacks", "Learning", "learning_curves", "vulnerability"]

LEVELS = 4  # the fractions 1, 3/4, 2/3 and 1/2, where features rest during training


class Learning(NamedTuple):
    """One training, looked at from time to time.

    Attributes:
        config: what was trained.
        step: int [r], steps done.
        W: [r, n_hidden, n_features].
        loss: [r], on one set of held-out examples.
    """

    config: SuperpositionConfig
    step: NDArray[np.int64]
    W: NDArray[np.floating]
    loss: NDArray[np.float64]


class Attacks(NamedTuple):
    """Models over a line of densities under small attacks on their inputs.

    Attributes:
        density: [d].
        features_per_dim: [d], |W|²/m.
        rise: [d], the rise of the loss under the worst attack, over that of the linear model.
    """

    density: NDArray[np.float64]
    features_per_dim: NDArray[np.float64]
    rise: NDArray[np.float64]


@styled
def learning_curves(data: Learning, title: str = "") -> Figure:
    """The dimensionality of each feature, and the loss, against training steps.

    Args:
        data: one training.
        title: what the figure shows.

    Source: Elhage et al. 2022, section 6, "Superposition and learning dynamics".
    """
    figure, grid = new_figure(2, 1, height=5.2, sharex=True, height_ratios=[1.8, 1])
    above, below = grid[:, 0]
    D = rounded(feature_dimensionality(data.W))
    above.plot(data.step, D, color=BLUE, linewidth=0.9, alpha=0.55)
    for level, number, shape in FRACTIONS[:LEVELS]:
        above.axhline(level, color=ORANGE, linewidth=0.8, zorder=0)
        above.annotate(f"{number} {shape}", (1.0, level), (3, 0), va="center", fontsize=8,
                       xycoords=("axes fraction", "data"), textcoords="offset points",
                       annotation_clip=False)
    above.set(ylabel="dimensionality of a feature", ylim=(-0.03, 1.08))
    below.plot(data.step, rounded(data.loss), color=VERMILLION)
    low, high = extremes(data.loss)
    below.set(xlabel="training steps", ylabel="held-out loss",
              ylim=(low - 0.05 * (high - low or 1.0), high + 0.05 * (high - low or 1.0)))
    log_axis(below, "x", data.step)
    n, m = data.config.n_features, data.config.n_hidden
    default = f"{n} features in {m} dimensions rise to their levels one by one"
    alt = (f"Dimensionality of {n} features over {int(np.max(data.step, initial=0))} steps; loss "
           f"from {high:.4g} to {low:.4g}.")
    return caption(figure, title or default, alt)


@styled
def vulnerability(data: Attacks, title: str = "") -> Figure:
    """How much more than a linear model's the loss rises under attack, against superposition.

    Left, both numbers against 1/density; right, one against the other. The dashed line is the model
    without superposition.

    Args:
        data: attacks on the models of a line.
        title: what the figure shows.

    Source: Elhage et al. 2022, section 8, "Superposition and adversarial examples".
    """
    figure, (row,) = new_figure(1, 2, height=3.4, sharey=True)
    left, right = row
    inverse, rise = rounded(1.0 / data.density), rounded(data.rise)
    features = rounded(data.features_per_dim)
    left.plot(inverse, rise, color=VERMILLION, marker="o", label="rise / linear model's")
    left.plot(inverse, features, color=BLUE, marker=".", label="features per dimension")
    log_axis(left, "x", inverse)
    left.set(xlabel="1 / density", ylabel="ratio to the linear model",
             ylim=(0, 1.3 * max(1.0, extremes([rise, features])[1])))
    left.legend(loc="upper left")
    right.scatter(features, rise, color=VERMILLION, s=22)
    right.set(xlabel="features per dimension")
    for axes in row:
        axes.axhline(1.0, color=MUTED, linewidth=0.8, linestyle="--", zorder=0)
    low, high = extremes(rise)
    default = f"Superposition makes attacks up to {high:.1f} times as effective"
    alt = (f"Rise of the loss under attack from {low:.2f} to {high:.2f} times the linear model's, "
           "with {:.2f} to {:.2f} features per dimension.".format(*extremes(features)))
    return caption(figure, title or default, alt)
