"""The rows of modular addition by name; here those of one step and of eight seeds at once."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

import jax
import numpy as np

import toylab
from benchmarks import timing
from benchmarks.modular_proofs import certificates
from benchmarks.modular_runs import KEY, brief
from benchmarks.modular_setting import Setting
from benchmarks.modular_toylab import write_start
from benchmarks.modular_training import fast, live, published
from benchmarks.modular_two_layer import lottery, two_layer
from benchmarks.records import Row, at_least, at_most
from toylab import modular
from toylab.experiments.modular_config import FAST, PUBLISHED

WARM_UP_STEPS = 3
N_STEPS = {"nanda": 100, "nanda-epoch": 10, "nanda-step": 20}
LOSSES = 30
N_SEEDS = 8


def step(setting: Setting) -> Row:
    """Row step: one full-batch step beside PyTorch's, and 30 losses from one start."""
    config = setting.scaled(PUBLISHED)
    start = str(setting.work.resolve() / "start-nanda.npz")
    write_start(setting.work / "start-nanda.npz", config)
    one = _beside_torch(start, 1, "cpu_seconds", setting)
    facts = {
        "cpu_seconds_of_one_thread": one,
        "baseline_cpu_seconds": one["nanda-epoch"]["torch"],
        **_losses(start, setting),
    }
    ours, epoch, torch_step = (
        1e3 * seconds
        for seconds in (
            one["nanda-epoch"]["toylab"],
            one["nanda-epoch"]["torch"],
            one["nanda-step"]["torch"],
        )
    )
    notes = [
        f"On one thread, CPU ms a step: toylab {ours:.3g}, torch's epoch {epoch:.4g}, torch's step "
        f"{torch_step:.4g}.",
        "In float32, 30 losses from one start are off the float64 ones by up to "
        f"{facts['float32_of_toylab']:.2g} for toylab, {facts['float32_of_epoch']:.2g} for torch's "
        f"epoch, {facts['float32_of_step']:.2g} for its step; toylab and the epoch are "
        f"{facts['float32_to_epoch']:.2g} apart.",
    ]
    if len(timing.usable_cores()) > 1:
        two = _beside_torch(start, 2, "wall_seconds", setting)
        facts["wall_seconds_of_two_threads"] = two
        notes.append(
            f"On two threads, wall ms a step: toylab {1e3 * two['nanda-epoch']['toylab']:.3g}, "
            f"ratios {two['nanda-epoch']['ratio']:.3g} and {two['nanda-step']['ratio']:.3g}."
        )
    bars = (
        at_least(
            "CPU time of torch's epoch over toylab's step, median",
            10.0,
            one["nanda-epoch"]["ratio"],
        ),
        at_least("CPU time of torch's step over toylab's, median", 5.0, one["nanda-step"]["ratio"]),
        at_most(
            "largest difference of 30 losses from torch's epoch, both in float64",
            1e-5,
            facts["float64"],
        ),
    )
    words = f"one full-batch step, p = {config.p}, {config.n_train:,} pairs"
    seconds, compiled = one["nanda-epoch"]["toylab"], one["compile_seconds"]
    machine = timing.machine()
    return Row("step", words, bars, seconds, compiled, machine, facts | {"notes": notes})


def _beside_torch(start: str, threads: int, clock: str, setting: Setting) -> dict[str, Any]:
    """Seconds a step of both sides on some threads, A B A B, for each of torch's two works."""
    cores, given = timing.usable_cores()[:threads], {"weights": start, "threads": threads}
    with (
        closing(timing.Served(sys.executable, "benchmarks.modular_toylab", cores)) as ours,
        closing(timing.Served(setting.torch_python, "benchmarks.modular_torch", cores)) as torch,
    ):

        def ask(side: timing.Served, work: str) -> dict[str, Any]:
            n_steps = N_STEPS[work] + WARM_UP_STEPS
            return side.ask(given | {"work": work, "n_steps": n_steps})

        def seconds(side: timing.Served, work: str) -> float:
            answer = ask(side, work)
            return answer[clock] / answer["n_steps"]

        cold, warm = (ask(ours, "nanda")["set_up_seconds"] for _ in range(2))
        found = {
            work: timing.alternate(
                lambda _: seconds(ours, "nanda"),
                lambda _, work=work: seconds(torch, work),
                setting.repeats,
            )
            for work in ("nanda-epoch", "nanda-step")
        }
    return {work: _medians(pairs) for work, pairs in found.items()} | {
        "compile_seconds": cold - warm
    }


