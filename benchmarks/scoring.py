"""One scorer for both sides, in numpy alone: quadrature for few features, Monte Carlo for many.

It shares no code with toylab. The loss is the mean over examples and features of importance * (x -
ReLU(W^T W x + b))^2, where x_i is 0 with probability 1 - density, else uniform on [0, 1].
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

MODELS_AT_ONCE = 16
EXAMPLES_AT_ONCE = 8192


Weights = tuple[np.ndarray, np.ndarray]


class Moments(NamedTuple):
    """What a common sample says about several sides.

    Attributes:
        mean: [k, sides] mean loss.
        covariance: [k, sides, sides] of the losses of single examples.
        n_examples: size of the sample.
    """

    mean: np.ndarray
    covariance: np.ndarray
    n_examples: int


class Comparison(NamedTuple):
    """Losses of two sides on the same examples, model by model.

    Attributes:
        ours: [k] mean loss of the first side.
        theirs: [k] mean loss of the second.
        ratio: [k] ours / theirs.
        ratio_error: [k] standard error of the ratio (0 where the losses are quadratures).
    """

    ours: np.ndarray
    theirs: np.ndarray
    ratio: np.ndarray
    ratio_error: np.ndarray


def quadrature_loss(
    W: np.ndarray, b: np.ndarray, density: np.ndarray, importance: np.ndarray, n_nodes: int = 12
) -> np.ndarray:
    """Expected loss of many models: last active feature exactly, the others by Gauss-Legendre.

    L = 1/n sum_A p^|A| (1-p)^(n-|A|) sum_i importance_i E[(x_i - ReLU(z_i))^2 | A active]. Given
    the others, z_i is affine in the last active feature u: the integrand is a quadratic in u on
    either side of the kink, where two Gauss nodes are exact. What remains to the tensor rule is
    twice differentiable.

    Args:
        W: [k, n_hidden, n_features].
        b: [k, n_features].
        density: [k], the same for every feature of a model.
        importance: [k, n_features] or [n_features].
        n_nodes: Gauss-Legendre nodes in each outer dimension.

    Returns:
        [k] losses, in double precision.
    """
    k, _, n = W.shape
    importance = np.broadcast_to(importance, (k, n))
    total = np.zeros(k)
    for first in range(0, k, MODELS_AT_ONCE):
        part = slice(first, first + MODELS_AT_ONCE)
        G = np.einsum("kmi,kmj->kij", W[part].astype(float), W[part].astype(float))
        for size in range(n + 1):
            odds = density[part] ** size * (1.0 - density[part]) ** (n - size)
            for active in itertools.combinations(range(n), size):
                errors = _errors_given_active(G, b[part].astype(float), active, n_nodes)
                total[part] += odds * (importance[part] * errors).sum(1)
    return total / n


def _errors_given_active(
    G: np.ndarray, b: np.ndarray, active: tuple[int, ...], n_nodes: int
) -> np.ndarray:
    """E[(x_i - ReLU(z_i))^2] with exactly the features `active` active, [k, n]."""
    n = b.shape[1]
    if not active:
        return np.maximum(b, 0.0) ** 2
    *outer, last = active
    points, weights = tensor_rule(n_nodes, len(outer))
    x = np.zeros((n, len(weights)))
    x[outer] = points
    z = b[:, :, None] + G @ x
    slope = np.broadcast_to(G[:, :, last, None], z.shape)
    with np.errstate(divide="ignore", invalid="ignore"):
        kink = np.clip(np.nan_to_num(-z / slope), 0.0, 1.0)
    own = (np.arange(n) == last)[:, None]
    inner = np.zeros_like(z)
    for start, length in ((0.0, kink), (kink, 1.0 - kink)):
        for node in (0.5 - 0.5 / np.sqrt(3.0), 0.5 + 0.5 / np.sqrt(3.0)):
            u = start + length * node
            inner += 0.5 * length * (np.where(own, u, x) - np.maximum(z + slope * u, 0.0)) ** 2
    return inner @ weights


@functools.cache
def tensor_rule(n_nodes: int, dimensions: int) -> tuple[np.ndarray, np.ndarray]:
    """Tensor Gauss-Legendre rule on [0, 1]^d: points [d, n_nodes^d] and weights that sum to 1."""
    nodes, weights = np.polynomial.legendre.leggauss(n_nodes)
    index = np.indices((n_nodes,) * dimensions, dtype=int).reshape(dimensions, n_nodes**dimensions)
    return 0.5 * (nodes[index] + 1.0), np.prod(0.5 * weights[index], axis=0)


def sample_moments(
    sides: Sequence[Weights],
    density: np.ndarray,
    importance: np.ndarray,
    n_examples: int,
    seed: int,
) -> Moments:
    """Mean losses of several sides on the same examples, and how they vary together.

    All sides meet the same examples, so that their ratios are far better known than the losses.

    Args:
        sides: (W [k, n_hidden, n_features], b [k, n_features]) of each side.
        density: [k].
        importance: [n_features].
        n_examples: size of the sample.
        seed: of numpy's PCG64.

    Returns:
        Losses are means over features and examples of importance * squared error.
    """
    generator = np.random.default_rng(seed)
    k, _, n = sides[0][0].shape
    sides = [(W.astype(np.float32), b.astype(np.float32)) for W, b in sides]
    weights = (importance / n).astype(np.float32)
    total = np.zeros((k, len(sides)))
    products = np.zeros((k, len(sides), len(sides)))
    for first in range(0, n_examples, EXAMPLES_AT_ONCE):
        shape = (min(EXAMPLES_AT_ONCE, n_examples - first), n)
        values = generator.random(shape, dtype=np.float32)
        chances = generator.random(shape, dtype=np.float32)
        for model in range(k):
            x = values * (chances < np.float32(density[model]))
            losses = np.stack([_losses(W[model], b[model], x, weights) for W, b in sides])
            total[model] += losses.sum(1, dtype=float)
            products[model] += losses.astype(float) @ losses.T
    mean = total / n_examples
    return Moments(mean, products / n_examples - mean[:, :, None] * mean[:, None, :], n_examples)


def _losses(W: np.ndarray, b: np.ndarray, x: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted squared error of each example x [examples, n]."""
    error = x - np.maximum((x @ W.T) @ W + b, 0.0)
    return (error * error) @ weights


def compare(moments: Moments, ours: int, theirs: int) -> Comparison:
    """The paired comparison of two sides.

    The error of the ratio r is that of mean(ours - r * theirs) / mean(theirs): the delta method.
    """
    a, b = moments.mean[:, ours], moments.mean[:, theirs]
    cov, ratio = moments.covariance, a / b
    spread = (
        cov[:, ours, ours] - 2 * ratio * cov[:, ours, theirs] + ratio**2 * cov[:, theirs, theirs]
    )
    error = np.sqrt(np.maximum(spread, 0.0) / moments.n_examples) / b
    return Comparison(a, b, ratio, error)


def geometric_mean(values: np.ndarray) -> float:
    """exp(mean(log(values))) of positive values."""
    return float(np.exp(np.log(values).mean()))
