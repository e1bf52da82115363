"""How features share the hidden space: interference, dimensionality, coherence.

Shapes. W is [..., m, n] = [..., n_hidden, n_features]: feature i is the column w_i = W[..., :, i]
and ŵ_i its direction w_i / |w_i|. Leading axes (cells of a sweep) pass through every function.

Conventions. A zero column has no direction; it contributes 0 everywhere, so that padding a sweep
with zero columns or rows changes nothing (`dims_per_feature` alone counts rows). A feature is
*represented* when its norm exceeds a threshold, 0.5 unless told. No result is NaN for finite
W (below 1e18, where squares overflow float32), and gradients are finite where values are. W must be
a finite array of real numbers with at least two axes; anything else raises `ConfigError` (under a
JAX trace only shape and type can be checked).

Sources: TMS is Elhage et al. 2022, "Toy Models of Superposition"; Welch 1974, "Lower bounds on the
maximum cross correlation of signals"; Benedetto and Fickus 2003, "Finite normalized tight frames".
"""

from __future__ import annotations

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.core import Tracer
from jax.typing import ArrayLike

from toylab.analysis.arguments import Numbers, integer, real, weights
from toylab.analysis.columns import columns, products, ratio, root, without_diagonal
from toylab.config import Rule

__all__ = [
    "REPRESENTED",
    "Coherence",
    "capacity",
    "coherence",
    "dims_per_feature",
    "feature_coherence",
    "feature_dimensionality",
    "feature_interference",
    "frame_potential",
    "gram",
    "interference",
    "interference_floor",
    "leverage",
    "mean_interference",
    "n_represented",
    "represented",
    "welch_bound",
]

REPRESENTED = 0.5
"""The norm above which a feature counts as represented: half of what reads it out in full."""


class Coherence(NamedTuple):
    """Mutual coherence of the represented features.

    Attributes:
        mean: [...] mean of |cos| over pairs of different features, in [0, 1].
        max: [...] the largest |cos|, in [0, 1]; at least the Welch bound of as many features.
    """

    mean: jax.Array
    max: jax.Array


def gram(W: Numbers) -> jax.Array:
    """Inner products of the features, G = WᵀW: G_ij is what output i receives from input j.

    Args:
        W: [..., m, n].

    Returns:
        [..., n, n], symmetric, positive semidefinite, of rank at most m.

    Source: TMS, "Demonstrating superposition" (the WᵀW panels).
    Example: W = [[1, -1]] gives [[1, -1], [-1, 1]].
    """
    array = weights(W)
    return products(array, array)


def interference(W: Numbers) -> jax.Array:
    """What features write into each other's outputs: G = WᵀW with the diagonal set to 0.

    Args:
        W: [..., m, n].

    Returns:
        [..., n, n], symmetric; 0 everywhere iff the features are orthogonal.

    Example: W = [[1, -1]] gives [[0, -1], [-1, 0]].
    """
    return without_diagonal(gram(W))


def feature_interference(W: Numbers) -> jax.Array:
    """How much of the other features lies along each one: I_i = √(Σ_{j≠i} (ŵ_i·w_j)²).

    TMS colours features by the square of this number; published reproductions by the number itself,
    as here. To compare it with the Welch bound see `interference_floor`.

    Args:
        W: [..., m, n].

    Returns:
        [..., n], at least 0 and 0 for a zero column; √(n - 1) for n equal unit columns.

    Source: TMS, "Demonstrating superposition"; ARENA 2.0, part 7, for the square root.
    Example: a unit triangle in the plane has I_i = √(2·cos²120°) = 0.7071.
    """
    return _feature_interference(weights(W))


def mean_interference(W: Numbers, threshold: float = REPRESENTED) -> jax.Array:
    """Mean of `feature_interference` over the represented features; 0 when there is none.

    Args:
        W: [..., m, n].
        threshold: norm above which a feature counts as represented.

    Returns:
        [...], at least 0.

    Example: a unit pentagon has √(2·cos²72° + 2·cos²144°) = √1.5 = 1.2247.
    """
    return _mean_over(feature_interference(W), represented(W, threshold))


