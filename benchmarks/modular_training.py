"""Rows published, fast and live: whole trainings of the transformer, seed by seed."""

from __future__ import annotations

import math
from contextlib import closing
from typing import Any, NamedTuple

import numpy as np

from benchmarks import records, timing
from benchmarks.modular_measures import TRANSFORMER, compare, table
from benchmarks.modular_runs import Seed, campaign, compile_seconds
from benchmarks.modular_setting import Setting
from benchmarks.modular_toylab import write_start
from benchmarks.records import Bar, Row, at_least, at_most
from toylab import ModularConfig
from toylab.analysis.training_phases import NEVER
from toylab.experiments.modular_config import FAST, LIVE, PUBLISHED

EPOCHS = 10
TORCH_WARM_UP = 3


def published(setting: Setting) -> Row:
    """Row published: the published rates to 14,000 steps, every measure beside its range."""
    config = setting.scaled(PUBLISHED)
    compiled = compile_seconds(config)
    seeds = campaign("published", config, setting.seeds(5), setting)
    lines = compare(TRANSFORMER, [seed.values for seed in seeds], "published")
    needed = math.ceil(0.8 * len(seeds))
    missed = [line.measure.words for line in lines if sum(line.within) < needed]
    bars = (
        at_most("wall minutes a seed, longest", 6.5, max(s.wall_seconds for s in seeds) / 60),
        at_least(
            f"seeds of {len(seeds)} within the range, measure with the fewest",
            needed,
            min(sum(line.within) for line in lines),
        ),
    )
    facts = _seed_facts(seeds, setting) | {
        "tables": [_seed_table(seeds), table(lines, "published", "measures, of all seeds")],
        "notes": [
            f"{len(lines) - len(missed)} of {len(lines)} measures are within their range in at "
            f"least {needed} seeds; the others: {'; '.join(missed) or 'none'}."
        ],
    }
    words = f"{config.n_steps:,} steps at the published rates with {_records(config)}, one seed"
    return _row("published", words, bars, seeds, compiled, facts)


def fast(setting: Setting) -> Row:
    """Row fast: ten times the rate, twice the decay, and how much sooner the same is reached."""
    config = setting.scaled(FAST)
    slow = _published_seeds(setting)
    epoch = _torch_epoch_seconds(setting)
    compiled = compile_seconds(config)
    seeds = campaign("fast", config, setting.seeds(10), setting._replace(fresh=True))
    lines = compare(TRANSFORMER, [seed.values for seed in seeds], "fast")
    ratio = sooner(slow, seeds, epoch)
    bars = (
        at_most("wall seconds a seed, longest", 15.0, max(s.wall_seconds for s in seeds)),
        at_least(
            "share of seeds at 99 % of the test pairs for the last fifth of the steps",
            0.9,
            float(np.mean([seed.held for seed in seeds])),
        ),
        at_least(
            "accuracy of the key cosines alone, least",
            1.0,
            _extreme(seeds, "accuracy_of_cosines", min),
        ),
        at_most(
            "accuracy without the key part, greatest",
            0.05,
            _extreme(seeds, "accuracy_without", max),
        ),
        at_least(
            "published trainer's wall time to 99 % over this, ratio of means", 300.0, ratio.trainer
        ),
    )
    facts = _seed_facts(seeds, setting) | {
        "sooner": ratio._asdict(),
        "torch_epoch_wall_seconds": epoch,
        "tables": [_seed_table(seeds), table(lines, "fast", "measures, of all seeds")],
        "notes": [_sooner_words(ratio, epoch, compiled)],
    }
    words = f"{config.n_steps} steps at rate 1e-2, decay 2 with {_records(config)}, one seed"
    return _row("fast", words, bars, seeds, compiled, facts)


def live(setting: Setting) -> Row:
    """Row live: the small modulus that a reader watches."""
    config = setting.scaled(LIVE)
    compiled = compile_seconds(config)
    seeds = campaign("live", config, setting.seeds(20), setting._replace(fresh=True))
    wall = [seed.wall_seconds for seed in seeds]
    bars = (
        at_most("wall seconds a seed, median", 5.0, float(np.median(wall))),
        at_most("wall seconds a seed, longest", 5.0, max(wall)),
        at_least(
            "share of seeds that grokked and held",
            0.95,
            float(np.mean([seed.grokked for seed in seeds])),
        ),
    )
    facts = _seed_facts(seeds, setting) | {"tables": [_seed_table(seeds)]}
    words = f"p = {config.p}, {config.n_steps} steps with {_records(config)}, one seed"
    return _row("live", words, bars, seeds, compiled, facts)


