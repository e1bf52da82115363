"""What many starts reveal: how often one suffices, and where one geometry overtakes another."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from toylab.analysis.portrait import NEAR
from toylab.figures.cells import density_of, extremes, sweep_of
from toylab.figures.geometry import draw_models
from toylab.figures.palette import BLUE, CATEGORIES, MUTED, VERMILLION, rounded
from toylab.figures.style import blank_figure, caption, log_axis, new_figure, styled

if TYPE_CHECKING:
    from toylab.experiments.superposition import SuperpositionResult

__all__ = ["Branches", "density_of_one_feature", "geometry_crossing", "success_rate", "wilson"]


class Branches(NamedTuple):
    """Single starts over a line of densities.

    Attributes:
        n_features: n of the model; two geometries are told apart by whether they keep all of them.
        n_hidden: m of the model.
        density: [d], increasing.
        losses: [starts, d], exact loss at the end of each start.
        kept: int [starts, d], features represented there.
    """

    n_features: int
    n_hidden: int
    density: NDArray[np.float64]
    losses: NDArray[np.float64]
    kept: NDArray[np.int64]

    def best(self, kept: int) -> NDArray[np.float64]:
        """The least loss among starts that keep so many features, [d]; NaN where there is none."""
        chosen = np.where(self.kept == kept, self.losses, np.inf).min(axis=0, initial=np.inf)
        return np.where(np.isfinite(chosen), chosen, np.nan)

    def crossing(self) -> float:
        """The density at which keeping all features and dropping one cost the same; NaN if nowhere.

        The difference of the two least losses is interpolated where it first changes its sign.
        """
        gap = self.best(self.n_features) - self.best(self.n_features - 1)
        both = np.isfinite(gap)
        density, gap = np.asarray(self.density)[both], gap[both]
        changes = np.flatnonzero((gap[:-1] <= 0) & (gap[1:] > 0))
        if not len(changes):
            return float("nan")
        i = int(changes[0])
        return float(density[i] - gap[i] * (density[i + 1] - density[i]) / (gap[i + 1] - gap[i]))


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """The 95 % interval of a rate, after Wilson (1927); (0, 1) without trials.

    Worked value: 5 of 100 give 0.0215 to 0.1118.
    """
    if trials == 0:
        return 0.0, 1.0
    z, rate = 1.959964, successes / trials
    middle = (rate + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z / (1 + z * z / trials) * np.sqrt(rate * (1 - rate) / trials + (z / (2 * trials)) ** 2)
    return float(max(middle - half, 0.0)), float(min(middle + half, 1.0))


@styled
def success_rate(result: SuperpositionResult, title: str = "") -> Figure:
    """How often a single start comes within 1 % of the best of all, and where the others end.

    Left, the share of starts with its 95 % Wilson interval. Right, the excess of every start over
    the best, at each density: the levels are local minima with geometries of their own.

    Args:
        result: of `solve` or `run` with many starts, at one density or over several.
        title: what the figure shows.
    """
    sweep = sweep_of(result)
    losses = np.asarray(result.start_losses, dtype=np.float64).reshape(len(sweep.cells), -1)
    density = rounded([density_of(cell.config) for cell in sweep.cells])
    best = np.array([extremes(ends)[0] or np.nan for ends in losses])[:, None]
    excess = rounded(100.0 * (losses / best - 1.0))
    hits, trials = np.sum(excess <= 100.0 * NEAR, axis=1), losses.shape[1]
    rates = rounded(100.0 * hits / trials)
    bounds = 100.0 * np.array([wilson(int(hit), trials) for hit in hits])
    figure, (row,) = new_figure(1, 2, height=3.6)
    left, right = row
    left.errorbar(density, rates, yerr=np.abs(rounded(bounds).T - rates), fmt="o", color=BLUE,
                  capsize=2.5, linewidth=1.2)
    left.set(ylabel="starts within 1 % of the best (%)", xlabel="density",
             ylim=(0, 1.08 * max(float(bounds.max()), 1.0)))
    log_axis(left, "x", density)
    left.margins(x=0.1)
    rank = rounded(100.0 * np.arange(1, trials + 1) / trials)
    for i in np.unique(np.linspace(0, len(density) - 1, min(len(density), 5)).astype(int)):
        right.plot(rank, np.sort(excess[i]), color=CATEGORIES[i % len(CATEGORIES)],
                   drawstyle="steps-post", label=f"density {density[i]:.3g}")
    top = min(max(1.05 * extremes(excess)[1], 1.0), 60.0)
    right.set(ylabel="loss above the best (%)", xlabel="starts, from best to worst (%)",
              ylim=(-0.03 * top, top))
    figure.legend(*right.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    config = sweep.cells[0].config
    default = (f"{config.n_features} features in {config.n_hidden}: {rates.min():.0f} to "
               f"{rates.max():.0f} % of single starts find the best")
    told = ", ".join(f"{rate:.0f} %" for rate in rates)
    alt = (f"Rates over density {density.min():.3g} to {density.max():.3g}, {trials} starts each: "
           f"{told}.")
    return caption(figure, title or default, alt)


@styled
def geometry_crossing(data: Branches, title: str = "") -> Figure:
    """Loss of two geometries against density: keep all features, or drop one and share better.

    Left, each dot is the end of one start; the lines are the best of either kind, relative to the
    better of the two, so they meet at 0 where the geometries cost the same. Right, how many of the
    starts end in either.

    Args:
        data: single starts over a line of densities.
        title: what the figure shows; by default where the two cross.

    Source: Elhage et al. 2022, section 5, for the branches of the loss.
    """
    n, density, crossing = data.n_features, rounded(data.density), data.crossing()
    figure, (row,) = new_figure(1, 2, height=3.7)
    left, right = row
    floor = np.array([extremes(column)[0] or np.nan for column in data.losses.T])
    lines, trials = [], len(data.losses)
    for kept, colour, label in ((n, BLUE, f"all {n} kept"), (n - 1, VERMILLION, "one dropped")):
        line, mine = rounded(100.0 * (data.best(kept) / floor - 1.0)), data.kept == kept
        lines.append(line)
        left.plot(density, line, color=colour, label=label)
        left.scatter(np.broadcast_to(density, mine.shape)[mine],
                     rounded(100.0 * (data.losses / floor - 1.0)[mine]), s=9, color=colour,
                     alpha=0.45, linewidths=0)
        right.plot(density, rounded(100.0 * mine.sum(axis=0) / trials), color=colour, marker="o")
    top = 1.4 * max(0.5, extremes(lines)[1])
    left.set(xlabel="density", ylabel="loss above the best (%)", ylim=(-0.04 * top, top))
    right.set(xlabel="density", ylabel=f"of {trials} starts end there (%)", ylim=(-3, 103))
    if np.isfinite(crossing):
        left.axvline(rounded(crossing), color=MUTED, linewidth=0.9, linestyle="--", zorder=0)
        left.annotate(f"p* = {crossing:.4f}", (crossing, 0.98), (4, 0), va="top", fontsize=9,
                      xycoords=("data", "axes fraction"), textcoords="offset points")
    for axes in row:
        axes.xaxis.set_major_locator(MaxNLocator(5))
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    where = f"at density {crossing:.3f}" if np.isfinite(crossing) else "nowhere in this range"
    default = f"{n} features in {data.n_hidden}: the best geometry changes {where}"
    alt = (f"Excess loss of two geometries over density {density.min():.3g} to "
           f"{density.max():.3g}; they cost the same {where}.")
    return caption(figure, title or default, alt)


@styled
def density_of_one_feature(result: SuperpositionResult, title: str = "") -> Figure:
    """The geometry as the density of the first feature alone departs from that of the others.

    Above, the norm of each feature against the first one's density relative to the others': smooth
    deformation, then a jump. Below, four of the models.

    Args:
        result: a sweep over per-feature sparsities whose first entry varies.
        title: what the figure shows.

    Source: Elhage et al. 2022, section 5, "Non-uniform superposition".
    """
    sweep = sweep_of(result)
    ratio = rounded([cell.config.density[0] / cell.config.density[-1] for cell in sweep.cells])
    norms = rounded([np.linalg.norm(cell.W, axis=0) for cell in sweep.cells])
    figure = blank_figure(5.0)
    above, below = np.atleast_1d(np.asarray(figure.subfigures(2, 1, height_ratios=[1.5, 1])))
    axes = above.subplots()
    axes.plot(ratio, norms[:, 1:], color=BLUE, linewidth=1.0, marker=".", markersize=4)
    axes.plot(ratio, norms[:, 0], color=VERMILLION, marker="o", markersize=4)
    axes.lines[-1].set_label("the varied feature")
    axes.lines[0].set_label("the others")
    log_axis(axes, "x", ratio)
    axes.set(xlabel="density of the first feature / density of the others", ylabel="norm",
             ylim=(-0.05, None))
    axes.legend(loc="lower right")
    jump = int(np.argmax(np.abs(np.diff(norms[:, 0])))) if len(ratio) > 1 else 0
    chosen = sorted({0, jump, min(jump + 1, len(ratio) - 1), len(ratio) - 1})
    colours = [VERMILLION, *[BLUE] * (norms.shape[1] - 1)]
    draw_models(list(below.subplots(1, 4)),
                [sweep.cells[i]._replace(label=f"× {ratio[i]:.3g}") for i in chosen], colours)
    config = sweep.cells[0].config
    default = (f"{config.n_features} features in {config.n_hidden}: the jump lies between × "
               f"{ratio[jump]:.3g} and × {ratio[min(jump + 1, len(ratio) - 1)]:.3g}")
    alt = (f"Norm of the varied feature from {norms[0, 0]:.2f} at relative density {ratio[0]:.3g} "
           f"to {norms[-1, 0]:.2f} at {ratio[-1]:.3g}.")
    return caption(figure, title or default, alt)
