"""How nearly orthogonal random directions are: what leaves room for superposition."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from toylab.analysis.packing import cosine_density, max_cosine_quantile, packing_dimensions
from toylab.analysis.superposition import welch_bound
from toylab.figures.palette import BLUE, CATEGORIES, MUTED, ORANGE, VERMILLION, rounded
from toylab.figures.style import caption, log_axis, new_figure, styled

__all__ = ["RandomDirections", "random_directions"]

BINS = 60


class RandomDirections(NamedTuple):
    """Cosines between random directions in spaces of several dimensions.

    Attributes:
        n_features: how many directions in each space.
        n_hidden: int [d], the dimensions, increasing.
        cosines: [d, n(n-1)/2], one for each pair.
    """

    n_features: int
    n_hidden: NDArray[np.int64]
    cosines: NDArray[np.floating]


@styled
def random_directions(data: RandomDirections, title: str = "") -> Figure:
    """The cosines of random directions, and the largest of them against what is possible at all.

    Left, histograms with the exact density Γ(d/2) / (√π Γ((d-1)/2)) (1-c²)^((d-3)/2). Right, the
    largest |cos| of all pairs: the line through it is its median in theory, above lies what the
    Johnson-Lindenstrauss argument guarantees, below the Welch bound, which nothing can beat.

    Args:
        data: the cosines.
        title: what the figure shows.
    """
    figure, (row,) = new_figure(1, 2, height=3.9)
    left, right = row
    count = len(data.n_hidden)
    shown = np.unique(np.linspace(0, count - 1, min(4, count)).astype(int))
    for index, colour in zip(shown, CATEGORIES, strict=False):
        d, cosines = int(data.n_hidden[index]), np.asarray(data.cosines[index], dtype=np.float64)
        edges = np.linspace(-1, 1, BINS + 1) * min(1.0, 5.0 / np.sqrt(d))
        share = np.histogram(cosines, edges)[0] / max(cosines.size, 1) / np.diff(edges)
        left.stairs(rounded(share), edges, color=colour, linewidth=1.2, label=f"{d} dimensions")
        if d >= 3:
            at = np.linspace(-1, 1, 401)
            left.plot(at, rounded(cosine_density(at, d)), color=MUTED, linewidth=0.8,
                      linestyle="--")
    left.plot([], [], color=MUTED, linewidth=0.8, linestyle="--", label="exact density")
    left.set(xlabel="cosine of two random directions", ylabel="density", xlim=(-1, 1),
             ylim=(0, None))
    n, dims = data.n_features, np.asarray(data.n_hidden)
    largest = rounded(np.max(np.abs(data.cosines), axis=1))
    line = np.unique(np.geomspace(max(dims.min(), 2), max(dims.max(), 3), 60).round().astype(int))
    # The largest |cos| of n directions is the largest cosine among them and their opposites.
    medians = [float(max_cosine_quantile(2 * n, int(d), 0.5)) for d in line]
    # packing_dimensions is c/ε², so the ε that it grants in d dimensions is sqrt(c/d).
    guaranteed = 0.5 * np.sqrt(packing_dimensions(n, 0.5) / line)
    right.plot(line, rounded(np.minimum(guaranteed, 1.0)), color=ORANGE, label="guaranteed (JL)")
    right.plot(line, rounded(medians), color=BLUE, linewidth=1.0, label="random, in theory")
    right.plot(dims, largest, color=BLUE, linestyle="", marker="o", label="random, drawn")
    right.plot(line, rounded([welch_bound(n, int(d)) for d in line]), color=VERMILLION,
               linestyle="--", label="Welch bound")
    log_axis(right, "x", dims)
    right.set(xlabel="dimensions", ylabel=f"largest |cos| of {n} directions", ylim=(0, 1.04))
    for axes in row:
        axes.legend(loc="upper center", bbox_to_anchor=(0.45, -0.17), ncols=2, columnspacing=1.0,
                    handlelength=1.5, fontsize=8)
    default = f"{n} random directions in {dims.max()} dimensions: no |cos| above {largest[-1]:.2f}"
    alt = "Largest |cos|: " + ", ".join(
        f"{value:.3f} in {d} dimensions" for d, value in zip(dims, largest, strict=True)) + "."
    return caption(figure, title or default, alt)
