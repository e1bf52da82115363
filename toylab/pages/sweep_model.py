"""The maps behind the sweep page: a model in every cell, shared by sessions, filled one by one."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import streamlit as st

from toylab import Grid, grid, sweep
from toylab.analysis.portrait import portrait
from toylab.analysis.superposition import dims_per_feature, mean_interference, n_represented
from toylab.config import Rule
from toylab.errors import ConfigError, shown
from toylab.experiments import superposition
from toylab.experiments.superposition import SuperpositionConfig, SuperpositionResult
from toylab.figures.palette import rounded
from toylab.pages import jobs
from toylab.pages.controls import Control
from toylab.pages.superposition_model import exact

__all__ = [
    "AXES",
    "CONTROLS",
    "MEASURES",
    "SETTINGS",
    "Map",
    "Measure",
    "Spot",
    "map_of",
    "plan_of",
    "values_along",
]

PATIENCE = 20.0  # seconds without a look after which a map is given up
LEAST_DENSITY = 0.01
AXES: Mapping[str, str] = {
    "sparsity": "Sparsity",
    "n_features": "Features",
    "n_hidden": "Hidden dimensions",
}
SETTINGS = (*AXES, "importance_decay")
"""Every field of the config that the page sets."""
_FIELDS = SuperpositionConfig.rules()
_AXIS = Rule("choice", options=tuple(AXES))
_SEED = Rule("int", 0, 2**32 - 1)
_SLOW = "more take longer than a page should make you wait; use toylab.sweep"
_CELLS = Rule("int", 3, 24, note=_SLOW)
_STARTS = Rule("int", 1, 16, note=_SLOW)


class Measure(NamedTuple):
    """What the colour of a cell stands for; the printed map has the same numbers.

    Attributes:
        label: what the reader sees.
        of: W [n_hidden, n_features] -> the number; None for the loss.
        note: what it means.
    """

    label: str
    of: Callable[[Any], Any] | None
    note: str


MEASURES: Mapping[str, Measure] = {
    "mean_interference": Measure(
        "Mean interference", mean_interference,
        "What all others write along a feature (a root of squares), mean of the represented ones.",
    ),
    "n_represented": Measure(
        "Features represented", n_represented, "Features whose vector is longer than 0.5.",
    ),
    "dims_per_feature": Measure(
        "Dimensions per feature", dims_per_feature,
        "Hidden dimensions over the sum of squared lengths; below 1, there is superposition.",
    ),
    "loss": Measure(
        "Loss", None, "Importance × squared error, mean over examples and features.",
    ),
}  # fmt: skip

CONTROLS = (
    Control("across", "Across", _AXIS, _AXIS, "sparsity", words=AXES,
            help="The horizontal axis. Sparsity runs from 0 to 0.99, evenly in the logarithm of "
                 "the density 1 - sparsity."),
    Control("up", "Up", _AXIS, _AXIS, "n_hidden", words=AXES, help="The vertical axis."),
    Control("cells", "Values along an axis", _CELLS, _CELLS, 12,
            help="At most; sizes are whole numbers, so there may be fewer."),
    Control("n_features", "Features", _FIELDS["n_features"], Rule("int", 2, 32, note=_SLOW), 12,
            help="As an axis, up to so many. Up to 8, the exact expected loss is minimised; "
                 "above, the models are trained on samples."),
    Control("n_hidden", "Hidden dimensions", _FIELDS["n_hidden"], Rule("int", 1, 32, note=_SLOW),
            6, help="As an axis, up to so many."),
    Control("sparsity", "Sparsity", _FIELDS["sparsity"],
            Rule("float", 0, 0.99, note="the page ends there"), 0.9, 0.01,
            "Where it is no axis: the probability that a feature is zero in an example."),
    Control("importance_decay", "Importance decay", _FIELDS["importance_decay"],
            Rule("float", 0.5, 1, note="the page ends there"), 0.85, 0.05,
            "In the loss, each feature counts this much of the one before it. At 1, a dense model "
            "has no reason to prefer one to the other."),
    Control("n_starts", "Random starts", _STARTS, _STARTS, 4,
            help="Each cell shows the best of so many."),
    Control("seed", "Seed", _SEED, _SEED, 0, help="The same seed gives the same numbers."),
)  # fmt: skip


class Spot(NamedTuple):
    """One model of a map.

    Attributes:
        across, up: values of the axes.
        config: of the model. values: its measures by name. shape: what its features form.
    """

    across: float
    up: float
    config: SuperpositionConfig
    values: Mapping[str, float]
    shape: str


class _StoppedError(RuntimeError):
    """A reader pressed the button, or nobody looked for a while."""


def values_along(name: str, values: Mapping[str, Any]) -> list[float]:
    """The values of one axis: densities from 1 to 0.01 evenly by ratio, or sizes up to the limit.

    Args:
        name: a key of `AXES`. values: of the controls.
    """
    count = values["cells"]
    if name == "sparsity":
        return [float(x) for x in rounded(1 - np.geomspace(1, LEAST_DENSITY, count), 3)]
    low, high = (2 if name == "n_features" else 1), values[name]
    return sorted({int(x) for x in np.round(np.linspace(low, high, count))})


def plan_of(values: Mapping[str, Any]) -> Grid[SuperpositionConfig]:
    """The grid that the controls spell, up first.

    Raises:
        ConfigError: `across='sparsity': must differ from up`, or as the config does.
    """
    across, up = values["across"], values["up"]
    if across == up:
        raise ConfigError(f"across={shown(across)}: must differ from up")
    fixed = {name: values[name] for name in SETTINGS if name not in (across, up)}
    axes = {name: values_along(name, values) for name in (up, across)}
    return grid(SuperpositionConfig(**fixed), **axes)


class Map:
    """A sweep that sessions share: the cells so far, and its job."""

    def __init__(self, plan: Grid[SuperpositionConfig], n_starts: int, seed: int) -> None:
        self.plan, self.n_starts, self.seed = plan, n_starts, seed
        self.spots: list[Spot] = []
        self.stopped = False
        self.looked_at = time.monotonic()
        self.job = jobs.start(self._work)

    @property
    def exact(self) -> bool:
        """Whether every cell minimises the exact loss; else all are trained on samples."""
        return all(exact(config) for config in self.plan.configs)

    @property
    def total(self) -> int:
        """How many cells there are."""
        return len(self.plan.configs)

    @property
    def done(self) -> bool:
        """Whether it has ended, well or not."""
        return self.job.future.done()

    @property
    def error(self) -> BaseException | None:
        """What ended it early; None for a map that is whole, runs, or was stopped."""
        found = self.job.future.exception() if self.done else None
        return None if isinstance(found, _StoppedError) else found

    @property
    def result(self) -> SuperpositionResult | None:
        """The whole sweep; None until it has ended well."""
        return self.job.future.result() if self.done and not self.job.future.exception() else None

    def _work(self, progress: jobs.Progress) -> SuperpositionResult:
        method = superposition.solve if self.exact else superposition.run
        run = functools.partial(method, n_starts=self.n_starts)
        return sweep(run, self.plan, self.seed, progress=self._watch, each=self._add)

    def _watch(self, done: int, total: int) -> None:
        if self.stopped or time.monotonic() - self.looked_at > PATIENCE:
            self.stopped = True
            raise _StoppedError

    def _add(self, index: int, result: SuperpositionResult) -> None:
        W, config = result.model.W[...], self.plan.configs[index]
        values = {
            name: float(result.loss if measure.of is None else measure.of(W))
            for name, measure in MEASURES.items()
        }
        (up, _), (across, _) = self.plan.axes
        place = getattr(config, across), getattr(config, up)
        shape = portrait(rounded(W), rounded(result.model.b[...])).polytope.name
        self.spots.append(Spot(*place, config, values, shape))


def map_of(plan: Grid[SuperpositionConfig], n_starts: int, seed: int) -> Map:
    """The map of these settings, begun now if there is none; a stopped one begins again."""
    key = (plan, n_starts, seed)
    found = _map(*key)
    if found.error is not None or (found.stopped and found.done):
        _map.clear(*key)  # type: ignore[attr-defined]
        if found.error is None:
            found = _map(*key)
    found.looked_at = time.monotonic()
    return found


@st.cache_resource(max_entries=16, show_spinner=False, hash_funcs={Grid: Grid.to_json})
def _map(plan: Grid[SuperpositionConfig], n_starts: int, seed: int) -> Map:
    return Map(plan, n_starts, seed)
