"""Trainings of the modular rows: timed, measured, and kept so that a campaign can go on."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks import records, timing
from benchmarks.modular_measures import Values, measure
from benchmarks.modular_setting import Setting
from benchmarks.modular_toylab import arrays_of
from toylab import DivergedError, ModularConfig, ModularResult, modular
from toylab.analysis.training_phases import GROKKED, NEVER
from toylab.models.transformer import Transformer
from toylab.training.atomic import replace_atomically

KEY = 0
LAST_PART = 0.2


class Timed(NamedTuple):
    """A finished training.

    Attributes:
        result: what it returned; None if it diverged. complaint: then the error's text, or "".
        wall_seconds, cpu_seconds: from the config to the result with all of its measures.
        stamps: [r], wall seconds from the start to each record.
    """

    result: ModularResult | None
    complaint: str
    wall_seconds: float
    cpu_seconds: float
    stamps: list[float]


class Seed(NamedTuple):
    """One seed of a campaign, as it is kept.

    Attributes:
        seed: its number. complaint: why it diverged, "" if it did not.
        wall_seconds, cpu_seconds: of the whole training. n_steps: its length.
        phases: the last steps of memorisation, circuit formation and cleanup; -1: did not end.
        seconds_to_cleaned: wall seconds to the end of the cleanup (all if it did not end).
        held: whether at least 99 % of the test pairs were right at every record of the last fifth.
        test_accuracy: at the end.
        key_frequencies: at the end.
        values: see `modular_measures`.
    """

    seed: int
    complaint: str
    wall_seconds: float
    cpu_seconds: float
    n_steps: int
    phases: list[int]
    seconds_to_cleaned: float
    held: bool
    test_accuracy: float
    key_frequencies: list[int]
    values: Values

    @property
    def grokked(self) -> bool:
        """Whether the cleanup ended and what was reached held to the end."""
        return self.held and self.phases[2] != NEVER


def timed(config: ModularConfig) -> Timed:
    """Trains once; a training that diverges is an outcome, not an error."""
    stamps: list[float] = []
    cpu, wall = time.process_time(), time.perf_counter()

    def stamp(_: Any) -> None:
        stamps.append(time.perf_counter() - wall)

    result, complaint = None, ""
    try:
        result = modular.run(config, KEY, watch=stamp)
    except DivergedError as error:
        complaint = str(error)
    seconds = time.perf_counter() - wall, time.process_time() - cpu
    return Timed(result, complaint, *seconds, stamps)


def brief(config: ModularConfig) -> ModularConfig:
    """A training with as many records as `config`, one step apart: the same compiled programs."""
    return config.replace(n_steps=len(config.record_steps) - 1, record_every=1)


def compile_seconds(config: ModularConfig) -> float:
    """CPU seconds that the first training of a kind takes more than the second one."""
    short = brief(config)
    first, second = (timing.cpu_seconds(lambda: modular.run(short, KEY)) for _ in range(2))
    return first - second


def summary(seed: int, run: Timed) -> Seed:
    """What a campaign keeps of a transformer's training."""
    result, wall = run.result, run.wall_seconds
    if result is None:
        never = [NEVER] * 3
        return Seed(seed, run.complaint, wall, run.cpu_seconds, 0, never, wall, False, 0, [], {})
    values = measure(result)
    phases = [int(values.get(name, [NEVER])[0]) for name in ("memorised", "formed", "cleaned")]
    step, accuracy = np.asarray(result.step), np.asarray(result.test_accuracy)
    last = accuracy[step >= (1 - LAST_PART) * step[-1]]
    cleaned = run.stamps[int(np.searchsorted(step, phases[2]))] if phases[2] != NEVER else wall
    return Seed(
        seed,
        "",
        wall,
        run.cpu_seconds,
        int(step[-1]),
        phases,
        cleaned,
        bool((last >= GROKKED).all()),
        float(accuracy[-1]),
        np.asarray(result.key_frequencies).tolist(),
        values,
    )


def campaign(name: str, config: ModularConfig, seeds: list[int], setting: Setting) -> list[Seed]:
    """The seeds of one config, each trained unless its numbers are in `setting.work` already.

    The weights at the end are kept beside the numbers, as NAME-SEED.npz.
    """

    def train(seed: int) -> dict[str, Any]:
        run = timed(config.replace(seed=seed))
        if run.result is not None:
            np.savez(
                weights_path(name, seed, setting), allow_pickle=False, **arrays_of(run.result.model)
            )
        return summary(seed, run)._asdict()

    setting.work.mkdir(parents=True, exist_ok=True)
    # What the numbers depend on; the weights of other settings are not taken for these.
    identity = {
        "config": json.loads(config.to_json()),
        "threads": setting.threads,
        "machine": timing.machine(),
    }
    found = []
    for seed in seeds:
        path = setting.work / f"{name}-{seed}.json"
        path_of_weights = weights_path(name, seed, setting)
        if setting.fresh or not path_of_weights.exists():
            path.unlink(missing_ok=True)
        found.append(Seed(**resumed(path, identity, lambda seed=seed: train(seed))))
        print(f"  {name}, seed {seed}: {found[-1].wall_seconds:.1f} s", flush=True)
    return found


def weights_path(name: str, seed: int, setting: Setting) -> Path:
    """Where the weights at the end of a seed are kept."""
    return setting.work / f"{name}-{seed}.npz"


def load_transformer(path: Path) -> Transformer:
    """The network that `campaign` kept.

    Raises:
        FileNotFoundError: it was not trained yet.
    """
    if not path.exists():
        row = path.stem.rpartition("-")[0]
        raise FileNotFoundError(f"{path}: run `python -m benchmarks.modular {row}` first")
    with np.load(path) as file:
        return Transformer(**file)


def resumed(
    path: Path, identity: dict[str, Any], measured: Callable[[], dict[str, Any]]
) -> dict[str, Any]:
    """What `measured()` returns, from the file if it was measured under the same identity."""
    identity = json.loads(json.dumps(identity))
    if path.exists():
        kept = json.loads(path.read_text())
        if kept["identity"] == identity:
            print(f"  {path}: measured before; --fresh measures again", flush=True)
            return kept["numbers"]
    content = {"identity": identity, "numbers": measured()}
    text = json.dumps(records.plain(content), indent=1) + "\n"
    replace_atomically(path, text.encode())
    return json.loads(text)["numbers"]
