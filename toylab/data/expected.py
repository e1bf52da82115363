"""Exact expectations over sparse features: enumerate the active sets, integrate the magnitudes.

E f(x) = sum over active sets A of P(A) * integral of f over the cube of A's magnitudes. For up to 8
features all 2^n sets are enumerated and each integral becomes a weighted sum over fixed nodes:
Gauss-Legendre for one or two active features, a low-discrepancy sequence above. The nodes depend
neither on the densities nor on the model, so every model of every sweep shares one design matrix,
and only the weights of the sets change.
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import jax
import numpy as np

from toylab.data.features import Features, Values, active_sets, set_probabilities

__all__ = [
    "COARSE",
    "FINE",
    "MAX_FEATURES",
    "MEDIUM",
    "ROUGH",
    "Fineness",
    "Nodes",
    "node_weights",
    "nodes",
]

MAX_FEATURES = 8


class Fineness(NamedTuple):
    """How many nodes.

    Attributes:
        line: for one active feature.
        plane: for two, each way in each of two triangles.
        cube: for three and more, shared by all sets of one size, but at least a quarter for each.
    """

    line: int
    plane: int
    cube: int


ROUGH = Fineness(6, 2, 32)
COARSE = Fineness(8, 3, 192)
MEDIUM = Fineness(16, 6, 512)
FINE = Fineness(64, 12, 4096)


class Nodes(NamedTuple):
    """A quadrature rule over feature vectors.

    Attributes:
        x: float32 [n_nodes, n_features], the feature vectors.
        members: int32 [n_nodes], the index of each node's active set (order of `active_sets`).
        share: float32 [n_nodes], the weight of the node within its set; sums to 1 over each set.
    """

    x: np.ndarray
    members: np.ndarray
    share: np.ndarray


@functools.cache
def nodes(n_features: int, values: Values, fineness: Fineness) -> Nodes:
    """The quadrature nodes for `n_features` <= 8 features, computed once."""
    x, members, share = [], [], []
    for index, active in enumerate(active_sets(n_features)):
        unit, weight = _cube(int(active.sum()), n_features, values, fineness, index)
        rows = np.zeros((len(unit), n_features))
        rows[:, active] = 2.0 * unit - 1.0 if values == "signed" else unit
        x.append(rows)
        members.append(np.full(len(unit), index))
        share.append(weight)
    return Nodes(
        np.concatenate(x).astype(np.float32),
        np.concatenate(members).astype(np.int32),
        np.concatenate(share).astype(np.float32),
    )


def node_weights(rule: Nodes, features: Features) -> jax.Array:
    """The probability mass at each node, float32 [n_nodes], summing to 1."""
    return set_probabilities(features)[rule.members] * rule.share


def _cube(
    k: int, n_features: int, values: Values, fineness: Fineness, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Nodes [q, k] and weights [q] for the unit cube of k active features."""
    if k == 0 or values == "binary":
        return np.ones((1, k)), np.ones(1)
    if k <= 2:
        return _gauss_legendre(k, fineness.line if k == 1 else fineness.plane)
    # Grouped or unequal features can put all the mass on one set, so none may starve.
    count = max(math.ceil(fineness.cube / math.comb(n_features, k)), fineness.cube // 4, 16)
    return _low_discrepancy(k, count, seed), np.full(count, 1.0 / count)


def _gauss_legendre(k: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The unit interval, or the unit square cut along x_1 = x_2, the kink of an antipodal pair."""
    point, weight = np.polynomial.legendre.leggauss(count)
    point, weight = (point + 1.0) / 2.0, weight / 2.0
    if k == 1:
        return point[:, None], weight
    far, near = np.repeat(point, count), np.tile(point, count)
    below = np.stack([far, far * near], axis=1)
    mass = np.repeat(weight * point, count) * np.tile(weight, count)
    return np.concatenate([below, below[:, ::-1]]), np.concatenate([mass, mass])


def _low_discrepancy(k: int, count: int, seed: int) -> np.ndarray:
    """`count` points of the additive recurrence with the k-dimensional golden ratio.

    The steps are the powers of 1/g, where g is the positive root of g^(k+1) = g + 1 (M. Roberts
    2018). Each set starts elsewhere, so that the errors of sets of one size do not add up in step;
    folding (|2t - 1|) makes the points periodic at the faces, which raises the order of
    convergence.
    """
    golden = 2.0
    for _ in range(64):
        golden = (1.0 + golden) ** (1.0 / (k + 1))
    steps = golden ** -np.arange(1.0, k + 1)
    turns = (0.5 + np.arange(1, count + 1)[:, None] * steps + seed * math.sqrt(2.0)) % 1.0
    return np.abs(2.0 * turns - 1.0)
