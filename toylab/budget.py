"""Predicting what a run would cost, and refusing it before anything is allocated.

The limits are 60 % of the memory that is available now and 24 hours of one core; the environment
variables `TOYLAB_MAX_GB` and `TOYLAB_MAX_HOURS` set others.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from toylab.errors import BudgetError, ConfigError

__all__ = ["Cost", "available_bytes", "require_within_budget"]

SHARE_OF_MEMORY = 0.6
DEFAULT_HOURS = 24.0


class Cost(NamedTuple):
    """A prediction: the peak memory in bytes and the time in seconds of one core."""

    n_bytes: float
    seconds: float


def require_within_budget(cost: Cost, what: str) -> None:
    """Raise `BudgetError` if `cost` exceeds a limit; `what` names the request.

    The prediction is a closed form of the sizes, good to a factor of about two.
    """
    limit = _limit("TOYLAB_MAX_GB", SHARE_OF_MEMORY * available_bytes() / 1e9) * 1e9
    if cost.n_bytes > limit:
        raise BudgetError(
            f"{what}: would need about {cost.n_bytes / 1e9:.3g} GB of memory, more than the limit "
            f"of {limit / 1e9:.3g} GB; reduce it, or set TOYLAB_MAX_GB"
        )
    hours = _limit("TOYLAB_MAX_HOURS", DEFAULT_HOURS)
    if cost.seconds > hours * 3600:
        raise BudgetError(
            f"{what}: would take about {cost.seconds:.3g} seconds, more than the limit of "
            f"{hours * 3600:.6g}; reduce it, or set TOYLAB_MAX_HOURS"
        )


def available_bytes() -> float:
    """Memory that this process could still get, also where a control group limits it."""
    free = (
        float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
        if hasattr(os, "sysconf")
        else 8e9
    )
    for line in _text("/proc/meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            free = 1024.0 * float(line.split()[1])
    limit, used = (
        _text("/sys/fs/cgroup/memory.max").strip(),
        _text("/sys/fs/cgroup/memory.current").strip(),
    )
    return min(free, float(limit) - float(used or 0)) if limit.isdigit() else free


def _text(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:  # another system, or a container that hides it: the next source answers
        return ""


def _limit(variable: str, default: float) -> float:
    text = os.environ.get(variable)
    if text is None:
        return default
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not value > 0:
        raise ConfigError(f"{variable}={text!r}: must be a positive number")
    return value
