"""The rows of the benchmark: toylab's side, the scorer, and the bars of each."""

from __future__ import annotations

import functools
import itertools
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

import toylab
from benchmarks import phases, scoring, timing
from benchmarks.records import Bar, Row
from benchmarks.works import WORKS, Work

Result = toylab.SuperpositionResult
SCORING_SEED = 2209_10652
N_POSITIONS = 200
# In 2 -> 1 one sparse cell in 2,500 misses its optimum with 10 starts.
PHASE_STARTS = {2: 16, 3: 10}


class Setting(NamedTuple):
    """What a row is measured with.

    Attributes:
        torch_python: an interpreter that has torch.
        weights: folder where the weights of finished baselines are kept.
        repeats: pairs of measurements, or runs.
        steps: steps of the baseline in each pair, extrapolated to 10,000.
        core: the core that both sides are pinned to.
    """

    torch_python: str
    weights: Path
    repeats: int
    steps: int
    core: int


class Target(NamedTuple):
    """The bars of one row against the baseline, and toylab's own way to reach them.

    Attributes:
        run: what `toylab.sweep` calls for every cell.
        changes: config fields that differ from their defaults.
        cell: upper limit of the ratio of losses in every cell.
        mean: upper limit of its geometric mean over cells and seeds.
        speed: lower limit of the ratio of CPU times.
        n_examples: Monte Carlo examples of the scorer; 0 scores by quadrature.
        seeds: baselines to compare with.
        words: what toylab does, for the table.
        floor: whether to say how low the loss can get.
    """

    run: Callable[..., Result]
    changes: dict[str, Any]
    cell: float
    mean: float
    speed: float
    n_examples: int
    seeds: tuple[int, ...]
    words: str
    floor: bool = False


TARGETS = {
    "5-2": Target(
        functools.partial(toylab.superposition.solve, n_starts=8),
        {},
        cell=1.01,
        mean=0.85,
        speed=500.0,
        n_examples=0,
        seeds=(0, 1, 2),
        words="5 features in 2 dimensions, importance 0.9^i, 10 densities, `solve` best of 8",
        floor=True,
    ),
    "20-5": Target(
        functools.partial(toylab.superposition.run, n_starts=6),
        {"learning_rate": 4e-2, "n_steps": 350, "batch_size": 512},
        cell=1.005,
        mean=1.005,
        speed=50.0,
        n_examples=2**22,
        seeds=(0, 1, 2),
        words="20 features in 5 dimensions, importance 0.7^i, 10 densities, `run` best of 6",
    ),
    "200-20": Target(
        functools.partial(toylab.superposition.run, n_starts=2),
        {"learning_rate": 1e-2, "n_steps": 2000, "batch_size": 512},
        cell=1.005,
        mean=1.005,
        speed=30.0,
        n_examples=2**18,
        seeds=(0,),
        words="200 features in 20 dimensions, importance 1, 20 densities, `run` best of 2",
    ),
}


def against_baseline(name: str, setting: Setting) -> Row:
    """Rows 5-2, 20-5 and 200-20: losses and CPU time beside the PyTorch recipe."""
    work, target = WORKS[name], TARGETS[name]
    baselines = [_baseline(work, seed, setting) for seed in target.seeds]
    torch = timing.Served(setting.torch_python, "benchmarks.baseline_torch", [setting.core])
    results: list[scoring.Weights] = []

    def ours(repeat: int) -> float:
        return timing.cpu_seconds(
            lambda: results.append(_train(work, target.run, target.changes, repeat))
        )

    def theirs(repeat: int) -> float:
        answer = torch.ask({"work": name, "n_steps": setting.steps, "seed": repeat})
        return 10_000 * answer["cpu_seconds"] / answer["n_steps"]

    jax.clear_caches()
    first = ours(0)
    results.clear()
    pairs = timing.alternate(ours, theirs, setting.repeats)
    torch.close()
    sides = [(base["W"], base["b"]) for base in baselines]
    comparisons = _compare(work, target, results, sides)
    means = [scoring.geometric_mean(comparison.ratio) for comparison in comparisons]
    largest = max(comparison.ratio.max() for comparison in comparisons)
    bars = (
        Bar("ratio of losses, largest of any cell and seeds", True, target.cell, largest),
        Bar("ratio of losses, geometric mean of all", True, target.mean, float(np.mean(means))),
        Bar("ratio of CPU times, median", False, target.speed, float(np.median(pairs.ratios))),
    )
    notes = [_full_runs(baselines, pairs)]
    if target.floor:
        notes.append(_floor(work, target, sides))
    seconds = float(np.median(pairs.ours))
    facts = {
        "density": work.densities,
        "scorer": _scorer_words(target),
        **comparisons[0]._asdict(),
        "notes": notes,
        "largest_ratio": [comparison.ratio.max() for comparison in comparisons],
        "geometric_mean": means,
        "toylab_seeds": list(range(setting.repeats)),
        "baseline_seeds": target.seeds,
        "toylab_config": target.changes,
        "cpu_seconds": pairs.ours,
        "baseline_cpu_seconds_extrapolated": pairs.theirs,
        "baseline_steps_in_each_pair": setting.steps,
        "baseline_cpu_seconds_full_runs": [float(base["cpu_seconds"]) for base in baselines],
        "baseline_cpu_seconds": float(np.median(pairs.theirs)),
        "ratio_of_cpu": pairs.ratios,
    }
    return Row(name, target.words, bars, seconds, first - seconds, timing.machine(), facts)


