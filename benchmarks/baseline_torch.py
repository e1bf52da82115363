"""The published recipe in PyTorch: what a user would run without toylab.

AdamW (betas 0.9 and 0.999, weight decay 1e-2), learning rate 1e-3 held constant, batches of 1,024,
10,000 steps, Xavier-normal weights, zero bias; all densities train in one batched loop, as in the
public notebook anthropics/toy-models-of-superposition. Two choices make this port faster than that
notebook and change nothing else: arrays are [model, batch, feature], so that both products are one
`bmm`, and the bias is added inside the second product. Measured on one core, it needs 5-25 % less
time than the notebook's einsum; `fused=True` gave nothing. Xavier's scale is each model's own,
sqrt(2 / (n_features + n_hidden)); the notebook initialises the stack of models as one array, which
puts the number of models into the scale.

The benchmark runs this file in a process of its own (`--serve`), with an interpreter that has
torch:

    python -m benchmarks.baseline_torch --full 5-2 --out weights.npz
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch  # pyright: ignore[reportMissingImports]

from benchmarks.works import WORKS, Work

LEARNING_RATE = 1e-3
BATCH_SIZE = 1024
N_STEPS = 10_000
WARM_UP_STEPS = 3


class Trained(NamedTuple):
    """Weights after training, and what they cost.

    Attributes:
        W: [n_densities, n_hidden, n_features], feature i is the column W[:, i].
        b: [n_densities, n_features].
        cpu_seconds: user and system time of this process over the steps alone.
        n_steps: steps that cpu_seconds covers.
    """

    W: np.ndarray
    b: np.ndarray
    cpu_seconds: float
    n_steps: int


def initialise(work: Work, seed: int) -> tuple[torch.nn.Parameter, torch.nn.Parameter]:
    """Xavier-normal W [k, m, n] and zero b [k, 1, n] for the k densities of `work`."""
    generator = torch.Generator().manual_seed(seed)
    scale = (2.0 / (work.n_features + work.n_hidden)) ** 0.5
    shape = (work.n_densities, work.n_hidden, work.n_features)
    W = torch.nn.Parameter(scale * torch.randn(shape, generator=generator))
    b = torch.nn.Parameter(torch.zeros(work.n_densities, 1, work.n_features))
    return W, b


def train(work: Work, seed: int, n_steps: int = N_STEPS) -> Trained:
    """Trains every density of `work` with the published recipe, in one batched loop.

    Loss = mean over examples and features of importance * (x - x')^2, summed over the models (they
    share no weight, so each sees its own gradient).

    Args:
        work: what to train.
        seed: of the initial weights and of the data.
        n_steps: 10,000 in the recipe; fewer to time a part of it.

    Returns:
        The final weights and the CPU seconds of the steps, warm-up excluded.
    """
    W, b = initialise(work, seed)
    torch.manual_seed(seed)
    optimiser = torch.optim.AdamW([W, b], lr=LEARNING_RATE)
    density = torch.tensor(work.densities, dtype=torch.float32)[:, None, None]
    importance = torch.tensor(work.importances, dtype=torch.float32)
    shape = (work.n_densities, BATCH_SIZE, work.n_features)
    zero = torch.zeros(())

    def step() -> None:
        values = torch.rand(shape)
        x = torch.where(torch.rand(shape) <= density, values, zero)
        x_hat = torch.relu(torch.baddbmm(b, torch.bmm(x, W.mT), W))
        loss = (importance * (x - x_hat) ** 2).mean((1, 2)).sum()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()

    # The first steps pay for lazy set-up; they train, and are not timed.
    warm_up = min(WARM_UP_STEPS, n_steps - 1)
    for _ in range(warm_up):
        step()
    start = time.process_time()
    for _ in range(n_steps - warm_up):
        step()
    seconds = time.process_time() - start
    return Trained(W.detach().numpy(), b.detach()[:, 0].numpy(), seconds, n_steps - warm_up)


def serve() -> None:
    """Answers one JSON line on stdout to each JSON line on stdin: {"work", "n_steps", "seed"}."""
    for line in sys.stdin:
        request = json.loads(line)
        trained = train(WORKS[request["work"]], request["seed"], request["n_steps"])
        answer = {"cpu_seconds": trained.cpu_seconds, "n_steps": trained.n_steps}
        print(json.dumps(answer), flush=True)


def main() -> None:
    """Command line: `--serve`, or `--full WORK --out FILE` for the whole recipe."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--serve", action="store_true", help="answer timing requests on stdin")
    parser.add_argument("--full", choices=sorted(WORKS), help="train this work to the end")
    parser.add_argument("--steps", type=int, default=N_STEPS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--core", type=int, help="pin the process to this core")
    parser.add_argument("--out", type=Path, help="where --full writes W, b and the CPU seconds")
    options = parser.parse_args()
    if options.core is not None:
        os.sched_setaffinity(0, {options.core})
    torch.set_num_threads(1)
    if options.serve:
        serve()
    elif options.full and options.out:
        trained = train(WORKS[options.full], options.seed, options.steps)
        np.savez(options.out, torch=torch.__version__, seed=options.seed, **trained._asdict())
    else:
        parser.error("give --serve, or --full WORK with --out FILE")


if __name__ == "__main__":
    main()
