"""Jobs: the work of a thread, watched from others."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from toylab.pages.jobs import Job, Progress, result_of


@pytest.fixture
def pool():
    with ThreadPoolExecutor(1) as threads:
        yield threads


def test_a_job_reports_the_share_that_is_done(pool: ThreadPoolExecutor) -> None:
    reported, go_on = threading.Event(), threading.Event()

    def work(progress: Progress) -> str:
        progress(1, 4)
        reported.set()
        go_on.wait(30)
        return "done"

    job = Job(work, pool)
    assert reported.wait(30)
    assert job.share_done == 0.25
    go_on.set()
    assert result_of(job, "working") == "done"


def test_what_the_work_raises_reaches_whoever_waits(pool: ThreadPoolExecutor) -> None:
    def work(progress: Progress) -> None:
        raise ValueError("n=0: no")

    with pytest.raises(ValueError, match=r"^n=0: no$"):
        result_of(Job(work, pool), "working")
