import io

import pytest

from toylab import progress
from toylab.progress import ProgressLine


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test sets; it starts at 100 s."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_text_shows_share_and_remaining_time():
    # half of the work took 3 s, so 3 s are left
    assert ProgressLine("training", io.StringIO()).text(5, 10, 3.0) == (
        "training [############............] 5/10, 3 s left"
    )
    assert ProgressLine("x", io.StringIO()).text(0, 10, 3.0) == "x [" + "." * 24 + "] 0/10"


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()])
def test_the_first_second_is_silent(clock, stream):
    with ProgressLine("training", stream) as line:
        clock[0] += 0.9
        line(1, 2)
    assert stream.getvalue() == ""


def test_a_terminal_gets_one_line_that_is_wiped(clock):
    stream = Terminal()
    with ProgressLine("t", stream) as line:
        for done in (1, 2):
            clock[0] += 2.0
            line(done, 4)
            line(done, 4)  # too soon to draw again
    first = f"t [{'#' * 6}{'.' * 18}] 1/4, 6 s left"
    second = f"t [{'#' * 12}{'.' * 12}] 2/4, 4 s left"
    assert stream.getvalue() == f"\r{first}\r{second}\r{' ' * len(first)}\r"


def test_a_log_gets_a_line_each_ten_seconds(clock):
    stream = io.StringIO()
    with ProgressLine("t", stream) as line:
        for _ in range(12):
            clock[0] += 2.0
            line(1, 2)
    assert stream.getvalue().splitlines() == [
        f"t [{'#' * 12}{'.' * 12}] 1/2, {seconds} s left" for seconds in (10, 20)
    ]
