"""A progress line for work that lasts more than a second."""

from __future__ import annotations

import time
from typing import TextIO

WIDTH = 24


class ProgressLine:
    """`label [#####.....] 5/10, 3 s left`, drawn over itself on a terminal.

    Nothing is written in the first second. A stream that is no terminal (a log) gets a line of its
    own every ten seconds instead. As a context it removes the line from the terminal at the end.
    """

    def __init__(self, label: str, stream: TextIO) -> None:
        self.label, self.stream = label, stream
        self.started = self.written = time.monotonic()
        self.drawn = 0

    def __enter__(self) -> ProgressLine:
        return self

    def __exit__(self, *error: object) -> None:
        if self.drawn:
            self._write("\r" + " " * self.drawn + "\r")

    def __call__(self, done: int, total: int) -> None:
        """Shows that `done` of `total` pieces are finished."""
        now = time.monotonic()
        terminal = self.stream.isatty()
        pause = 0.1 if terminal else 10.0
        if now - self.started < 1.0 or now - self.written < pause:
            return
        self.written = now
        text = self.text(done, total, now - self.started)
        if not terminal:
            self._write(text + "\n")
            return
        self._write("\r" + text.ljust(self.drawn))
        self.drawn = max(self.drawn, len(text))

    def text(self, done: int, total: int, seconds: float) -> str:
        """The line after so many seconds."""
        filled = WIDTH * done // max(total, 1)
        bar = "#" * filled + "." * (WIDTH - filled)
        left = f", {seconds * (total - done) / done:.0f} s left" if done else ""
        return f"{self.label} [{bar}] {done}/{total}{left}"

    def _write(self, text: str) -> None:
        self.stream.write(text)
        self.stream.flush()
