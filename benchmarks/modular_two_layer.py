"""Rows two-layer and lottery: He et al.'s networks beside their trainer, and who wins a neuron."""

from __future__ import annotations

import json
import sys
from contextlib import closing
from typing import Any

import numpy as np

from benchmarks import timing
from benchmarks.modular_measures import TWO_LAYER, compare, table
from benchmarks.modular_runs import Timed, compile_seconds, timed
from benchmarks.modular_setting import Setting
from benchmarks.modular_toylab import write_start
from benchmarks.records import Row, at_least, at_most
from toylab import ModularConfig
from toylab.analysis.lottery import RULES, hit_rate, predict_winner
from toylab.analysis.phase_alignment import (
    aligned_share,
    alignment,
    mean_participation,
    neurons_per_frequency,
)
from toylab.experiments.modular_config import HE
from toylab.models.mlp import Activation

EPOCHS = 1000
TORCH_WARM_UP = 3
LOSSES = 30


def two_layer(setting: Setting) -> Row:
    """Row two-layer: wall time and measures of both activations, CPU time beside the trainer."""
    configs = {name: setting.scaled(HE.replace(activation=name)) for name in ("quadratic", "relu")}
    for config in configs.values():
        compile_seconds(config)
    runs = {
        name: [timed(config.replace(seed=seed)) for seed in setting.seeds(5)]
        for name, config in configs.items()
    }
    values = {name: [_measure(run) for run in several] for name, several in runs.items()}
    beside = _beside_trainer(configs["relu"], setting)
    wall = {name: [run.wall_seconds for run in several] for name, several in runs.items()}
    bars = (
        at_most("wall seconds a training of x², longest", 4.0, max(wall["quadratic"])),
        at_most("wall seconds a training of ReLU, longest", 4.0, max(wall["relu"])),
        at_least(
            "released trainer's CPU time over toylab's, median",
            8.0,
            float(np.median(beside["ratio_of_epoch"])),
        ),
    )
    facts = beside | {
        "threads": setting.threads,
        "wall_seconds": wall,
        "values": values,
        "tables": [_table(values["quadratic"], "quadratic"), _table(values["relu"], "relu")],
        "notes": [
            f"The trainer with one forward pass for loss and accuracy in place of four takes "
            f"{np.median(beside['ratio_of_step']):.3g} times toylab's CPU time. toylab has "
            f"{len(configs['relu'].record_steps)} records, the trainers measure at every epoch."
        ],
    }
    config = configs["relu"]
    words = f"p = {config.p}, {config.d_mlp} neurons, all pairs, {config.n_steps:,} steps, ReLU"
    cpu = float(np.median(beside["cpu_seconds"]))
    compiled = beside["compile_seconds"]
    return Row("two-layer", words, bars, cpu, compiled, timing.machine(), facts)


def _beside_trainer(config: ModularConfig, setting: Setting) -> dict[str, Any]:
    """CPU seconds of whole trainings on one thread, A B A B; the trainer's epochs extrapolated."""
    start = setting.work.resolve() / "start-he.npz"
    write_start(start, config)
    core = timing.usable_cores()[:1]
    n_timed = min(EPOCHS, config.n_steps) + TORCH_WARM_UP
    request = {"weights": str(start), "threads": 1}
    with (
        closing(timing.Served(sys.executable, "benchmarks.modular_toylab", core)) as toylab,
        closing(timing.Served(setting.torch_python, "benchmarks.modular_torch", core)) as torch,
    ):

        def ours(repeat: int) -> float:
            fields = json.loads(config.replace(seed=repeat).to_json())
            return toylab.ask({"work": "run", "config": fields})["cpu_seconds"]

        def theirs(work: str) -> float:
            found = torch.ask(request | {"work": work, "n_steps": n_timed})
            return config.n_steps * found["cpu_seconds"] / found["n_steps"]

        first = ours(0)
        epoch = timing.alternate(ours, lambda _: theirs("he-epoch"), setting.repeats)
        step = timing.alternate(ours, lambda _: theirs("he-step"), setting.repeats)
        request |= {"n_steps": LOSSES, "losses": True}
        losses = [
            np.array(side.ask(request | {"work": work})["losses"])
            for side, work in ((toylab, "he"), (torch, "he-epoch"))
        ]
    cpu = np.concatenate([epoch.ours, step.ours])
    return {
        "compile_seconds": float(first - np.median(cpu)),
        "cpu_seconds": cpu,
        "baseline_cpu_seconds": float(np.median(epoch.theirs)),
        "baseline_cpu_seconds_of_epochs": epoch.theirs,
        "baseline_cpu_seconds_of_steps": step.theirs,
        "baseline_epochs_in_each_pair": n_timed - TORCH_WARM_UP,
        "ratio_of_epoch": epoch.ratios,
        "ratio_of_step": step.ratios,
        "largest_difference_of_30_losses": float(abs(losses[0] - losses[1]).max()),
    }


def _measure(run: Timed) -> dict[str, list[float]]:
    """The `TWO_LAYER` measures; none of a training that diverged."""
    if run.result is None:
        return {}
    model: Any = run.result.model
    W_in, W_out = model.W_a[...], model.W_out[...]
    found = alignment(W_in, W_out)
    K = (W_in.shape[1] - 1) // 2
    values = {
        "final_loss": run.result.train_loss[-1],
        "participation": mean_participation(W_in, W_out),
        "agreement": (found.frequency == found.out_frequency).mean(),
        "misalignment": np.median(abs(np.asarray(found.misalignment))),
        "aligned": aligned_share(found.misalignment),
        "per_frequency": neurons_per_frequency(found.frequency, K),
    }
    return {name: np.atleast_1d(value).astype(float).tolist() for name, value in values.items()}


def _table(values: list[dict[str, list[float]]], activation: Activation) -> dict[str, Any]:
    title = f"measures, {activation}, of all seeds"
    return table(compare(TWO_LAYER, values, activation), activation, title)


def lottery(setting: Setting) -> Row:
    """Row lottery: the winning frequency of each neuron, told from its random start."""
    config = setting.scaled(HE)
    compiled = compile_seconds(config)
    runs = [timed(config.replace(seed=seed)) for seed in setting.seeds(5)]
    rates = [_hit_rates(run) for run in runs]
    first = [rate["first"] for rate in rates]
    chance = 2 / (config.p - 1)
    bars = (at_least("hit rate of the first to blow up, least of all seeds", 0.7, min(first)),)
    rows = [[rule, *(rate[rule] for rate in rates)] for rule in RULES]
    facts = {
        "threads": setting.threads,
        "hit_rates": rates,
        "chance": chance,
        "tables": [
            {
                "title": f"share of neurons foretold, chance {chance:.3g}",
                "header": ["rule", *(f"seed {seed}" for seed in setting.seeds(5))],
                "rows": rows,
            }
        ],
    }
    cpu = float(np.median([run.cpu_seconds for run in runs]))
    words = f"p = {config.p}, x², {config.n_steps:,} steps, one seed"
    return Row("lottery", words, bars, cpu, compiled, timing.machine(), facts)


def _hit_rates(run: Timed) -> dict[str, float]:
    """By rule; 0 for a training that diverged."""
    if run.result is None:
        return dict.fromkeys(RULES, 0.0)
    before: Any = run.result.snapshots
    after: Any = run.result.model
    final = alignment(after.W_a[...], after.W_out[...]).frequency
    return {
        rule: float(hit_rate(predict_winner(before.W_a[0], before.W_out[0], rule), final))
        for rule in RULES
    }
