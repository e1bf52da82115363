"""What the functions of this room accept: weights, integers and real numbers, checked on entry.

Under a JAX trace an array has no values yet; then its shape and type are checked, nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.typing import ArrayLike

from toylab.config import Rule
from toylab.errors import ConfigError, ConfigTypeError, shown

__all__ = ["Numbers", "integer", "real", "weights"]


class _HoldsArray(Protocol):
    def __jax_array__(self) -> Any: ...


Numbers = ArrayLike | _HoldsArray | Sequence[Any]
"""Anything that `jnp.asarray` takes: arrays of numpy or jax, an `nnx.Param`, nested lists."""


def weights(W: Numbers) -> jax.Array:
    """`W` as a floating-point array of matrices [..., n_hidden, n_features], float32 or wider.

    Args:
        W: numbers with two axes or more; feature i is `W[..., :, i]`.

    Raises:
        ConfigTypeError: W is not made of real numbers.
        ConfigError: W has fewer than two axes, no entry, or an entry that is NaN or infinite.
    """
    try:
        with np.errstate(over="ignore"):  # a float64 beyond float32 becomes inf, refused below
            array = jnp.asarray(W)
    except (TypeError, ValueError):
        raise ConfigTypeError(f"W={shown(W)}: must be an array of real numbers") from None
    kind = f"W={array.dtype}{list(array.shape)}"
    if not (jnp.issubdtype(array.dtype, jnp.floating) or jnp.issubdtype(array.dtype, jnp.integer)):
        raise ConfigTypeError(f"{kind}: must be an array of real numbers")
    if array.ndim < 2 or array.size == 0:
        raise ConfigError(
            f"{kind}: must be a matrix [n_hidden, n_features] with at least one row "
            "and one column, or a stack of such matrices"
        )
    if not isinstance(array, Tracer):
        _refuse_non_finite(kind, np.asarray(array))
    return array.astype(jnp.promote_types(array.dtype, jnp.float32))


def _refuse_non_finite(kind: str, array: np.ndarray) -> None:
    bad = np.argwhere(~np.isfinite(array))
    if len(bad):
        first = bad[0].tolist()
        raise ConfigError(f"{kind} with {array[tuple(first)]} at {first}: must be finite")


def integer(name: str, value: int | np.integer, low: int, high: float = math.inf) -> int:
    """`value` as a plain int in low..high; a ConfigError that names it otherwise."""
    _apply(Rule("int", low, high), name, value)
    return int(value)


def real(name: str, value: Any, rule: Rule) -> np.ndarray:
    """`value`, a number or an array of numbers, as float64 that obey `rule`.

    Raises:
        ConfigTypeError: not real numbers.
        ConfigError: out of range; the text names the first offender and its position.
    """
    try:
        array = np.asarray(value)
    except ValueError:
        raise ConfigTypeError(f"{name}={shown(value)}: must be real numbers") from None
    if array.dtype.kind not in "iuf":
        raise ConfigTypeError(f"{name}={shown(value)}: must be real numbers")
    for place in np.argwhere(~_obeys(rule, array)):
        where = str(place.tolist()) if array.ndim else ""
        _apply(rule, name + where, array[tuple(place)].item())
    return array.astype(np.float64)


def _obeys(rule: Rule, array: np.ndarray) -> np.ndarray:
    above = array > rule.low if rule.low_open else array >= rule.low
    below = array < rule.high if rule.high_open else array <= rule.high
    return np.isfinite(array) & above & below


def _apply(rule: Rule, name: str, value: Any) -> None:
    if found := rule.complaint(value):
        text, is_type = found
        raise (ConfigTypeError if is_type else ConfigError)(f"{name}={shown(value)}: {text}")