def feature_dimensionality(W: Numbers) -> jax.Array:
    """The share of a dimension that each feature has for itself: D_i = |w_i|² / Σ_j (ŵ_i·w_j)².

    The sum runs over all features, i included. Σ_i D_i ≤ rank W ≤ m for every W (see `leverage`),
    with equality iff every w_i is an eigenvector of WWᵀ: orthogonal blocks of tight frames.

    Args:
        W: [..., m, n].

    Returns:
        [..., n] in [0, 1]; 1 iff orthogonal to all others, 0 for a zero column.

    Source: TMS, "The geometry of superposition".
    Example: equal norms give 1/2 in a digon, 2/3 in a triangle, 2/5 in a pentagon.
    """
    return _feature_dimensionality(weights(W))


def capacity(W: Numbers) -> jax.Array:
    """C_i = (w_i·w_i)² / Σ_j (w_i·w_j)², algebraically the same number as `feature_dimensionality`.

    Dividing both sides of the fraction by |w_i|² gives D_i, so one is computed as the other.

    Args:
        W: [..., m, n].

    Returns:
        [..., n] in [0, 1].

    Source: Scherlis et al. 2022, "Polysemanticity and capacity in neural networks".
    """
    return feature_dimensionality(W)


def leverage(W: Numbers) -> jax.Array:
    """The ceiling of each D_i: the leverage score w_iᵀ(WWᵀ)⁺w_i, which sums to rank W.

    With F = WWᵀ and u = ŵ_i, D_i = |w_i|² / uᵀFu ≤ |w_i|² uᵀF⁺u by Cauchy-Schwarz in the range of
    F. The gap is what a feature loses because its surroundings are not a tight frame.

    Args:
        W: [..., m, n]. Singular values below max(m, n)·eps of the largest count as 0.

    Returns:
        [..., n] in [0, 1], summing to rank W.

    Example: [[1, 2]] gives [1/5, 4/5], and D is the same: one dimension is always tight.
    """
    return _leverage(weights(W))


def represented(W: Numbers, threshold: float = REPRESENTED) -> jax.Array:
    """Which features the model keeps: |w_i| > threshold.

    Args:
        W: [..., m, n].
        threshold: a norm, at least 0.

    Returns:
        bool [..., n].

    Raises:
        ConfigError: `threshold=-1: must be in [0, inf]`.
    """
    if not isinstance(threshold, Tracer):
        real("threshold", threshold, Rule("float", low=0.0))
    return columns(weights(W)).norm > threshold


def n_represented(W: Numbers, threshold: float = REPRESENTED) -> jax.Array:
    """How many features the model keeps.

    Args:
        W: [..., m, n].
        threshold: norm above which a feature counts as represented.

    Returns:
        int [...] in 0..n.

    Example: [[1, 0, 0.5], [0, -2, 0]] keeps 2; a norm of exactly 0.5 does not count.
    """
    return represented(W, threshold).sum(-1)


def dims_per_feature(W: Numbers, n_hidden: ArrayLike | None = None) -> jax.Array:
    """Hidden dimensions per represented feature, D* = m / |W|²_F.

    Its inverse is "features per dimension".

    Args:
        W: [..., m, n].
        n_hidden: m, when W is padded with zero rows: a number, or one for each matrix [...].

    Returns:
        [...], above 0; about 1 without superposition, 1/2 in antipodal pairs, inf for W = 0.

    Source: TMS, "The geometry of superposition" (the figure of sticky dimensions per feature).
    Example: [[1, -1]] gives 1/2.
    """
    array = weights(W)
    m = jnp.asarray(array.shape[-2] if n_hidden is None else n_hidden, array.dtype)
    return m / jnp.square(array).sum((-2, -1))


def feature_coherence(W: Numbers, threshold: float = REPRESENTED) -> jax.Array:
    """Each feature's closest neighbour: max_{j≠i} |ŵ_i·ŵ_j| over the represented features.

    Its largest entry is at least `welch_bound(n_represented, m)`.

    Args:
        W: [..., m, n].
        threshold: norm above which a feature counts as represented.

    Returns:
        [..., n] in [0, 1]; 0 for a feature that is not represented or is alone.

    Example: every vertex of a pentagon has cos 36° = 0.8090, its neighbour but one reversed.
    """
    return _cosines(W, threshold).max(-1)


def coherence(W: Numbers, threshold: float = REPRESENTED) -> Coherence:
    """Mean and largest |ŵ_i·ŵ_j| over pairs of represented features; 0 for fewer than two.

    Coherence is not recoverability: an antipodal pair has coherence 1 and a ReLU tells it apart.

    Args:
        W: [..., m, n].
        threshold: norm above which a feature counts as represented.

    Returns:
        Coherence(mean [...], max [...]), both in [0, 1].

    Source: Welch 1974 for the bound on `max`.
    Example: a unit triangle has mean = max = 1/2, the Welch bound of 3 vectors in the plane.
    """
    cosines = _cosines(W, threshold)
    n_kept = n_represented(W, threshold)
    n_pairs = jnp.maximum(n_kept * (n_kept - 1), 1)
    return Coherence(mean=cosines.sum((-2, -1)) / n_pairs, max=cosines.max((-2, -1)))


