"""The errors that toylab raises on purpose, each with a text that says what to write instead.

A message reads `<name>=<value>: <what is allowed, or why>`, one line for each violation, and is the
same in Python, on the command line and in the app. All of them are raised before anything is
compiled or allocated, except `DivergedError`, which reports what a finished run has recorded.
"""

from __future__ import annotations

__all__ = ["BudgetError", "ConfigError", "ConfigTypeError", "DivergedError", "FormatError", "shown"]


class ConfigError(ValueError):
    """A value that is out of range, contradictory or unknown."""


class ConfigTypeError(ConfigError, TypeError):
    """A value of the wrong type; both `except ConfigError` and `except TypeError` catch it."""


class BudgetError(ConfigError):
    """A valid request whose predicted memory or time exceeds the limit."""


class DivergedError(RuntimeError):
    """A training whose loss or gradient stopped being finite, with the step at which it did."""


class FormatError(ValueError):
    """A file that is damaged, foreign, or written by a newer version."""


def shown(value: object, limit: int = 80) -> str:
    """The value's repr cut to `limit` characters, so that a huge argument makes a short message."""
    try:
        text = repr(value)
    except ValueError:  # an int of more digits than Python prints
        text = "a huge int"
    return text if len(text) <= limit else text[: limit - 3] + "..."