class Sooner(NamedTuple):
    """Wall time to 99 % of the test pairs (held to the end), published rates over fast ones.

    Attributes:
        trainer: mean over published seeds of epochs times torch's wall seconds an epoch, over the
            mean of toylab's fast seeds, both compiled.
        trainer_by_seed: the same of each seed that both have.
        least, greatest: the fastest published seed over the slowest fast one, and the reverse.
        toylab: toylab's own wall time at the published rates in place of torch's.
        steps: ratio of the mean numbers of steps.
    """

    trainer: float
    trainer_by_seed: list[float]
    least: float
    greatest: float
    toylab: float
    steps: float


def sooner(slow: list[Seed], quick: list[Seed], epoch_seconds: float) -> Sooner:
    """How much sooner; a seed that never got there counts with all of its steps and time.

    Example: 1,000 published steps of 0.3 s against 3 s: trainer = 100.
    """
    steps = np.array([_steps(seed) for seed in slow], float)
    ours = np.array([seed.seconds_to_cleaned for seed in quick])
    theirs = steps * epoch_seconds
    own = np.mean([seed.seconds_to_cleaned for seed in slow])
    both = min(len(slow), len(quick))
    return Sooner(
        float(theirs.mean() / ours.mean()),
        (theirs[:both] / ours[:both]).tolist(),
        float(theirs.min() / ours.max()),
        float(theirs.max() / ours.min()),
        float(own / ours.mean()),
        float(steps.mean() / np.mean([_steps(seed) for seed in quick])),
    )


def _sooner_words(ratio: Sooner, epoch: float, compiled: float) -> str:
    by_seed = ", ".join(f"{value:.0f}" for value in ratio.trainer_by_seed)
    return (
        "Time to 99 %: to the record from which 99 % of the test pairs stay right, all records on "
        f"the way included. The published trainer takes its steps at {epoch:.3g} wall s an epoch; "
        f"ratio seed by seed {by_seed}; between any two seeds {ratio.least:.0f} to "
        f"{ratio.greatest:.0f}. toylab at the published rates against the same: "
        f"{ratio.toylab:.0f}; in steps alone: {ratio.steps:.1f}. Compiling, {compiled:.2g} CPU s, "
        "is not in it."
    )


def _steps(seed: Seed) -> int:
    return seed.n_steps if seed.phases[2] == NEVER else seed.phases[2]


def _published_seeds(setting: Setting) -> list[Seed]:
    path = setting.results / records.MODULAR.folder / "published.json"
    if not path.exists():
        raise FileNotFoundError(f"{path}: run `python -m benchmarks.modular published` first")
    return [Seed(**seed) for seed in records.read(path).facts["seeds"]]


def _torch_epoch_seconds(setting: Setting) -> float:
    """Median wall seconds of an epoch of the published trainer, on all the cores in use."""
    start = setting.work.resolve() / "start-nanda.npz"
    write_start(start, setting.scaled(PUBLISHED))
    cores = timing.usable_cores()[: setting.threads]
    request = {
        "work": "nanda-epoch",
        "n_steps": EPOCHS + TORCH_WARM_UP,
        "weights": str(start),
        "threads": len(cores),
    }
    with closing(timing.Served(setting.torch_python, "benchmarks.modular_torch", cores)) as torch:
        answers = [torch.ask(request) for _ in range(setting.repeats)]
    return float(np.median([found["wall_seconds"] / found["n_steps"] for found in answers]))


def _extreme(seeds: list[Seed], name: str, choose: Any) -> float:
    """The least or greatest value of any seed; nan, which keeps no bar, if one has none."""
    values = [value for seed in seeds for value in seed.values.get(name, [math.nan])]
    return math.nan if any(map(math.isnan, values)) else choose(values)


def _records(config: ModularConfig) -> str:
    return f"{len(config.record_steps)} records"


def _seed_facts(seeds: list[Seed], setting: Setting) -> dict[str, Any]:
    return {"threads": setting.threads, "seeds": [seed._asdict() for seed in seeds]}


def _seed_table(seeds: list[Seed]) -> dict[str, Any]:
    """Every seed, also those that failed."""
    header = ["seed", "wall s", "memorised", "formed", "cleaned", "test accuracy", "keys", "held"]
    rows = []
    for seed in seeds:
        ends = ["-" if step == NEVER else step for step in seed.phases]
        held = seed.complaint or ("yes" if seed.held else "**no**")
        keys = " ".join(map(str, seed.key_frequencies)) or "-"
        rows.append([seed.seed, seed.wall_seconds, *ends, seed.test_accuracy, keys, held])
    return {"title": "seeds and the last steps of their phases", "header": header, "rows": rows}


def _row(
    name: str,
    words: str,
    bars: tuple[Bar, ...],
    seeds: list[Seed],
    compiled: float,
    facts: dict[str, Any],
) -> Row:
    cpu = float(np.median([seed.cpu_seconds for seed in seeds]))
    return Row(name, words, bars, cpu, compiled, timing.machine(), facts)