def frame_potential(W: Numbers, threshold: float = REPRESENTED) -> jax.Array:
    """Σ_ij cos²(ŵ_i, ŵ_j) over the represented features, i = j included.

    With k represented features it is at least k²/m, with equality iff they form a tight frame.

    Args:
        W: [..., m, n].
        threshold: norm above which a feature counts as represented.

    Returns:
        [...] in [max(k, k²/m), k²].

    Source: Benedetto and Fickus 2003, on the minimisers of the frame potential.
    Example: a pentagon is tight: 5²/2 = 12.5.
    """
    return jnp.square(_cosines(W, threshold)).sum((-2, -1)) + n_represented(W, threshold)


def welch_bound(n_features: int, n_hidden: int) -> float:
    """The least possible largest |cos| among n directions in m dimensions: √((n-m) / (m(n-1))).

    Attained iff all |cos| are equal in a tight frame, as in a simplex (n = m + 1: 1/m). It bounds
    `coherence(W).max` and the largest entry of `feature_coherence(W)`.

    Args:
        n_features: n, at least 1.
        n_hidden: m, at least 1.

    Returns:
        A float in [0, 1); 0 for n ≤ m, where orthogonal directions fit.

    Raises:
        ConfigError: `n_features=0: must be an integer >= 1`, and so for n_hidden.

    Source: Welch 1974, the case k = 1.
    Example: welch_bound(3, 2) = 0.5, welch_bound(5, 2) = √(3/8) = 0.6124.
    """
    n, m = integer("n_features", n_features, 1), integer("n_hidden", n_hidden, 1)
    return math.sqrt((n - m) / (m * (n - 1))) if n > m else 0.0


def interference_floor(n_features: int, n_hidden: int) -> float:
    """The least possible root mean square of `feature_interference`: √((n-m)/m) for unit columns.

    It equals √(n-1) times the Welch bound, since feature i meets n - 1 others; attained iff the
    columns form a tight frame.

    Args:
        n_features: n, the number of unit columns, at least 1.
        n_hidden: m, at least 1.

    Returns:
        A float, at least 0; 0 for n ≤ m.

    Raises:
        ConfigError: as `welch_bound`.

    Source: the frame potential bound n²/m (Benedetto and Fickus 2003), less its n diagonal terms.
    Example: five features in the plane: √(3/2) = 1.2247, attained by the pentagon.
    """
    bound = welch_bound(n_features, n_hidden)
    return bound * math.sqrt(n_features - 1)


def _cosines(W: Numbers, threshold: float) -> jax.Array:
    """|cos| between different represented features [..., n, n], 0 elsewhere."""
    return _absolute_cosines(columns(weights(W)).unit, represented(W, threshold))


@jax.jit
def _feature_interference(array: jax.Array) -> jax.Array:
    parts = columns(array)
    shares = jnp.square(without_diagonal(products(parts.unit, parts.scaled)))
    return parts.scale * root(shares.sum(-1))


@jax.jit
def _feature_dimensionality(array: jax.Array) -> jax.Array:
    parts = columns(array)
    shares = jnp.square(products(parts.unit, parts.scaled))
    return ratio(jnp.diagonal(shares, axis1=-2, axis2=-1), shares.sum(-1))


@jax.jit
def _leverage(array: jax.Array) -> jax.Array:
    _, values, right = jnp.linalg.svd(array, full_matrices=False)
    floor = max(array.shape[-2:]) * jnp.finfo(array.dtype).eps * values[..., :1]
    return jnp.where((values > floor)[..., None], jnp.square(right), 0.0).sum(-2)


@jax.jit
def _absolute_cosines(unit: jax.Array, kept: jax.Array) -> jax.Array:
    unit = jnp.where(kept[..., None, :], unit, 0.0)
    return jnp.minimum(jnp.abs(without_diagonal(products(unit, unit))), 1.0)


@jax.jit
def _mean_over(values: jax.Array, kept: jax.Array) -> jax.Array:
    return jnp.where(kept, values, 0.0).sum(-1) / jnp.maximum(kept.sum(-1), 1)
