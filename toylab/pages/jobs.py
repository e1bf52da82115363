"""Trainings that the app's sessions share: each asked for once, a few at a time, watched.

Threads of sessions wait for a job and draw its progress; a small pool of threads does the work.
(A plain `st.cache_data` could not draw progress, and would copy the result for every rerun.)
"""

from __future__ import annotations

import os
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Generic, Protocol, TypeVar

import streamlit as st

__all__ = ["Job", "Progress", "Work", "result_of", "start"]

PATIENCE = 0.4  # seconds without a word
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class Progress(Protocol):
    """Told from time to time how much of the work is done."""

    def __call__(self, done: int, total: int) -> None: ...


class Work(Protocol[R_co]):
    """What a job does."""

    def __call__(self, progress: Progress) -> R_co: ...


class Job(Generic[R]):
    """One piece of work, waiting in the queue, running or done."""

    def __init__(self, work: Work[R], pool: ThreadPoolExecutor) -> None:
        self.share_done = 0.0
        self.future: Future[R] = pool.submit(work, self._report)

    def _report(self, done: int, total: int) -> None:
        self.share_done = done / max(total, 1)


def start(work: Work[R]) -> Job[R]:
    """Queue some work; keep the job with `st.cache_resource`, so that all sessions share it."""
    return Job(work, _pool())


@st.cache_resource(show_spinner=False)
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(min(2, os.cpu_count() or 1), thread_name_prefix="training")


def result_of(job: Job[R], doing: str) -> R:
    """Wait for a job; after a moment with a progress bar that says what it is `doing`.

    Raises:
        Whatever the work raised.
    """
    if not wait([job.future], PATIENCE).done:
        place = st.empty()
        while not wait([job.future], 0.1).done:
            place.progress(job.share_done, text=doing)
        place.empty()
    return job.future.result()
