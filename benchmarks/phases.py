"""Closed forms and categories of the phase diagrams 2 -> 1 and 3 -> 2, in numpy alone.

One explicit model for each way of arranging the features (wattenberg/superposition); their minimum
is an upper bound of the optimum, with which the trained models are compared. The last feature has
relative importance r, the others 1; p is the density. Losses here are means over features.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

IGNORED, OWN_DIMENSION, SUPERPOSED = 0, 1, 2


class Phase(NamedTuple):
    """The best explicit model of each cell.

    Attributes:
        loss: its loss, mean over features.
        category: of the last feature, 0 ignored, 1 alone in a dimension, 2 in superposition.
    """

    loss: np.ndarray
    category: np.ndarray


def axes(n: int = 50) -> tuple[np.ndarray, np.ndarray]:
    """Densities from 1 to 0.01 and relative importances from 0.1 to 10, n of each, log-spaced."""
    return np.logspace(0.0, -2.0, n), np.logspace(-1.0, 1.0, n)


def closed_form(n_features: int, p: np.ndarray, r: np.ndarray) -> Phase:
    """Minimum over the explicit models of 2 -> 1 (n_features 2) or 3 -> 2 (n_features 3).

    A feature of weight w that is dropped costs w (p/3 - p^2/4); an antipodal pair of weights v and
    w costs (v + w) p^2/6.

    Args:
        n_features: 2 or 3.
        p: densities, any shape.
        r: relative importances of the last feature, the same shape.

    Returns:
        Loss and category, of the shape of p.
    """
    dropped, paired = p / 3.0 - p**2 / 4.0, p**2 / 6.0
    candidates = [(r * dropped, IGNORED), (dropped, OWN_DIMENSION), ((1 + r) * paired, SUPERPOSED)]
    if n_features == 3:
        candidates.append((2.0 * paired, OWN_DIMENSION))
    losses = np.stack([loss for loss, _ in candidates])
    categories = np.array([category for _, category in candidates])
    return Phase(losses.min(0) / n_features, categories[losses.argmin(0)])


def classify(W: np.ndarray) -> np.ndarray:
    """Category of the last feature of each model W [k, n_hidden, n_features].

    Ignored: |w| < 1/2. In superposition: sqrt(sum_j (w_hat . w_j)^2) over the other features j
        is above
    1/2. Otherwise alone in its dimension.
    """
    last, others = W[:, :, -1], W[:, :, :-1]
    norm = np.linalg.norm(last, axis=1)
    overlap = np.einsum("km,kmj->kj", last, others) / np.maximum(norm, 1e-12)[:, None]
    interference = np.linalg.norm(overlap, axis=1)
    category = np.where(interference > 0.5, SUPERPOSED, OWN_DIMENSION)
    return np.where(norm < 0.5, IGNORED, category)