def _full_runs(baselines: list[dict[str, np.ndarray]], pairs: timing.Pairs) -> str:
    """Says how the timed part of the baseline compares with the runs that went to the end."""
    whole = ", ".join(f"{float(base['cpu_seconds']):.4g}" for base in baselines)
    return (
        f"Baseline: torch {baselines[0]['torch']}; complete runs took {whole} CPU s, the part "
        f"timed in turn with toylab extrapolates to {np.median(pairs.theirs):.4g}."
    )


def _floor(work: Work, target: Target, sides: list[scoring.Weights]) -> str:
    """Says how far below the baseline anything could get: the best of 64 starts."""
    solve = functools.partial(toylab.superposition.solve, n_starts=64)
    best = _train(work, solve, target.changes, seed=1)
    comparisons = _compare(work, target, [best], sides)
    means = ", ".join(f"{scoring.geometric_mean(found.ratio):.3f}" for found in comparisons)
    return (
        f"The best of 64 starts, the lowest loss known, has geometric means {means} against seeds "
        f"{', '.join(map(str, target.seeds))} of the baseline, a single start each."
    )


def _train(
    work: Work, run: Callable[..., Result], changes: dict[str, Any], seed: int
) -> scoring.Weights:
    """toylab's side from the configs to the weights in numpy."""
    config = toylab.SuperpositionConfig(
        n_features=work.n_features,
        n_hidden=work.n_hidden,
        importance_decay=work.importance_decay,
        **changes,
    )
    configs = toylab.grid(config, sparsity=[float(1.0 - p) for p in work.densities])
    result = toylab.sweep(run, configs, jax.random.key(seed))
    return np.asarray(result.model.W), np.asarray(result.model.b)


def _baseline(work: Work, seed: int, setting: Setting) -> dict[str, np.ndarray]:
    """The finished baseline's weights, trained now if the folder does not hold them yet."""
    path = setting.weights.resolve() / f"torch-{work.name}-{seed}.npz"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        options = ["--full", work.name, "--seed", str(seed), "--core", str(setting.core)]
        module = [setting.torch_python, "-m", "benchmarks.baseline_torch"]
        subprocess.run([*module, *options, "--out", str(path)], check=True, cwd=timing.ROOT)
    with np.load(path) as file:
        return dict(file)


def _compare(
    work: Work, target: Target, ours: list[scoring.Weights], theirs: list[scoring.Weights]
) -> list[scoring.Comparison]:
    """Every result of toylab beside every baseline, all through the one scorer."""
    sides = [*ours, *theirs]
    pairs = itertools.product(range(len(ours)), range(len(ours), len(sides)))
    if target.n_examples:
        moments = scoring.sample_moments(
            sides, work.densities, work.importances, target.n_examples, SCORING_SEED
        )
        return [scoring.compare(moments, *pair) for pair in pairs]
    losses = [scoring.quadrature_loss(*side, work.densities, work.importances) for side in sides]
    exact = np.zeros(work.n_densities)
    return [
        scoring.Comparison(losses[i], losses[j], losses[i] / losses[j], exact) for i, j in pairs
    ]


def _scorer_words(target: Target) -> str:
    if target.n_examples:
        return f"{target.n_examples:,} held-out examples, the same for both sides"
    return "expected loss by quadrature"


