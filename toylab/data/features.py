"""Sparse features: the distribution that toy models of superposition are trained on.

Feature i is zero with probability S_i = 1 - p_i and otherwise has a magnitude: uniform on [0, 1],
always 1 (binary), or uniform on [-1, 1] (signed). Features can be tied together in consecutive
groups:

* independent: each feature decides alone;
* correlated: one draw decides for the whole group, so that equal densities are active together;
* anticorrelated: at most one feature of a group is active, which needs densities summing to <= 1;
* hierarchical: the first feature of a group is the parent, and the densities of the others are
  conditional on it: no child is active without its parent.

The distribution has two faces here: `sample` draws from it, and `set_probabilities` gives the exact
probability of every active set, from which `toylab.data.expected` computes expectations.
Source: Elhage et al. 2022 ("Toy Models of Superposition"), sections 2 and 4.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from toylab.data.counter import fork, uniform

__all__ = ["Features", "Grouping", "Values", "active_sets", "sample", "set_probabilities"]

Values = Literal["uniform", "binary", "signed"]
Grouping = Literal["independent", "correlated", "anticorrelated", "hierarchical"]


class Features(NamedTuple):
    """A distribution over feature vectors.

    Attributes:
        density: [n_features], the probability of being active (conditional on the parent for the
            children of a hierarchical group), in [0, 1].
        values: what an active feature is.
        grouping: how the features of one group are tied together.
        group_size: features in each consecutive group; divides n_features.
    """

    density: jax.Array
    values: Values = "uniform"
    grouping: Grouping = "independent"
    group_size: int = 1


def sample(features: Features, words: jax.Array, n: int) -> jax.Array:
    """Draw `n` feature vectors as columns.

    One uniform draw u serves both questions: u >= 1 - p asks whether the feature is active, and
    (u - (1 - p)) / p is then again uniform on [0, 1] and is the magnitude.

    Args:
        features: the distribution.
        words: a stream of `toylab.data.counter`, uint32 [2].
        n: how many vectors.

    Returns:
        float32 [n_features, n]: row i is feature i, in [0, 1] (signed: [-1, 1]). Rows do not depend
        on how many rows follow them.
    """
    density = features.density[:, None]
    draws = uniform(words, (len(features.density), n))
    start = 1.0 - density
    if features.grouping == "anticorrelated":
        start, draws = _offsets(features)[:, None], draws[_leader(features)]
    inside = draws - start
    active = (inside >= 0) & (inside < density)
    if features.grouping == "correlated":
        # The group's draw has decided; magnitudes stay independent, so they come from a second
        # stream.
        active = draws[_leader(features)] >= start
        inside = uniform(fork(words, 1), draws.shape) * density
    if features.grouping == "hierarchical":
        active = active & active[_leader(features)]
    return jnp.where(
        active, _magnitude(inside / jnp.where(density > 0, density, 1.0), features.values), 0.0
    )


def _leader(features: Features) -> np.ndarray:
    """The index of the first feature in each feature's group."""
    index = np.arange(len(features.density))
    return index - index % features.group_size


def _offsets(features: Features) -> jax.Array:
    """Where each feature's slice of its group's unit interval begins."""
    rows = features.density.reshape(-1, features.group_size)
    return (jnp.cumsum(rows, axis=1) - rows).reshape(-1)


def _magnitude(unit: jax.Array, values: Values) -> jax.Array:
    if values == "binary":
        return jnp.ones_like(unit)
    return unit if values == "uniform" else 2.0 * unit - 1.0


def active_sets(n_features: int) -> np.ndarray:
    """All 2^n_features active sets as bool [2^n_features, n_features], the empty set first."""
    return (np.arange(2**n_features)[:, None] >> np.arange(n_features) & 1).astype(bool)


def set_probabilities(features: Features) -> jax.Array:
    """The exact probability of every active set, in the order of `active_sets`.

    Returns:
        float32 [2^n_features], non-negative, summing to 1.
    """
    size = features.group_size
    groups = active_sets(len(features.density)).reshape(2 ** len(features.density), -1, size)
    density = features.density.reshape(1, -1, size)
    return jnp.prod(_GROUP_PROBABILITY[features.grouping](jnp.asarray(groups), density), axis=-1)


def _independent(active: jax.Array, density: jax.Array) -> jax.Array:
    return jnp.prod(jnp.where(active, density, 1.0 - density), axis=-1)


def _correlated(active: jax.Array, density: jax.Array) -> jax.Array:
    # One draw u: the members with p >= 1 - u are active, which leaves an interval of u for each
    # set.
    smallest_on = jnp.min(jnp.where(active, density, 1.0), axis=-1)
    largest_off = jnp.max(jnp.where(active, 0.0, density), axis=-1)
    return jnp.maximum(smallest_on - largest_off, 0.0)


def _anticorrelated(active: jax.Array, density: jax.Array) -> jax.Array:
    count = jnp.sum(active, axis=-1)
    alone = jnp.sum(jnp.where(active, density, 0.0), axis=-1)
    none = jnp.maximum(1.0 - jnp.sum(density, axis=-1), 0.0)
    return jnp.where(count == 0, none, jnp.where(count == 1, alone, 0.0))


def _hierarchical(active: jax.Array, density: jax.Array) -> jax.Array:
    parent, orphans = active[..., 0], jnp.any(active[..., 1:], axis=-1) & ~active[..., 0]
    children = _independent(active[..., 1:], density[..., 1:])
    with_parent = density[..., 0] * children
    return jnp.where(parent, with_parent, jnp.where(orphans, 0.0, 1.0 - density[..., 0]))


_GROUP_PROBABILITY = {
    "independent": _independent,
    "correlated": _correlated,
    "anticorrelated": _anticorrelated,
    "hierarchical": _hierarchical,
}
