"""What the pictures of one trained model show, as numbers: measured once, drawn anywhere.

The printed figure and the page draw the same portrait, each in its own way.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike, NDArray

from toylab.analysis.polytopes import Polytope, name_polytope
from toylab.analysis.superposition import (
    REPRESENTED,
    feature_coherence,
    feature_dimensionality,
    feature_interference,
    gram,
    interference_floor,
    welch_bound,
)

__all__ = ["FRACTIONS", "NEAR", "Portrait", "edges", "place", "portrait", "starts_near_best"]

NEAR = 0.01
"""A start whose loss is within this share of the best has found the same geometry, as a rule."""

FRACTIONS = (
    (1.0, "1", "alone"),
    (3 / 4, "3/4", "tetrahedron"),
    (2 / 3, "2/3", "triangle"),
    (1 / 2, "1/2", "digon"),
    (2 / 5, "2/5", "pentagon"),
    (3 / 8, "3/8", "antiprism"),
)
"""The dimensionality of a feature in regular arrangements: dimensions over features, by name."""

Floats = NDArray[np.float64]


class Portrait(NamedTuple):
    """One model of n features in m dimensions.

    Attributes:
        points: [n, 3], where each feature lies in the picture, with its depth (`place`).
        edges: pairs of features that the picture joins (`edges`).
        gram: [n, n], WᵀW.
        bias: [n].
        norm: [n], |w_i|.
        represented: bool [n], whether the norm exceeds 0.5.
        interference: [n], √(Σ_{j≠i} (ŵ_i·w_j)²).
        interference_floor: the least root mean square of `interference` over k vectors that are at
            least as long as the shortest represented one: its length times √(k-1) times the Welch
            bound.
        coherence: [n], the largest |cos| with another represented feature.
        welch: the least possible maximum of `coherence`: the Welch bound of k vectors.
        dimensionality: [n], |w_i|² / Σ_j (ŵ_i·w_j)².
        polytope: the shape that the represented features form, and its name.
    """

    points: Floats
    edges: tuple[tuple[int, int], ...]
    gram: Floats
    bias: Floats
    norm: Floats
    represented: NDArray[np.bool_]
    interference: Floats
    interference_floor: float
    coherence: Floats
    welch: float
    dimensionality: Floats
    polytope: Polytope

    @property
    def n_represented(self) -> int:
        """How many features the model keeps."""
        return int(self.represented.sum())


def portrait(W: ArrayLike, b: ArrayLike) -> Portrait:
    """Measure one model.

    Args:
        W: [m, n], finite. b: [n].

    Returns:
        Portrait, all arrays float64.

    Raises:
        ConfigError: W is not one finite matrix.

    Example: W = [[1, -1]] has dimensionality [1/2, 1/2], both coherences 1, and is a digon.
    """
    array = np.asarray(W, np.float64)
    polytope = name_polytope(array)
    m, n = array.shape
    products, interference, coherence, dimensionality = (
        np.asarray(part, np.float64) for part in _measures(_padded(array))
    )
    norm = np.linalg.norm(array, axis=0)
    kept = norm > REPRESENTED
    count = max(int(kept.sum()), 1)
    return Portrait(
        points=place(array),
        edges=edges(array),
        gram=products[:n, :n],
        bias=np.asarray(b, np.float64),
        norm=norm,
        represented=kept,
        interference=interference[:n],
        interference_floor=float(norm[kept].min(initial=np.inf)) * interference_floor(count, m)
        if kept.any()
        else 0.0,
        coherence=coherence[:n],
        welch=welch_bound(count, m),
        dimensionality=dimensionality[:n],
        polytope=polytope,
    )


def starts_near_best(losses: ArrayLike, tolerance: float = NEAR) -> int:
    """How many starts ended within a share `tolerance` of the least loss.

    Args:
        losses: [n_starts]; NaN and infinities count as diverged.
        tolerance: at least 0.

    Returns:
        0..n_starts; 0 only when every start diverged.

    Example: [1, 1.005, 1.5] gives 2.
    """
    ends = np.asarray(losses, np.float64).ravel()
    ends = ends[np.isfinite(ends)]
    return int((ends <= (1 + tolerance) * ends.min(initial=np.inf)).sum())


def place(W: ArrayLike) -> Floats:
    """Where the columns of W [m, n] go in a picture, with their depth: [n, 3].

    One and two dimensions as they are. Three: in parallel projection, turned so that the principal
    direction whose spread stands apart (an axis of symmetry, if there is one) points up. More than
    three: along the first two principal directions of the columns, depth 0.

    Args:
        W: [m, n].
    """
    array = np.asarray(W, np.float64)
    m, n = array.shape
    points = np.zeros((n, 3))
    if m <= 2:
        points[:, :m] = array.T
        return points
    left, spread, _ = np.linalg.svd(array, full_matrices=True)
    if m > 3:
        points[:, :2] = (left[:, :2].T @ array).T
        return points
    spread = np.pad(spread, (0, 3 - len(spread)))
    apart = 0 if abs(spread[0] - spread[1]) > abs(spread[1] - spread[2]) else 2
    order = [k for k in range(3) if k != apart] + [apart]
    return (_camera() @ left[:, order].T @ array).T


def edges(W: ArrayLike) -> tuple[tuple[int, int], ...]:
    """Which represented features a picture joins: neighbours by angle (m = 2) or distance (m = 3).

    Args:
        W: [m, n].

    Returns:
        Pairs of feature indices; none for fewer than three features, or unless m is 2 or 3.
    """
    array = np.asarray(W, np.float64)
    kept = np.flatnonzero(np.linalg.norm(array, axis=0) > REPRESENTED)
    if len(kept) < 3 or len(array) not in (2, 3):
        return ()
    if len(array) == 2:
        turn = kept[np.argsort(np.arctan2(array[1, kept], array[0, kept]), kind="stable")]
        return tuple(zip(turn.tolist(), np.roll(turn, -1).tolist(), strict=True))
    gaps = np.linalg.norm(array[:, kept, None] - array[:, None, kept], axis=0)
    shortest = gaps[gaps > 0.1].min(initial=np.inf)
    near = np.argwhere((gaps > 0.1) & (gaps < 1.2 * shortest))
    return tuple((int(kept[i]), int(kept[j])) for i, j in near if i < j)


def _camera(turn: float = 0.35, rise: float = 0.45) -> Floats:
    """Rows: right, up and towards the viewer, of a camera turned and raised by so many radians."""
    c, s, cr, sr = np.cos(turn), np.sin(turn), np.cos(rise), np.sin(rise)
    return np.array([[c, s, 0.0], [-s * sr, c * sr, cr], [s * cr, -c * cr, sr]])


@jax.jit
def _measures(W: jax.Array) -> tuple[jax.Array, ...]:
    return gram(W), feature_interference(W), feature_coherence(W), feature_dimensionality(W)


def _padded(W: Floats) -> jax.Array:
    """W with zero rows and columns, which change no measure: one compile serves many sizes."""
    m, n = W.shape
    return jnp.asarray(np.pad(W, ((0, -m % 8), (0, -n % 32))), jnp.float32)
