"""What an entry of the book of figures is, and what running one yields."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

__all__ = ["Check", "Entry", "Outcome"]


class Check(NamedTuple):
    """One number on which a statement rests, and where it must lie.

    Attributes:
        name: what is measured, as a reader would call it.
        measure: the data of one seed -> the number; NaN fails.
        lower: the least allowed value, inclusive.
        upper: the largest allowed value, inclusive.
    """

    name: str
    measure: Callable[[Any], float]
    lower: float
    upper: float

    def holds(self, value: float) -> bool:
        """Whether a measured value lies in the interval."""
        return bool(self.lower <= value <= self.upper)


class Entry(NamedTuple):
    """One figure of the book: where it comes from, how it is made, what it must show.

    Attributes:
        id: unique in the book; names the files and the command that makes the figure.
        chapter: the chapter that it belongs to.
        title: the finding in a few words.
        source: paper and figure.
        caption: what is seen, and where it differs from the source.
        config: the parameters: a config, a grid, or a NamedTuple or tuple of them and of numbers.
        compute: (config, key) -> data, any NamedTuple of arrays, models and configs.
        figure: data -> figure; draws and nothing else.
        statement: what the figure shows, in one sentence; true when every check holds.
        checks: the numbers behind the statement.
        seeds: the statement is tried with jax.random.key(0) ... key(seeds - 1); the first is drawn.
        quick: whether it belongs to the core set.
        needed: on how many of the seeds every check must hold; 0 for all of them.
    """

    id: str
    chapter: str
    title: str
    source: str
    caption: str
    config: Any
    compute: Callable[[Any, jax.Array], Any]
    figure: Callable[[Any], Figure]
    statement: str
    checks: tuple[Check, ...]
    seeds: int = 1
    quick: bool = True
    needed: int = 0


class Outcome(NamedTuple):
    """How an entry's statement fared.

    Attributes:
        id: of the entry.
        statement: of the entry.
        measured: the checked numbers in words; over several seeds their median and range.
        passed: how many seeds meet every check.
        seeds: how many were tried.
        seconds: wall time for data of all seeds, figure and files.
        values: [seeds, checks], each measured number.
        files: what was written for this entry.
        needed: how many seeds had to pass.
    """

    id: str
    statement: str
    measured: str
    passed: int
    seeds: int
    seconds: float
    values: NDArray[np.float64]
    files: tuple[Path, ...]
    needed: int

    @property
    def holds(self) -> bool:
        """Whether enough seeds passed; a book with an outcome that does not hold has failed."""
        return self.passed >= self.needed

    @property
    def rate(self) -> str:
        """How many seeds passed, "7 of 8 seeds, 5 needed"; what is needed only if it is fewer."""
        words = f"{self.passed} of {self.seeds} seed{'s' * (self.seeds > 1)}"
        return words if self.needed == self.seeds else f"{words}, {self.needed} needed"