def phase_diagram(n_features: int, setting: Setting) -> Row:
    """Rows phase-2-1 and phase-3-2: 50 x 50 cells against the closed forms."""
    densities, relative = phases.axes()
    rest = (1.0,) * (n_features - 1)
    config = toylab.SuperpositionConfig(n_features=n_features, n_hidden=n_features - 1)
    solve = functools.partial(toylab.superposition.solve, n_starts=PHASE_STARTS[n_features])
    results = []

    def run(seed: int) -> None:
        configs = toylab.grid(
            config,
            sparsity=[float(1.0 - p) for p in densities],
            importance=[(*rest, float(r)) for r in relative],
        )
        result = toylab.sweep(solve, configs, jax.random.key(seed))
        results.append((np.asarray(result.model.W), np.asarray(result.model.b)))

    jax.clear_caches()
    first = timing.cpu_seconds(lambda: run(0))
    seconds = [timing.cpu_seconds(functools.partial(run, 1 + i)) for i in range(setting.repeats)]
    scores = [_score_phases(n_features, W, b) for W, b in results]
    within = min(score.within for score in scores)
    agree = min(score.agree for score in scores)
    bars = (
        Bar(
            "share of cells within 1.01 of the closed form",
            False,
            1.0 if n_features == 2 else 0.99,
            within,
        ),
        Bar("share of cells in the closed form's category", False, 0.97, agree),
        Bar("CPU seconds, median", True, 10.0, float(np.median(seconds))),
    )
    facts = {
        "scorer": "expected loss by quadrature",
        "seeds": len(results),
        "cpu_seconds": seconds,
        "share_within": [score.within for score in scores],
        "share_in_category": [score.agree for score in scores],
        "ratio_median": [score.median for score in scores],
        "ratio_smallest": [score.smallest for score in scores],
        "ratio_largest": [score.largest for score in scores],
    }
    words = (
        f"phase diagram {n_features} features in {n_features - 1}, 50 × 50, best of "
        f"{PHASE_STARTS[n_features]} starts"
    )
    name = f"phase-{n_features}-{n_features - 1}"
    warm = float(np.median(seconds))
    return Row(name, words, bars, warm, first - warm, timing.machine(), facts)


class PhaseScore(NamedTuple):
    """One phase diagram against the closed forms.

    Attributes:
        within: share of cells whose loss is at most 1.01 of the closed form's.
        agree: share of cells in the closed form's category.
        median, smallest, largest: of the ratio of losses.
    """

    within: float
    agree: float
    median: float
    smallest: float
    largest: float


def _score_phases(n_features: int, W: np.ndarray, b: np.ndarray) -> PhaseScore:
    """Scores the grid W [50, 50, m, n], b [50, 50, n] (density first, importance second)."""
    p, r = (a.ravel() for a in np.meshgrid(*phases.axes(), indexing="ij"))
    W, b = W.reshape(len(p), *W.shape[2:]), b.reshape(len(p), -1)
    importance = np.ones((len(p), n_features))
    importance[:, -1] = r
    truth = phases.closed_form(n_features, p, r)
    ratio = scoring.quadrature_loss(W, b, p, importance, n_nodes=24) / truth.loss
    agree = phases.classify(W) == truth.category
    spread = (float(np.median(ratio)), float(ratio.min()), float(ratio.max()))
    return PhaseScore(float((ratio <= 1.01).mean()), float(agree.mean()), *spread)


def slider() -> Row:
    """Row slider: 200 positions of the sparsity and importance sliders, one after another."""
    generator = np.random.default_rng(SCORING_SEED)
    config = toylab.SuperpositionConfig(n_features=5, n_hidden=2)
    key = jax.random.key(0)

    def move() -> tuple[float, float]:
        position = config.replace(
            sparsity=float(generator.uniform(0.0, 0.99)),
            importance_decay=float(generator.uniform(0.5, 1.0)),
        )
        wall, cpu = time.perf_counter(), time.process_time()
        result = toylab.superposition.solve(position, key, n_starts=8)
        np.asarray(result.model.W)
        return time.perf_counter() - wall, time.process_time() - cpu

    jax.clear_caches()
    first = move()
    with timing.compilations() as compiled:
        wall, cpu = np.array([move() for _ in range(N_POSITIONS)]).T
    bars = (
        Bar("seconds to a new position, 95th percentile", True, 0.1, np.quantile(wall, 0.95)),
        Bar("compilations after the first position", True, 0, len(compiled)),
    )
    facts = {
        "positions": N_POSITIONS,
        "wall_seconds_quantiles_50_95_100": np.quantile(wall, (0.5, 0.95, 1.0)),
        "cpu_seconds_quantiles_50_95_100": np.quantile(cpu, (0.5, 0.95, 1.0)),
    }
    words = "a slider position, warm: 5 features in 2 dimensions, `solve` best of 8"
    seconds = float(np.median(cpu))
    return Row("slider", words, bars, seconds, first[1] - seconds, timing.machine(), facts)


ROWS: dict[str, Callable[[Setting], Row]] = {
    "5-2": functools.partial(against_baseline, "5-2"),
    "phase-2-1": functools.partial(phase_diagram, 2),
    "phase-3-2": functools.partial(phase_diagram, 3),
    "20-5": functools.partial(against_baseline, "20-5"),
    "200-20": functools.partial(against_baseline, "200-20"),
    "slider": lambda setting: slider(),
}
