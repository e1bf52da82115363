"""Losses that are known on paper: the phases of 2→1 and 3→2, polygons, the linear model.

Conventions. p is the density, P(a feature is active); active features are uniform on [0, 1]. A loss
is the mean over examples **and features** of importance × squared error, as everywhere in toylab.
TMS and github.com/wattenberg/superposition sum over features; divide theirs by n. All is float64.

The phases are losses of explicit models, hence **upper bounds** on the best loss of each kind.
Trained models mix them near the boundaries and can be up to 14 % better.

Source: TMS, "Superposition as a phase change", and the repository above, except where stated.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy import optimize

from toylab.analysis.arguments import Numbers, integer, real, weights
from toylab.analysis.shapes import polygon
from toylab.analysis.superposition import REPRESENTED, feature_interference, represented
from toylab.config import Rule
from toylab.errors import ConfigError

__all__ = [
    "LinearOptimum",
    "Phase",
    "PhaseLosses",
    "PolygonOptimum",
    "classify_phase",
    "linear_optimum",
    "one_feature_loss",
    "phase",
    "phase_boundary",
    "phase_losses",
    "polygon_loss",
    "polygon_optimum",
]

_DENSITY = Rule("float", 0.0, 1.0, low_open=True)
_IMPORTANCE = Rule("float", low=0.0)


class Phase(IntEnum):
    """What becomes of the last feature, the one whose importance varies."""

    IGNORED = 0
    OWN_DIMENSION = 1
    SUPERPOSITION = 2


class PhaseLosses(NamedTuple):
    """The loss of the best explicit model of each phase, in the order of `Phase`.

    Attributes:
        ignored: [...] the last feature is dropped, the others have a dimension each.
        own_dimension: [...] the last feature has a dimension; another is dropped or two are paired.
        superposition: [...] the last feature and another are an antipodal pair.
    """

    ignored: np.ndarray
    own_dimension: np.ndarray
    superposition: np.ndarray


class PolygonOptimum(NamedTuple):
    """The best regular polygon for inputs with one active feature.

    Attributes:
        loss: as `polygon_loss`.
        radius: the common norm of the features.
        bias: the common bias.
    """

    loss: float
    radius: float
    bias: float


class LinearOptimum(NamedTuple):
    """The best linear model.

    Attributes:
        loss: mean over examples and features of importance × squared error.
        kept: bool [n], the features with a dimension of their own (WᵀW is 1 there, 0 elsewhere).
        bias: [n], the mean p/2 of a dropped feature, 0 for a kept one.
    """

    loss: float
    kept: np.ndarray
    bias: np.ndarray


def phase_losses(
    density: Numbers, relative_importance: Numbers, n_features: int = 2
) -> PhaseLosses:
    """Losses of the explicit models of 2→1 or 3→2 whose last feature has importance r, others 1.

    Summed over features (divide by n for the returned mean), with v = p/3 - p²/4 the variance of a
    feature, which is what dropping it costs: ignored r·v; superposition (1+r)·p²/6; own dimension v
    in 2→1 and min(v, p²/3) in 3→2, where dropping one of the others competes with pairing them.

    Args:
        density: p in (0, 1], any shape.
        relative_importance: r ≥ 0, of a shape that broadcasts with `density`.
        n_features: 2 for 2→1, 3 for 3→2.

    Returns:
        PhaseLosses of float64 arrays of the broadcast shape, each at least 0.

    Raises:
        ConfigError: `density=0: must be in (0, 1]`, and so on; the shapes do not broadcast.

    Example: 2→1 at p = r = 1: dropping costs 1/24 = 0.0417, the antipodal pair 1/6 = 0.1667.
    """
    p, r = _broadcast(density, relative_importance)
    n = integer("n_features", n_features, 2, 3)
    variance = p / 3 - p * p / 4
    own_dimension = variance if n == 2 else np.minimum(variance, p * p / 3)
    return PhaseLosses(r * variance / n, own_dimension / n, (1 + r) * p * p / 6 / n)


def phase(density: Numbers, relative_importance: Numbers, n_features: int = 2) -> np.ndarray:
    """The phase whose explicit model has the least loss; a tie goes to the smaller code.

    Args:
        density: p in (0, 1], any shape.
        relative_importance: r ≥ 0, of a shape that broadcasts with `density`.
        n_features: 2 for 2→1, 3 for 3→2.

    Returns:
        int array of the broadcast shape, values of `Phase`.

    Raises:
        ConfigError: as `phase_losses`.

    Example: r = 0.5 is in SUPERPOSITION at p = 0.05 and IGNORED at p = 1; r = 2 has its
        OWN_DIMENSION at p = 1.
    """
    return np.argmin(np.stack(phase_losses(density, relative_importance, n_features)), axis=0)


def phase_boundary(relative_importance: Numbers, n_features: int = 2) -> np.ndarray:
    """The density at which pairing two features costs as much as dropping the least important.

    r ≤ 1: p = 4r/(2+5r), for both models. r ≥ 1: p = 4/(5+2r) in 2→1; p = 4/7 in 3→2, where it
    divides two ways of giving the last feature its own dimension and not two phases.

    Args:
        relative_importance: r ≥ 0, any shape.
        n_features: 2 for 2→1, 3 for 3→2.

    Returns:
        float64 of the shape of `relative_importance`, in [0, 4/7]; below it, pairing is better.

    Raises:
        ConfigError: `relative_importance=-1: must be in [0, inf]`, and so on.

    Example: 4/7 at r = 1, for both models.
    """
    r = real("relative_importance", relative_importance, _IMPORTANCE)
    others_paired = 4 / (5 + 2 * r) if integer("n_features", n_features, 2, 3) == 2 else 4 / 7
    return np.where(r <= 1, 4 * r / (2 + 5 * r), others_paired)


def classify_phase(W: Numbers, threshold: float = REPRESENTED) -> jax.Array:
    """The phase of a trained model, read from its weights alone.

    The last feature is ignored if its norm is at most the threshold, in superposition if the others
    put more than the threshold along it (`feature_interference`), else it has its own dimension.

    Args:
        W: [..., m, n], n ≥ 2.
        threshold: a norm, at least 0.

    Returns:
        int32 [...], values of `Phase`.

    Raises:
        ConfigError: W has one column, or is refused by every function of `superposition`.

    Example: [[1, -1]] is SUPERPOSITION, [[1, 0.1]] IGNORED, [[0.1, 1]] OWN_DIMENSION.
    """
    if weights(W).shape[-1] < 2:
        raise ConfigError("W with 1 column: must have at least two features to compare")
    kept = represented(W, threshold)[..., -1]
    shared = feature_interference(W)[..., -1] > threshold
    code = jnp.where(shared, Phase.SUPERPOSITION.value, Phase.OWN_DIMENSION.value)
    return jnp.where(kept, code, Phase.IGNORED.value).astype(jnp.int32)


def one_feature_loss(W: Numbers, b: Numbers) -> float:
    """The loss of a ReLU model on inputs with exactly one active feature, u ~ U[0, 1].

    (1/n) Σ_i Σ_j E_u (u·[i=j] - ReLU(G_ji·u + b_j))²: the mean over which feature is active, the
    sum over outputs. It is what sparsity leaves: for b ≤ 0 the loss (mean over features) is p times
    this number plus terms of order p². The integrals of piecewise quadratics are exact.

    Args:
        W: [m, n].
        b: [n].

    Returns:
        A float, at least 0.

    Raises:
        ConfigError: W is not one matrix, or b does not have one finite number for each column.

    Example: an antipodal pair of unit columns with b = 0 has loss 0.
    """
    weights(W)
    array, bias = np.asarray(W, np.float64), real("b", b, Rule("float"))
    if array.ndim != 2 or bias.shape != array.shape[1:]:
        raise ConfigError(
            f"W=float{list(array.shape)}, b=float{list(bias.shape)}: must be [m, n] and [n]"
        )
    gain = array.T @ array
    errors = _mean_square(gain, np.broadcast_to(bias[:, None], gain.shape))
    np.fill_diagonal(errors, _own_error(np.diag(gain), bias))
    return float(errors.sum() / len(bias))


def polygon_loss(k: int, radius: float, bias: float) -> float:
    """`one_feature_loss` of the regular k-gon with equal norms and biases.

    By symmetry it is the loss of any one vertex: the sum over the k outputs.

    Args:
        k: the number of features, at least 2.
        radius: their norm, at least 0.
        bias: the bias of every output.

    Returns:
        A float, at least 0; 1/3 for radius 0 and bias 0 (nothing is reconstructed).

    Raises:
        ConfigError: `k=1: must be an integer >= 2`; `radius=-1: must be in [0, inf]`.

    Example: 0 at radius 1, bias 0 for k = 2, 3, 4; 0.015826 at (1.170, -0.282) for k = 5.
    """
    size = float(real("radius", radius, _IMPORTANCE))
    shift = float(real("bias", bias, Rule("float")))
    return one_feature_loss(size * polygon(integer("k", k, 2)), np.full(k, shift))


def polygon_optimum(k: int) -> PolygonOptimum:
    """The radius and bias that minimise `polygon_loss`, by a numerical search.

    Args:
        k: the number of features, at least 2.

    Returns:
        PolygonOptimum(loss, radius, bias).

    Raises:
        ConfigError: `k=1: must be an integer >= 2`.

    Example: k = 5 gives 0.015826 at radius 1.170, bias -0.282; k = 6 gives 0.048192.
    """
    if integer("k", k, 2) <= 4:
        return PolygonOptimum(0.0, 1.0, 0.0)  # no vertex sees another with a positive cosine
    found = optimize.minimize(
        lambda at: polygon_loss(k, abs(at[0]), at[1]),
        x0=[1.2, -0.3],
        method="Nelder-Mead",
        options={"xatol": 1e-9, "fatol": 1e-14, "maxiter": 2000},
    )
    return PolygonOptimum(float(found.fun), float(abs(found.x[0])), float(found.x[1]))


def linear_optimum(
    n_features: int, n_hidden: int, density: Numbers, importance: Numbers = 1.0
) -> LinearOptimum:
    """The optimum of the linear model x' = WᵀWx + b: the top m features and nothing else.

    With v_i = p_i/3 - p_i²/4 the loss is Σ_i importance_i·v_i over the dropped features, over n: no
    matrix of rank m does better (Eckart and Young 1936), and a projection attains it.

    Args:
        n_features: n, at least 1.
        n_hidden: m, at least 1.
        density: p in (0, 1], one number or one for each feature [n].
        importance: at least 0, one number or one for each feature [n].

    Returns:
        LinearOptimum(loss, kept, bias); among equals the first features are kept.

    Raises:
        ConfigError: a value out of range, or neither one number nor n.

    Source: TMS, "Mathematical understanding"; derived here for unequal densities.
    Example: n = 2, m = 1, p = 1, importance (1, 0.5): keeps the first, loss 0.5/12/2 = 0.0208.
    """
    n, m = integer("n_features", n_features, 1), integer("n_hidden", n_hidden, 1)
    p = _per_feature("density", real("density", density, _DENSITY), n)
    cost = _per_feature("importance", real("importance", importance, _IMPORTANCE), n)
    cost = cost * (p / 3 - p * p / 4)
    kept = np.zeros(n, dtype=bool)
    kept[np.argsort(-cost, kind="stable")[:m]] = True
    return LinearOptimum(float(cost[~kept].sum() / n), kept, np.where(kept, 0.0, p / 2))


def _mean_square(gain: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """E ReLU(g·u + b)² over u ~ U[0, 1].

    The antiderivative gives (P³ - Q³)/(3g) with P = ReLU(g+b), Q = ReLU(b). Written as a product
    with the share (P - Q)/g of active u, it needs no limit for small g.
    """
    end, start = np.maximum(gain + bias, 0.0), np.maximum(bias, 0.0)
    still = gain == 0
    active = np.where(still, bias > 0, (end - start) / np.where(still, 1.0, gain))
    return active * (end * end + end * start + start * start) / 3


def _own_error(gain: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """E (u - ReLU(g·u + b))² over u ~ U[0, 1], for g ≥ 0.

    The output is silent below u = t, at a cost of t³/3; above, the error is the line (1-g)·u - b,
    whose mean square over an interval is (A² + AB + B²)/3 with A, B its ends.
    """
    until = np.minimum(-bias, gain) / np.where(gain > 0, gain, 1.0)
    silent = np.where(bias >= 0, 0.0, np.where(gain > 0, until, 1.0))
    low, high = (1 - gain) * silent - bias, 1 - gain - bias
    return silent**3 / 3 + (1 - silent) * (low * low + low * high + high * high) / 3


def _broadcast(density: Numbers, relative_importance: Numbers) -> tuple[np.ndarray, np.ndarray]:
    p = real("density", density, _DENSITY)
    r = real("relative_importance", relative_importance, _IMPORTANCE)
    try:
        shape = np.broadcast_shapes(p.shape, r.shape)
    except ValueError:
        raise ConfigError(
            f"density=float{list(p.shape)}, relative_importance=float{list(r.shape)}: "
            "must have shapes that broadcast together"
        ) from None
    return np.broadcast_to(p, shape), np.broadcast_to(r, shape)


def _per_feature(name: str, values: np.ndarray, n: int) -> np.ndarray:
    if values.shape not in ((), (n,)):
        raise ConfigError(
            f"{name}=float{list(values.shape)}: must be one number or n_features={n} numbers"
        )
    return np.broadcast_to(values, n)
