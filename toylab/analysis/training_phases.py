"""When a network that groks memorised, formed its circuit and cleaned up, from recorded curves.

Curves are recorded at the steps `step` [n], along the last axis; leading axes (seeds, cells of a
sweep) pass through. These functions read finished recordings, so they take and return numpy.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from toylab.analysis.arguments import integer, real
from toylab.config import Rule
from toylab.errors import ConfigError, shown

__all__ = ["GROKKED", "NEVER", "Phases", "first_step_at", "first_step_holding", "training_phases"]

NEVER = -1
"""The step of what did not happen within the recording."""

GROKKED = 0.99
"""The test accuracy that must hold for the cleanup to be over."""

_LOSS = Rule("float", low=0.0)
_SHARE = Rule("float", low=0.0, high=1.0)


class Phases(NamedTuple):
    """The last step of each phase; -1 for one that does not end within the recording.

    Attributes:
        memorised: int [...], the step at which the excluded loss is least.
        formed: int [...], the last recorded step with a test loss of at least ln p.
        cleaned: int [...], the first from which the test accuracy stays at 99 % or above.
    """

    memorised: np.ndarray
    formed: np.ndarray
    cleaned: np.ndarray


def training_phases(
    step: Any, excluded_loss: Any, test_loss: Any, test_accuracy: Any, p: int
) -> Phases:
    """The borders of memorisation, circuit formation and cleanup.

    Memorisation ends where the excluded loss is least, circuit formation at the last record whose
    test loss is no better than a blind guess, ln p, and cleanup at the first record from which the
    test accuracy stays at 99 %. A minimum or a bad test loss in the last record is no end: the
    phase was still going on. The borders come in this order in a run that groks; in one that
    generalises at once they need not.

    Args:
        step: int [n], ascending, at least one.
        excluded_loss: [..., n], in nats, over the training pairs.
        test_loss: [..., n], in nats.
        test_accuracy: [..., n] in [0, 1].
        p: the number of answers, at least 2.

    Returns:
        Phases(memorised [...], formed [...], cleaned [...]), steps or -1.

    Raises:
        ConfigError: steps not ascending, a curve of another length or out of range.

    Source: the three phases of Nanda et al. 2023 (2301.05217), section 5.2, whose borders were
        read off by eye; this rule needs no eye.
    Example: steps 0, 10, 20, 30 with excluded losses 5, 1, 4, 7, test losses 5, 8, 3, .1 and test
        accuracies 0, 0, .6, 1, p = 113, give (10, 10, 30).
    """
    steps = _steps(step)
    excluded = _curve("excluded_loss", excluded_loss, steps, _LOSS)
    blind = _curve("test_loss", test_loss, steps, _LOSS) >= math.log(integer("p", p, 2))
    least, last = excluded.argmin(-1), len(steps) - 1
    worst = last - blind[..., ::-1].argmax(-1)
    return Phases(
        memorised=np.where(least < last, steps[least], NEVER)[()],
        formed=np.where(blind.any(-1) & (worst < last), steps[worst], NEVER)[()],
        cleaned=first_step_holding(steps, test_accuracy, GROKKED),
    )


def first_step_at(step: Any, accuracy: Any, level: float) -> np.ndarray:
    """The first recorded step whose accuracy reaches the level, be it for a moment; -1 if none.

    Args:
        step: int [n], ascending, at least one.
        accuracy: [..., n] in [0, 1].
        level: in [0, 1].

    Returns:
        int [...].

    Raises:
        ConfigError: as `training_phases`, or `level=2: must be in [0, 1]`.

    Example: accuracies .2, .99, .7, 1 at steps 0, 5, 10, 15 reach .9 at step 5.
    """
    steps, reached = _reached(step, accuracy, level)
    return np.where(reached.any(-1), steps[reached.argmax(-1)], NEVER)[()]


def first_step_holding(step: Any, accuracy: Any, level: float) -> np.ndarray:
    """The first recorded step from which the accuracy stays at the level to the end; -1 if none.

    A first 99 % may be a spike of the training that is lost again; this is not fooled.

    Args:
        step: int [n], ascending, at least one.
        accuracy: [..., n] in [0, 1].
        level: in [0, 1].

    Returns:
        int [...].

    Raises:
        ConfigError: as `first_step_at`.

    Example: accuracies .2, .99, .7, 1 at steps 0, 5, 10, 15 hold .9 from step 15.
    """
    steps, reached = _reached(step, accuracy, level)
    held = np.logical_and.accumulate(reached[..., ::-1], axis=-1)[..., ::-1]
    return np.where(held.any(-1), steps[held.argmax(-1)], NEVER)[()]


def _reached(step: Any, accuracy: Any, level: float) -> tuple[np.ndarray, np.ndarray]:
    steps = _steps(step)
    least = float(real("level", level, _SHARE))
    return steps, _curve("accuracy", accuracy, steps, _SHARE) >= least


def _steps(step: Any) -> np.ndarray:
    steps = real("step", step, _LOSS)
    row = steps.ndim == 1 and steps.size > 0
    if not row or (steps % 1 != 0).any() or (np.diff(steps) <= 0).any():
        raise ConfigError(
            f"step={shown(steps.tolist())}: must be one row of ascending whole numbers, "
            "at least one"
        )
    return steps.astype(np.int64)


def _curve(name: str, values: Any, steps: np.ndarray, rule: Rule) -> np.ndarray:
    curve = real(name, values, rule)
    if curve.shape[-1:] != steps.shape:
        raise ConfigError(
            f"{name}={list(curve.shape)}: must have one value a record, [..., {len(steps)}]"
        )
    return curve
