"""The training behind the modular-addition page: its moments, its phases, and who watches it."""

from __future__ import annotations

import itertools
import math
import time
from typing import Any, NamedTuple

import numpy as np
import streamlit as st

from toylab.analysis.training_phases import GROKKED, NEVER, Phases, training_phases
from toylab.errors import DivergedError
from toylab.experiments import modular
from toylab.experiments.modular import ModularConfig, ModularResult
from toylab.pages import jobs

__all__ = [
    "PHASES",
    "Moment",
    "Training",
    "View",
    "moment",
    "name_phase",
    "training_of",
    "view_of",
]

PHASES = ("Memorising", "Circuit forming", "Cleaning up", "Grokked")
MEMORISED = 0.99
PATIENCE = 20.0  # seconds that a training goes on unseen


class Moment(NamedTuple):
    """What one record says, without the network.

    Attributes:
        step: steps done.
        train_loss, test_loss, train_accuracy, test_accuracy: as recorded.
        share: [K], each frequency's share of the logits' variance.
    """

    step: int
    train_loss: float
    test_loss: float
    train_accuracy: float
    test_accuracy: float
    share: np.ndarray


class View(NamedTuple):
    """A finished training as the page shows it.

    Attributes:
        result: the networks and their curves.
        moments: one for each record.
        phases: the borders of memorisation, circuit formation and cleanup.
        keys: the key frequencies, strongest first.
        seed: of the training.
    """

    result: ModularResult
    moments: tuple[Moment, ...]
    phases: Phases
    keys: tuple[int, ...]
    seed: int

    @property
    def p(self) -> int:
        """The modulus."""
        return self.result.config.p

    @property
    def name(self) -> str:
        """Which training this is, for keys of widgets and caches."""
        return f"{self.result.config.fingerprint()} {self.seed}"


def moment(record: Any) -> Moment:
    """The small part of a `Record`."""
    return Moment(
        int(record.step),
        float(record.train_loss),
        float(record.test_loss),
        float(record.train_accuracy),
        float(record.test_accuracy),
        np.asarray(record.share, np.float64),
    )


def view_of(result: ModularResult, seed: int) -> View:
    """Read a finished training."""
    share = np.asarray(result.progress.share, np.float64)
    columns = (
        result.step,
        result.train_loss,
        result.test_loss,
        result.train_accuracy,
        result.test_accuracy,
    )
    rows = zip(*(np.asarray(column).tolist() for column in columns), share, strict=True)
    moments = tuple(itertools.starmap(Moment, rows))
    phases = training_phases(
        result.step,
        result.progress.excluded_loss,
        result.test_loss,
        result.test_accuracy,
        result.config.p,
    )
    found = [int(k) for k in result.key_frequencies]
    keys = tuple(sorted(found, key=lambda k: -moments[-1].share[k - 1]))
    return View(result, moments, phases, keys, seed)


def name_phase(seen: Moment, p: int, view: View | None = None) -> str:
    """Memorising, circuit forming, cleaning up or grokked: the phase of one record.

    While a training runs its key frequencies and its end are unknown: then memorising is over at
    99 % of the training pairs, and grokked is whoever has 99 % of the test pairs now. In the end
    the borders of `training_phases` tell, and without key frequencies there is no circuit.
    """
    if view is None:
        memorised = seen.train_accuracy >= MEMORISED
        over = (
            memorised,
            memorised and seen.test_loss < math.log(p),
            seen.test_accuracy >= GROKKED,
        )
    else:
        memorised, formed, cleaned = (int(step) for step in view.phases)
        over = (
            NEVER != memorised < seen.step and len(view.keys) > 0,
            NEVER != formed < seen.step and len(view.keys) > 0,
            NEVER != cleaned <= seen.step,
        )
    return PHASES[max((i + 1 for i, passed in enumerate(over) if passed), default=0)]


class _UnseenError(RuntimeError):
    """Nobody looked at a training for a while."""


class Training:
    """A training that sessions share: its moments so far, and its job."""

    def __init__(self, config: ModularConfig, seed: int) -> None:
        self.config, self.seed = config, seed
        self.moments: list[Moment] = []
        self.looked_at = time.monotonic()
        self.job = jobs.start(self._work)

    def _work(self, progress: jobs.Progress) -> View:
        result = modular.run(self.config, self.seed, watch=self._watch, progress=progress)
        return view_of(result, self.seed)

    def _watch(self, record: Any) -> None:
        self.moments.append(moment(record))
        if time.monotonic() - self.looked_at > PATIENCE:
            raise _UnseenError

    @property
    def done(self) -> bool:
        """Whether it has ended, well or not."""
        return self.job.future.done()

    @property
    def error(self) -> BaseException | None:
        """What a training that has ended raised."""
        return self.job.future.exception() if self.done else None

    @property
    def view(self) -> View:
        """What a training that has ended has to show; raises as `modular.run` does."""
        return self.job.future.result()


def training_of(config: ModularConfig, seed: int, held: Training | None = None) -> Training:
    """The training of these settings: the one `held`, or one shared, begun now if there is none.

    One that was given up because nobody watched, or refused for want of memory, begins again.
    """
    key = (config.to_json(), seed)
    fits = held is not None and (held.config, held.seed) == (config, seed) and held.error is None
    training = held if held is not None and fits else _training(*key)
    if isinstance(training.error, _UnseenError):
        _training.clear(*key)  # type: ignore[attr-defined]
        training = _training(*key)
    elif training.error is not None and not isinstance(training.error, DivergedError):
        _training.clear(*key)  # type: ignore[attr-defined]
    training.looked_at = time.monotonic()
    return training


@st.cache_resource(max_entries=6, show_spinner=False)
def _training(config_json: str, seed: int) -> Training:
    return Training(ModularConfig.from_json(config_json), seed)
