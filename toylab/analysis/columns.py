"""Norms, directions and inner products of the columns of W, without overflow, NaN or 0/0.

The functions are compiled, so that a metric costs a few calls and not one for each operation.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

__all__ = ["Columns", "columns", "products", "ratio", "root", "without_diagonal"]


class Columns(NamedTuple):
    """The columns of a matrix, as lengths and directions.

    Attributes:
        scale: [..., 1] the largest |entry| of the matrix, or 1.
        scaled: [..., m, n] the matrix over its scale, whose squares cannot overflow.
        norm: [..., n] of the matrix itself.
        unit: [..., m, n] directions; 0 for a zero column.
    """

    scale: jax.Array
    scaled: jax.Array
    norm: jax.Array
    unit: jax.Array


@jax.jit
def columns(array: jax.Array) -> Columns:
    """Lengths and directions of the columns of [..., m, n]."""
    # The scale cancels in every result, so its own derivative is left out.
    peak = jax.lax.stop_gradient(jnp.abs(array).max((-2, -1), keepdims=True))
    scale = jnp.where(peak > 0, peak, 1.0)
    scaled = array / scale
    norm = root(jnp.square(scaled).sum(-2))
    unit = ratio(scaled, jnp.broadcast_to(norm[..., None, :], scaled.shape))
    return Columns(scale[..., 0], scaled, scale[..., 0] * norm, unit)


@jax.jit
def products(left: jax.Array, right: jax.Array) -> jax.Array:
    """Inner products of all columns of [..., m, n] with all of [..., m, k], in full precision."""
    return jnp.matmul(left.mT, right, precision=jax.lax.Precision.HIGHEST)


@jax.jit
def without_diagonal(square: jax.Array) -> jax.Array:
    """[..., n, n] with 0 on the diagonal."""
    diagonal = jnp.broadcast_to(jnp.eye(square.shape[-1], dtype=bool), square.shape)
    return jnp.where(diagonal, 0.0, square)


@jax.jit
def ratio(numerator: jax.Array, denominator: jax.Array) -> jax.Array:
    """numerator / denominator; 0, with a zero gradient, where the denominator is not positive."""
    positive = denominator > 0
    return jnp.where(positive, numerator / jnp.where(positive, denominator, 1.0), 0.0)


@jax.jit
def root(x: jax.Array) -> jax.Array:
    """√x for x ≥ 0, with gradient 0 instead of infinity at 0."""
    positive = x > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, x, 1.0)), 0.0)
