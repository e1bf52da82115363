"""Arithmetic modulo p: every pair of numbers, its answer, and which pairs are trained on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

__all__ = ["Split", "Task", "answers", "is_prime", "n_train", "split"]

Task = Literal["add", "subtract", "multiply", "quadratic"]

_TASKS: dict[str, Callable[[Any, Any], Any]] = {
    "add": lambda a, b: a + b,
    "subtract": lambda a, b: a - b,
    "multiply": lambda a, b: a * b,
    "quadratic": lambda a, b: a * a + a * b + b * b,
}


class Split(NamedTuple):
    """The pairs as numbers a * p + b, ascending.

    Attributes:
        train: int32 [n_train]. test: int32 [p^2 - n_train], the others.
    """

    train: jax.Array
    test: jax.Array


def answers(task: Task, p: int) -> np.ndarray:
    """The right answer to every pair, int32 [p, p] indexed [a, b], in 0..p-1.

    add: a + b; subtract: a - b; multiply: a b; quadratic: a^2 + a b + b^2; all modulo p.
    Hand value: answers("quadratic", 5)[2, 3] = (4 + 6 + 9) mod 5 = 4.
    """
    numbers = np.arange(p, dtype=np.int64)
    return (_TASKS[task](numbers[:, None], numbers[None]) % p).astype(np.int32)


def n_train(p: int, train_fraction: float) -> int:
    """How many of the p^2 pairs are trained on: the integer part of train_fraction * p^2, >= 1.

    n_train(113, 0.3) = 3830, as in Nanda et al. 2023.
    """
    return max(1, int(float(train_fraction) * p * p + 1e-6))


def split(p: int, train_fraction: float, key: jax.Array) -> Split:
    """Draw the training pairs without replacement; can be traced."""
    shuffled = jax.random.permutation(key, p * p)
    count = n_train(p, train_fraction)
    return Split(jnp.sort(shuffled[:count]), jnp.sort(shuffled[count:]))


def is_prime(p: int) -> bool:
    """Whether p is a prime number."""
    return p > 1 and all(p % d for d in range(2, int(p**0.5) + 1))
