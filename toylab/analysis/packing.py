"""How nearly orthogonal random directions are, and how many fit into a few dimensions.

Directions are independent and uniform on the unit sphere of d = `n_hidden` dimensions. The cosine c
between two of them is distributed as one coordinate of a random unit vector, so (c + 1)/2 is
Beta((d-1)/2, (d-1)/2) and c² is Beta(1/2, (d-1)/2); everything below follows from that.

Sources: Ball 1997, "An elementary introduction to modern convex geometry", lecture 2, for caps;
Johnson and Lindenstrauss 1984 for the scale log(n)/ε²; TMS, "Definitions and Motivation", for the
role of almost orthogonal directions.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy import special

from toylab.analysis.arguments import Numbers, integer, real
from toylab.config import Rule

__all__ = [
    "CosineMoments",
    "cap_probability",
    "cosine_density",
    "cosine_moments",
    "expected_max_cosine",
    "max_cosine_quantile",
    "packing_bound",
    "packing_dimensions",
    "packing_exact",
    "sample_cosines",
    "sample_directions",
    "tail_bound",
    "tail_probability",
]

_COSINE = Rule("float", -1.0, 1.0)
_EPSILON = Rule("float", 0.0, 1.0, low_open=True, high_open=True)
_PROBABILITY = Rule("float", 0.0, 1.0, low_open=True, high_open=True)


class CosineMoments(NamedTuple):
    """Moments of the cosine between two random directions.

    Attributes:
        mean: 0, by symmetry.
        variance: 1/d.
        fourth: E c⁴ = 3 / (d(d+2)).
    """

    mean: float
    variance: float
    fourth: float


def cosine_density(cosine: Numbers, n_hidden: int) -> np.ndarray:
    """The density of c: Γ(d/2) / (√π Γ((d-1)/2)) · (1-c²)^((d-3)/2).

    Args:
        cosine: any shape, in [-1, 1].
        n_hidden: d, at least 2.

    Returns:
        float64 of the shape of `cosine`, at least 0; inf at ±1 for d = 2.

    Raises:
        ConfigError: `cosine=1.5: must be in [-1, 1]`; `n_hidden=1: must be an integer >= 2`.

    Example: 1/2 everywhere for d = 3 (Archimedes), 1/π at 0 for d = 2.
    """
    c, d = real("cosine", cosine, _COSINE), integer("n_hidden", n_hidden, 2)
    log_constant = special.gammaln(d / 2) - special.gammaln((d - 1) / 2) - math.log(math.pi) / 2
    return np.exp(log_constant + special.xlog1py((d - 3) / 2, -c * c))


def cosine_moments(n_hidden: int) -> CosineMoments:
    """Mean, variance and fourth moment of the cosine between two random directions.

    Args:
        n_hidden: d, at least 1.

    Returns:
        CosineMoments(0, 1/d, 3/(d(d+2))).

    Raises:
        ConfigError: `n_hidden=0: must be an integer >= 1`.

    Example: d = 3 gives variance 1/3 and fourth moment 1/5, those of a uniform number in [-1, 1].
    """
    d = integer("n_hidden", n_hidden, 1)
    return CosineMoments(0.0, 1 / d, 3 / (d * (d + 2)))


def cap_probability(cosine: Numbers, n_hidden: int) -> np.ndarray:
    """P(c > t): the share of the sphere in the cap of directions with cosine above t, exactly.

    For t ≥ 0 it is I_{1-t²}((d-1)/2, 1/2) / 2, with I the regularised incomplete beta function.

    Args:
        cosine: t, any shape, in [-1, 1].
        n_hidden: d, at least 2.

    Returns:
        float64 of the shape of `cosine`, in [0, 1].

    Raises:
        ConfigError: as `cosine_density`.

    Example: d = 3, t = 1/2 gives 1/4; d = 2 gives arccos(t)/π.
    """
    t = real("cosine", cosine, _COSINE)
    half = tail_probability(np.abs(t), n_hidden) / 2
    return np.where(t >= 0, half, 1 - half)


def tail_probability(epsilon: Numbers, n_hidden: int) -> np.ndarray:
    """P(|c| > ε) = I_{1-ε²}((d-1)/2, 1/2), exactly.

    Args:
        epsilon: any shape, in [0, 1].
        n_hidden: d, at least 2.

    Returns:
        float64 of the shape of `epsilon`, in [0, 1].

    Raises:
        ConfigError: `epsilon=2: must be in [0, 1]`; `n_hidden=1: must be an integer >= 2`.

    Example: d = 3 gives 1 - ε.
    """
    e, d = real("epsilon", epsilon, Rule("float", 0.0, 1.0)), integer("n_hidden", n_hidden, 2)
    return special.betainc((d - 1) / 2, 0.5, (1 - e) * (1 + e))


def tail_bound(epsilon: Numbers, n_hidden: int) -> np.ndarray:
    """The textbook bound P(|c| > ε) ≤ 2·exp(-dε²/2), cut at 1.

    Args:
        epsilon: any shape, in [0, 1].
        n_hidden: d, at least 2.

    Returns:
        float64 of the shape of `epsilon`, in (0, 1], never below `tail_probability`.

    Raises:
        ConfigError: as `tail_probability`.

    Source: Ball 1997, lemma 2.2, for each of the two caps.
    """
    e, d = real("epsilon", epsilon, Rule("float", 0.0, 1.0)), integer("n_hidden", n_hidden, 2)
    return np.minimum(2 * np.exp(-d * e * e / 2), 1.0)


def packing_bound(epsilon: Numbers, n_hidden: int) -> np.ndarray:
    """Directions that surely fit with all |cos| ≤ ε, by the textbook tail: at least exp(dε²/4).

    If n(n-1)/2 · 2·exp(-dε²/2) < 1, random directions succeed with positive probability.

    Args:
        epsilon: any shape, in (0, 1).
        n_hidden: d, at least 2.

    Returns:
        float64 of the shape of `epsilon`, above 1; a lower bound on the number, not rounded.

    Raises:
        ConfigError: `epsilon=0: must be in (0, 1)`; `n_hidden=1: must be an integer >= 2`.

    Example: d = 1000, ε = 0.2 gives e¹⁰ = 22026.
    """
    e, d = real("epsilon", epsilon, _EPSILON), integer("n_hidden", n_hidden, 2)
    return np.exp(d * e * e / 4)


def packing_exact(epsilon: Numbers, n_hidden: int) -> np.ndarray:
    """The same union bound with the exact tail p: the n at which n(n-1)/2 · p = 1.

    Any smaller integer fits. Orthogonal directions also fit, so the value is never below d.

    Args:
        epsilon: any shape, in (0, 1).
        n_hidden: d, at least 2.

    Returns:
        float64 of the shape of `epsilon`, at least max(d, `packing_bound`); inf beyond 10³⁰⁸.

    Raises:
        ConfigError: as `packing_bound`.

    Example: d = 3, ε = 0.9 gives p = 0.1 and (1 + √81)/2 = 5.
    """
    p = tail_probability(real("epsilon", epsilon, _EPSILON), n_hidden)
    with np.errstate(divide="ignore"):
        n = (1 + np.sqrt(1 + 8 / p)) / 2
    return np.maximum(n, n_hidden)


def packing_dimensions(n_features: int, epsilon: Numbers) -> np.ndarray:
    """Dimensions that surely suffice for n directions with all |cos| ≤ ε: 4·ln(n)/ε².

    Args:
        n_features: n, at least 1.
        epsilon: any shape, in (0, 1).

    Returns:
        float64 of the shape of `epsilon`, at least 0, not rounded; the inverse of `packing_bound`.

    Raises:
        ConfigError: `n_features=0: must be an integer >= 1`; `epsilon=0: must be in (0, 1)`.

    Source: the scale of Johnson and Lindenstrauss 1984.
    """
    e = real("epsilon", epsilon, _EPSILON)
    return 4 * math.log(integer("n_features", n_features, 1)) / (e * e)


def expected_max_cosine(n_features: int, n_hidden: int) -> float:
    """About the largest cosine among n random directions: √(2·ln(n(n-1)/2) / d), cut at 1.

    The leading term of a Gaussian extreme, and too large: by 15 % for n = 300, d = 100. The median
    that `max_cosine_quantile` gives is sharper.

    Args:
        n_features: n, at least 2.
        n_hidden: d, at least 1.

    Returns:
        A float in [0, 1].

    Raises:
        ConfigError: `n_features=1: must be an integer >= 2`; `n_hidden=0: must be an integer >= 1`.
    """
    n, d = integer("n_features", n_features, 2), integer("n_hidden", n_hidden, 1)
    return min(math.sqrt(2 * math.log(n * (n - 1) / 2) / d), 1.0)


def max_cosine_quantile(n_features: int, n_hidden: int, quantile: Numbers = 0.5) -> np.ndarray:
    """A quantile of the largest cosine among n random directions, as if pairs were independent.

    Solves (1 - cap(t))^N = q for t, with N = n(n-1)/2 and cap(t) the `cap_probability`. Any two
    pairs are independent, though not all together, which keeps the approximation close.

    Args:
        n_features: n, at least 2.
        n_hidden: d, at least 2.
        quantile: q, any shape, in (0, 1).

    Returns:
        float64 of the shape of `quantile`, in (-1, 1).

    Raises:
        ConfigError: `quantile=1: must be in (0, 1)`; sizes as above.

    Example: the median is 0 for n = 2.
    """
    n, d = integer("n_features", n_features, 2), integer("n_hidden", n_hidden, 2)
    q = real("quantile", quantile, _PROBABILITY)
    cap = -np.expm1(np.log(q) / (n * (n - 1) / 2))
    below_half = 2 * np.minimum(cap, 1 - cap)
    size = np.sqrt(1 - special.betaincinv((d - 1) / 2, 0.5, below_half))
    return np.where(cap <= 0.5, size, -size)


def sample_directions(key: jax.Array, n_features: int, n_hidden: int) -> jax.Array:
    """Independent uniform directions, as the columns of a matrix.

    Args:
        key: a JAX key.
        n_features: n, at least 1.
        n_hidden: d, at least 1.

    Returns:
        float32 [d, n] with unit columns.

    Raises:
        ConfigError: `n_features=0: must be an integer >= 1`, and so for n_hidden.
    """
    shape = integer("n_hidden", n_hidden, 1), integer("n_features", n_features, 1)
    normal = jax.random.normal(key, shape)
    return normal / jnp.linalg.norm(normal, axis=0, keepdims=True)


def sample_cosines(key: jax.Array, n_features: int, n_hidden: int) -> jax.Array:
    """The cosines of all n(n-1)/2 pairs among n random directions.

    Args:
        key: a JAX key.
        n_features: n, at least 2.
        n_hidden: d, at least 1.

    Returns:
        float32 [n(n-1)/2], in [-1, 1], in the order (0, 1), (0, 2), ..., (n-2, n-1).

    Raises:
        ConfigError: `n_features=1: must be an integer >= 2`; `n_hidden=0: must be an integer >= 1`.
    """
    directions = sample_directions(key, integer("n_features", n_features, 2), n_hidden)
    cosines = jnp.matmul(directions.T, directions, precision=jax.lax.Precision.HIGHEST)
    return jnp.clip(cosines[np.triu_indices(n_features, 1)], -1.0, 1.0)
