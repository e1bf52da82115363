"""What the functions on arithmetic modulo p accept, checked on entry, and its usual forms.

Logits are [p, p, p], indexed [a, b, c]. Frequencies are numbered 1..K with K = (p - 1) // 2 and are
given as numbers or as a mask [K], whose entry k - 1 belongs to frequency k. Pairs are numbered
a * p + b. The answers [p, p] are (a + b) mod p unless others are given. Under a JAX trace shapes
and types are checked, nothing else.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from toylab.analysis.arguments import Numbers
from toylab.config import Rule
from toylab.errors import ConfigError, ConfigTypeError, shown

__all__ = [
    "answer_grid",
    "frequency_mask",
    "frequency_numbers",
    "logit_cube",
    "n_frequencies",
    "pair_numbers",
    "real_array",
    "whole_numbers",
]


def n_frequencies(p: int) -> int:
    """K = (p - 1) // 2, the frequencies that have both a cosine and a sine."""
    return (p - 1) // 2


def real_array(name: str, value: Numbers, axes: tuple[str | int, ...], least: int = 1) -> jax.Array:
    """`value` as a finite floating-point array, float32 or wider, whose shape matches `axes`.

    Args:
        name: of the argument, for the message.
        value: real numbers.
        axes: one entry an axis: a size, or a word for any size from `least` up. A word that returns
            must have the same size again; a leading "..." stands for any axes.
        least: the smallest size of an axis that is given by a word.

    Raises:
        ConfigTypeError: `value` is not made of real numbers.
        ConfigError: another shape, or an entry that is NaN or infinite.
    """
    array = _array(name, value)
    kind = f"{name}={array.dtype}{list(array.shape)}"
    if not (jnp.issubdtype(array.dtype, jnp.floating) or jnp.issubdtype(array.dtype, jnp.integer)):
        raise ConfigTypeError(f"{kind}: must be an array of real numbers")
    _require_shape(kind, array.shape, axes, least)
    if not isinstance(array, Tracer):
        finite = np.isfinite(array)
        if not finite.all():
            first = tuple(np.argwhere(~finite)[0].tolist())
            raise ConfigError(f"{kind} with {array[first]} at {list(first)}: must be finite")
    return array.astype(jnp.promote_types(array.dtype, jnp.float32))


def whole_numbers(
    name: str, value: Numbers, axes: tuple[str | int, ...], low: int, high: int
) -> jax.Array:
    """`value` as int32 in low..high, whose shape matches `axes` (as in `real_array`).

    Raises:
        ConfigTypeError: not integers.
        ConfigError: another shape, or an entry out of range; the text names the first.
    """
    array = _array(name, value)
    kind = f"{name}={array.dtype}{list(array.shape)}"
    if not jnp.issubdtype(array.dtype, jnp.integer):
        raise ConfigTypeError(f"{kind}: must be an array of integers")
    _require_shape(kind, array.shape, axes, least=0)
    if not isinstance(array, Tracer):
        numbers = np.asarray(array)
        outside = np.argwhere((numbers < low) | (numbers > high))
        if len(outside):
            first = tuple(outside[0].tolist())
            where = str(list(first)) if first else ""
            allowed = Rule("int", low, high).interval
            raise ConfigError(f"{name}{where}={numbers[first]}: must be {allowed}")
    return array.astype(jnp.int32)


def logit_cube(logits: Numbers) -> jax.Array:
    """Logits as [p, p, p] with p >= 3; a ConfigError that names them otherwise."""
    return real_array("logits", logits, ("p", "p", "p"), least=3)


def answer_grid(answers: Numbers | None, p: int) -> jax.Array:
    """The answers as int32 [p, p] in 0..p-1; (a + b) mod p for None."""
    if answers is None:
        numbers = np.arange(p, dtype=np.int32)
        return jnp.asarray((numbers[:, None] + numbers[None]) % p)
    return whole_numbers("answers", answers, (p, p), 0, p - 1)


def pair_numbers(pairs: Numbers | None, p: int) -> jax.Array:
    """Pairs as int32 [n], numbers a * p + b, at least one; all p^2 of them for None."""
    if pairs is None:
        return jnp.arange(p * p, dtype=jnp.int32)
    if np.shape(jnp.asarray(pairs)) == (0,):
        raise ConfigError("pairs=[]: must hold at least one pair number a * p + b")
    return whole_numbers("pairs", pairs, ("n",), 0, p * p - 1)


def frequency_numbers(keys: Numbers, p: int) -> jax.Array:
    """Frequencies as int32 [...], numbers in 1..K; a ConfigError otherwise."""
    array = _array("keys", keys)
    if array.size == 0:
        array = array.astype(jnp.int32)
    return whole_numbers("keys", array, ("...",), 1, n_frequencies(p))


def frequency_mask(keys: Numbers, p: int) -> jax.Array:
    """How much of each frequency is meant, float32 [K].

    Args:
        keys: integers are frequency numbers in 1..K, [n], in any order, repeated or not, possibly
            none; booleans or real numbers are the mask itself, [K]. Both may be traced.
        p: the modulus.

    Returns:
        [K], 1 for a frequency that is named and 0 for the others, or the mask as it was given.

    Raises:
        ConfigError: `keys[0]=57: must be an integer in 1..56`, or a mask of another length.

    Example: frequency_mask([1, 3], 7) = frequency_mask([True, False, True], 7) = [1, 0, 1].
    """
    K, array = n_frequencies(p), _array("keys", keys)
    if array.size and (array.dtype == jnp.bool_ or jnp.issubdtype(array.dtype, jnp.floating)):
        if array.shape != (K,):
            raise ConfigError(
                f"keys={array.dtype}{list(array.shape)}: must be integers in 1..{K} or a mask [{K}]"
            )
        return real_array("keys", array.astype(jnp.float32), (K,))
    numbers = frequency_numbers(array, p).reshape(-1)
    return jnp.zeros(K, jnp.float32).at[numbers - 1].set(1.0)


def _array(name: str, value: Numbers) -> jax.Array:
    try:
        if any(isinstance(leaf, str | bytes) for leaf in jax.tree.leaves(value)):
            raise TypeError  # jax would warn before it refuses them
        with np.errstate(over="ignore"):  # a float64 beyond float32 becomes inf, refused later
            return jnp.asarray(value)
    except (TypeError, ValueError):
        raise ConfigTypeError(f"{name}={shown(value)}: must be an array of real numbers") from None


def _require_shape(
    kind: str, shape: tuple[int, ...], axes: tuple[str | int, ...], least: int
) -> None:
    leading = axes[:1] == ("...",)
    wanted = axes[1:] if leading else axes
    free = len(shape) - len(wanted)
    sizes: dict[str | int, int] = {}
    fits = free == 0 or (free > 0 and leading)
    for axis, size in zip(wanted, shape[max(free, 0) :], strict=False):
        fits &= size == sizes.setdefault(axis, axis if isinstance(axis, int) else size)
        fits &= isinstance(axis, int) or size >= least
    if not fits:
        words = sorted({axis for axis in wanted if isinstance(axis, str)})
        limits = f" with {', '.join(f'{word} >= {least}' for word in words)}" if words else ""
        raise ConfigError(f"{kind}: must have the shape [{', '.join(map(str, axes))}]{limits}")
