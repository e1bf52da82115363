"""What can be set on the modular-addition page, and settings to begin with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from toylab.config import Rule
from toylab.experiments.modular import ModularConfig
from toylab.experiments.modular_config import FAST, LIVE
from toylab.pages.controls import Control

__all__ = ["CHOICES", "CONTROLS", "PRESETS", "PRIMES", "config_of"]

PRIMES = tuple(n for n in range(23, 114) if all(n % d for d in range(2, n)))
RATES = (0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.03)
RECORDS = 50  # about, whatever the number of steps
_FIELDS = ModularConfig.rules()
_SEED = Rule("int", 0, 2**32 - 1)
_PAGE = "the page ends there"
_SLOW = "more take longer than a page should make you wait; use toylab.modular.run"


class _Prime(Rule):
    """A whole number that the config also takes as a prime."""

    def complaint(self, value: Any) -> tuple[str, bool] | None:
        """What is wrong with `value`, in the config's words."""
        found = super().complaint(value)
        if found is None and value not in PRIMES:
            found = "; ".join(ModularConfig(p=value).relations()).partition(": ")[2], False
        return found


class _Listed(Rule):
    """A number of which this page offers some."""

    def complaint(self, value: Any) -> tuple[str, bool] | None:
        """What is wrong with `value`."""
        found = super().complaint(value)
        if found is None and str(value) not in self.options:
            found = f"must be one of {', '.join(self.options)}; the page has no others", False
        return found


CONTROLS = (
    Control(
        "p",
        "Modulus p",
        _FIELDS["p"],
        _Prime("int", PRIMES[0], PRIMES[-1], note=_SLOW),
        LIVE.p,
        help="A prime. The network has one output for each of the numbers 0 to p - 1. "
        "Time grows with its square.",
    ),
    Control(
        "train_fraction",
        "Share of pairs to train on",
        _FIELDS["train_fraction"],
        Rule("float", 0.1, 0.9, note=_PAGE),
        LIVE.train_fraction,
        0.05,
        "The others are the test: the network never sees them.",
    ),
    Control(
        "weight_decay",
        "Weight decay",
        _FIELDS["weight_decay"],
        Rule("float", 0, 6, note=_PAGE),
        LIVE.weight_decay,
        0.5,
        "How fast every weight shrinks on its own, relative to the learning rate.",
    ),
    Control(
        "learning_rate",
        "Learning rate",
        _FIELDS["learning_rate"],
        _Listed("float", RATES[0], RATES[-1], options=tuple(map(str, RATES)), note=_PAGE),
        LIVE.learning_rate,
        help="Of AdamW, after 10 steps of warm-up.",
    ),
    Control(
        "n_steps",
        "Steps",
        _FIELDS["n_steps"],
        Rule("int", 50, 2000, note=_SLOW),
        LIVE.n_steps,
        50,
        "Each step sees every training pair once.",
    ),
    Control("seed", "Seed", _SEED, _SEED, 0, help="The same seed gives the same numbers."),
)

CHOICES: Mapping[str, tuple[float, ...]] = {"p": PRIMES, "learning_rate": RATES}

_SHARED = ("p", "train_fraction", "weight_decay", "learning_rate", "n_steps")
_LIVE = {name: getattr(LIVE, name) for name in _SHARED}
PRESETS: Mapping[str, Mapping[str, Any]] = {
    "Watch it grok": _LIVE,
    "The paper's p = 113, slower": {name: getattr(FAST, name) for name in _SHARED},
    "No weight decay": {**_LIVE, "weight_decay": 0.0},
    "Many training pairs": {**_LIVE, "train_fraction": 0.7},
    "Few training pairs": {**_LIVE, "train_fraction": 0.25},
}


def config_of(values: Mapping[str, Any]) -> ModularConfig:
    """The config that the controls spell; raises ConfigError as `check` does."""
    fields = {name: values[name] for name in _SHARED}
    every = 10 * max(1, -(-fields["n_steps"] // (10 * RECORDS)))
    return LIVE.replace(**fields, record_every=every).check()
