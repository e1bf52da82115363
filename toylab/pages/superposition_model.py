"""The model behind the superposition page: its controls, its config, and its shared training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import streamlit as st

from toylab.analysis.portrait import Portrait, portrait, starts_near_best
from toylab.config import Rule
from toylab.experiments import superposition
from toylab.experiments.superposition import SuperpositionConfig, SuperpositionResult
from toylab.figures.palette import rounded
from toylab.pages import jobs
from toylab.pages.controls import Control

__all__ = ["CONTROLS", "View", "config_of", "exact", "look", "view_of"]

MAX_EXACT = 8
_FIELDS = SuperpositionConfig.rules()
_SEED = Rule("int", 0, 2**32 - 1)
_STARTS = Rule("int", 1, 16, note="more take longer than a page should make you wait")
_SIZES = "larger ones take longer than a page should make you wait; use toylab.superposition.run"

CONTROLS = (
    Control("sparsity", "Sparsity", _FIELDS["sparsity"],
            Rule("float", 0, 0.99, note="the page ends there"), 0.95, 0.01,
            "The probability that a feature is zero in an example."),
    Control("n_features", "Features", _FIELDS["n_features"], Rule("int", 2, 32, note=_SIZES), 5,
            help="Numbers that the model is given and asked to give back. Up to 8, the exact "
                 "expected loss is minimised; above, the model is trained on samples."),
    Control("n_hidden", "Hidden dimensions", _FIELDS["n_hidden"], Rule("int", 1, 8, note=_SIZES),
            2, help="Numbers through which all features must pass."),
    Control("importance_decay", "Importance decay", _FIELDS["importance_decay"],
            Rule("float", 0.5, 1, note="the page ends there"), 1.0, 0.05,
            "In the loss, each feature counts this much of the one before it; at 1, all count "
            "the same."),
    Control("activation", "Output", _FIELDS["activation"],
            Rule("choice", options=("relu", "gelu", "linear")), "relu",
            help="The function f that gives the output from WᵀW x + b.",
            words={"relu": "ReLU", "gelu": "GELU", "linear": "linear"}),
    Control("n_starts", "Random starts", _STARTS, _STARTS, 8,
            help="The best of so many trainings is shown; a single one often ends in a local "
                 "minimum."),
    Control("seed", "Seed", _SEED, _SEED, 0, help="The same seed gives the same numbers."),
)


class View(NamedTuple):
    """What the page shows.

    Attributes:
        result: the trained model.
        seen: its measures.
        n_near: how many starts ended within 1 % of the best.
        seed: of the training.
    """

    result: SuperpositionResult
    seen: Portrait
    n_near: int
    seed: int

    @property
    def n_starts(self) -> int:
        """How many starts were made."""
        return len(self.result.start_losses)


def config_of(values: Mapping[str, Any]) -> SuperpositionConfig:
    """The config that the controls spell; raises ConfigError as `check` does."""
    return SuperpositionConfig(**{k: v for k, v in values.items() if k in _FIELDS}).check()


def exact(config: SuperpositionConfig) -> bool:
    """Whether the page minimises the exact expected loss instead of training on samples."""
    return config.n_features <= MAX_EXACT


def view_of(result: SuperpositionResult, seed: int) -> View:
    """Measure a trained model, with its numbers rounded as the printed figures do."""
    seen = portrait(rounded(result.model.W[...]), rounded(result.model.b[...]))
    return View(result, seen, starts_near_best(result.start_losses), seed)


def look(config: SuperpositionConfig, seed: int, n_starts: int) -> View:
    """Train and measure, once for all sessions, with a progress bar when it takes a while.

    Raises:
        ConfigError, BudgetError, DivergedError: as `superposition.solve` and `run` do.
    """
    key = (config.to_json(), seed, n_starts)
    how = "Minimising the exact loss" if exact(config) else "Training on samples"
    doing = f"{how}: {config.n_features} features, {config.n_hidden} dimensions, {n_starts} starts"
    job = _job(*key)
    try:
        return jobs.result_of(job, doing)
    finally:
        if job.future.done() and job.future.exception():
            _job.clear(*key)  # type: ignore[attr-defined]  # free memory may allow it later


@st.cache_resource(max_entries=64, show_spinner=False)
def _job(config_json: str, seed: int, n_starts: int) -> jobs.Job[View]:
    config = SuperpositionConfig.from_json(config_json)
    method = superposition.solve if exact(config) else superposition.run

    def work(progress: jobs.Progress) -> View:
        return view_of(method(config, seed, n_starts=n_starts, progress=progress), seed)

    return jobs.start(work)