def _medians(pairs: timing.Pairs) -> dict[str, Any]:
    return {
        "toylab": float(np.median(pairs.ours)),
        "torch": float(np.median(pairs.theirs)),
        "ratio": float(np.median(pairs.ratios)),
        "all_toylab": pairs.ours,
        "all_torch": pairs.theirs,
    }


def _losses(start: str, setting: Setting) -> dict[str, Any]:
    """The first losses of both trainers from the same weights, and how far they are apart.

    In float64 the two agree if they compute the same thing; in float32 each has its own rounding,
    which AdamW enlarges (a first update of every weight by its gradient's sign).
    """
    core = timing.usable_cores()[:1]
    request = {"n_steps": LOSSES, "weights": start, "losses": True, "threads": 1}
    with (
        closing(timing.Served(sys.executable, "benchmarks.modular_toylab", core)) as ours,
        closing(timing.Served(setting.torch_python, "benchmarks.modular_torch", core)) as torch,
    ):

        def ask(side: timing.Served, work: str, float64: bool) -> np.ndarray:
            return np.array(side.ask(request | {"work": work, "float64": float64})["losses"])

        exact = ask(torch, "nanda-epoch", True)
        ours_exact, ours_single = ask(ours, "nanda", True), ask(ours, "nanda", False)
        epoch, single = ask(torch, "nanda-epoch", False), ask(torch, "nanda-step", False)
        version = torch.ask(request | {"work": "nanda-step", "n_steps": 1})["torch"]
    return {
        "torch": version,
        "losses_in_float64": exact,
        "float64": float(abs(ours_exact - exact).max()),
        "float32_of_toylab": float(abs(ours_single - exact).max()),
        "float32_of_epoch": float(abs(epoch - exact).max()),
        "float32_of_step": float(abs(single - exact).max()),
        "float32_to_epoch": float(abs(ours_single - epoch).max()),
    }


def eight_seeds(setting: Setting) -> Row:
    """Row eight-seeds: a sweep in one call beside a single training."""
    config = setting.scaled(FAST)
    n_devices, cpu = jax.local_device_count(), []

    def alone(repeat: int) -> float:
        start = time.perf_counter()
        modular.run(config.replace(seed=repeat), KEY)
        return time.perf_counter() - start

    def together(repeat: int) -> float:
        grid = toylab.grid(config, seed=[N_SEEDS * repeat + i for i in range(N_SEEDS)])
        start, used = time.perf_counter(), time.process_time()
        toylab.sweep(modular.run, grid, KEY)
        cpu.append(time.process_time() - used)
        return time.perf_counter() - start

    short = toylab.grid(brief(config), seed=list(range(n_devices)))
    first, second = (
        timing.cpu_seconds(lambda: toylab.sweep(modular.run, short, KEY)) for _ in range(2)
    )
    pairs = timing.alternate(alone, together, min(setting.repeats, 3))
    bars = (
        at_most(
            "wall time of the sweep over that of one training, median",
            6.0,
            float(np.median(pairs.ratios)),
        ),
    )
    facts = {
        "threads": setting.threads,
        "devices": n_devices,
        "wall_seconds_alone": pairs.ours,
        "wall_seconds_together": pairs.theirs,
    }
    facts["notes"] = [
        f"{n_devices} devices of {setting.threads} thread, as the command line and the app have "
        f"them: one training takes {np.median(pairs.ours):.3g} wall s, the sweep "
        f"{np.median(pairs.theirs):.3g}."
    ]
    words = f"{N_SEEDS} seeds of the fast training in one call"
    seconds = float(np.median(cpu))
    return Row("eight-seeds", words, bars, seconds, first - second, timing.machine(), facts)


ROWS: dict[str, Callable[[Setting], Row]] = {
    "step": step,
    "published": published,
    "fast": fast,
    "live": live,
    "two-layer": two_layer,
    "lottery": lottery,
    "eight-seeds": eight_seeds,
    "certificates": certificates,
}
