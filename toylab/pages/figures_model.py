"""Entries of the book made on demand: one seed of one figure, shared by sessions."""

from __future__ import annotations

import json
from importlib import metadata
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import streamlit as st

from toylab.config import Rule
from toylab.pages import jobs
from toylab.pages.controls import Control

if TYPE_CHECKING:
    from toylab.figures.entry import Check, Entry

__all__ = ["SEED", "Line", "Made", "entries", "lines", "make"]

BOUNDLESS = 1e6
_SEED = Rule("int", 0, 2**32 - 1)
SEED = Control(
    "seed", "Seed", _SEED, _SEED, 0,
    help="The book tries seeds 0, 1, 2, ... and draws the first.",
)  # fmt: skip


class Line(NamedTuple):
    """One number behind a statement.

    Attributes:
        name: what is measured. allowed: the interval in words. value: of this seed. holds: whether
            it lies in the interval.
    """

    name: str
    allowed: str
    value: float
    holds: bool


class Made(NamedTuple):
    """One entry for one seed.

    Attributes:
        svg: the figure. alt: what it shows in words.
        lines: the numbers behind its statement.
        files: the figure as PNG and PDF.
    """

    svg: bytes
    alt: str
    lines: tuple[Line, ...]
    files: dict[str, bytes]

    @property
    def holds(self) -> bool:
        """Whether this seed meets every check."""
        return all(line.holds for line in self.lines)


def entries() -> dict[str, Entry]:
    """The book by id, in its order."""
    from toylab.figures.book import BOOK  # matplotlib: slow, and only this page needs all of it

    return {entry.id: entry for entry in BOOK}


def lines(entry: Entry, data: Any) -> tuple[Line, ...]:
    """What is measured of an entry's data."""
    found = []
    for check in entry.checks:
        value = float(check.measure(data))
        found.append(Line(check.name, _allowed(check), value, check.holds(value)))
    return tuple(found)


def _allowed(check: Check) -> str:
    """An interval in words; an end beyond all that is measured is no end."""
    if check.upper >= BOUNDLESS:
        return f"at least {check.lower:.4g}"
    if check.lower <= -BOUNDLESS:
        return f"at most {check.upper:.4g}"
    return f"{check.lower:.4g} to {check.upper:.4g}"


def make(name: str, seed: int) -> Made:
    """The entry `name` for one seed, computed once for all sessions; waits with a progress bar.

    Raises:
        Whatever the computation raises, such as BudgetError.
    """
    job = _job(name, seed)
    try:
        return jobs.result_of(job, f"Making {name}, seed {seed}")
    finally:
        if job.future.done() and job.future.exception():
            _job.clear(name, seed)  # type: ignore[attr-defined]


@st.cache_resource(max_entries=32, show_spinner=False)
def _job(name: str, seed: int) -> jobs.Job[Made]:
    entry = entries()[name]

    def work(progress: jobs.Progress) -> Made:
        from toylab.figures.book import parameters
        from toylab.pages.downloads import figure_bytes

        progress(0, 2)
        data = entry.compute(entry.config, jax.random.key(seed))
        progress(1, 2)
        figure = entry.figure(data)
        facts = {
            "toylab": metadata.version("toylab"),
            "id": entry.id,
            "seed": seed,
            "config": json.loads(json.dumps(parameters(entry.config))),
        }
        files = {form: figure_bytes(figure, form, facts) for form in ("svg", "png", "pdf")}
        alt = f"{figure.get_suptitle()}. {figure.get_label()}"
        return Made(files["svg"], alt, lines(entry, data), files)

    return jobs.start(work)
