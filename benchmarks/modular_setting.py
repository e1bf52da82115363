"""What the modular rows are measured with; imports no jax, which must find its variables set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from toylab import ModularConfig

SMOKE = {"p": 13, "learning_rate": 1e-2, "n_steps": 200, "record_every": 20}


class Setting(NamedTuple):
    """What a row is measured with.

    Attributes:
        torch_python: an interpreter that has torch.
        work: folder of what finished seeds leave behind: their numbers and weights.
        results: folder of all rows' JSON.
        repeats: pairs of measurements.
        n_seeds: how many seeds, or None for the row's own number.
        threads: of each operation, where a row does not say otherwise.
        fresh: whether to train finished seeds again.
        smoke: whether to run everything at p = 13 for a few steps, to see that it runs.
    """

    torch_python: str
    work: Path
    results: Path
    repeats: int
    n_seeds: int | None
    threads: int
    fresh: bool
    smoke: bool

    def seeds(self, default: int) -> list[int]:
        """The seeds of a row."""
        return list(range(default if self.n_seeds is None else self.n_seeds))

    def scaled(self, config: ModularConfig) -> ModularConfig:
        """The config, or a tiny one like it."""
        if not self.smoke:
            return config
        fraction = max(config.train_fraction, 0.8)
        return config.replace(**SMOKE, d_model=16, d_mlp=32, train_fraction=fraction)
