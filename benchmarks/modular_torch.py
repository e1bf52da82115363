"""Two published trainers of modular addition in PyTorch, timed in a process of their own.

`nanda-epoch`, `nanda-step`: the one-layer transformer of Nanda et al. 2023 (arXiv 2301.05217), read
at '=' after all three positions went forward; AdamW, learning rate 1e-3, weight decay 1 on every
parameter, full batch, cross-entropy over the p + 1 logits. The epoch computes training and test
loss with a float64 log-softmax, the step the training loss alone, in float32. Three choices save
time and change nothing beyond rounding: labels are looked up (the released trainer makes them anew
in a Python loop at every loss), the test loss builds no gradient, attention is one fused call.

`he-epoch`, `he-step`: the two-layer network of He et al. 2026 (arXiv 2602.16849), input e_a + e_b,
no biases; AdamW, learning rate 5e-5, no weight decay, float32. The epoch is the released trainer's:
train loss, test loss, train accuracy and test accuracy, a forward pass each (its norms of weights
and gradients are left out). The step takes loss and accuracy of the training pairs from one pass.

All: betas 0.9 and 0.98, eps 1e-8, learning rate times min(step / 10, 1), so 0 at the first step.

    python -m benchmarks.modular_torch --serve    # one JSON line in, one out
    python -m benchmarks.modular_torch --check    # own weights: does the loss fall in 20 steps?

A request: {"work": "nanda-epoch", "n_steps": 30, "weights": "start.npz", "losses": true,
"threads": 1, "float64": false}; `load` describes the .npz, `serve` the answer.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch  # pyright: ignore[reportMissingImports]
import torch.nn.functional as F  # pyright: ignore[reportMissingImports]

WARM_UP_STEPS = 3
CHECK_STEPS = 20
Weights = dict[str, torch.nn.Parameter]
Shapes = dict[str, tuple[int, ...]]
# The arrays of each network, at the published sizes; a first axis of 1 is the layer.
HEADS = (1, 4, 128, 32)
TRANSFORMER: Shapes = {"W_E": (114, 128), "W_pos": (3, 128), "W_U": (128, 114)}
TRANSFORMER |= {"W_Q": HEADS, "W_K": HEADS, "W_V": HEADS, "W_O": (1, 4, 32, 128)}
TRANSFORMER |= {"W_in": (1, 128, 512), "b_in": (1, 512), "W_out": (1, 512, 128), "b_out": (1, 128)}
MLP: Shapes = {"W_a": (512, 23), "W_out": (23, 512)}


class Data(NamedTuple):
    """Inputs [n, 2], or [n, 3] with '=', and answers [n], all int64, to train and to test on."""

    train: tuple[torch.Tensor, torch.Tensor]
    test: tuple[torch.Tensor, torch.Tensor]


class Trained(NamedTuple):
    """Training loss before each step, and what the `n_steps` after the warm-up cost."""

    losses: list[float]
    cpu_seconds: float
    wall_seconds: float
    n_steps: int


def transformer_logits(weights: Weights, tokens: torch.Tensor) -> torch.Tensor:
    """Logits at '=' [n, p + 1] of tokens [n, 3]; all three positions pass through the network."""
    w = weights
    x = F.embedding(tokens, w["W_E"]) + w["W_pos"]
    projections = (w[name].transpose(0, 1) for name in ("W_Q", "W_K", "W_V"))
    q, k, v = ((x @ W.flatten(1)).unflatten(2, W.shape[1:]).transpose(1, 2) for W in projections)
    z = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    x = x + z.transpose(1, 2).flatten(2) @ w["W_O"].flatten(0, 1)
    x = x + torch.relu(x @ w["W_in"] + w["b_in"]) @ w["W_out"] + w["b_out"]
    return (x @ w["W_U"])[:, -1]


def mlp_logits(weights: Weights, pairs: torch.Tensor) -> torch.Tensor:
    """Logits [n, p] of pairs [n, 2]: W_out relu(W_a (e_a + e_b))."""
    x = F.one_hot(pairs, weights["W_a"].shape[1]).to(weights["W_a"].dtype).sum(1)
    return torch.relu(x @ weights["W_a"].T) @ weights["W_out"].T


def nanda_epoch(weights: Weights, data: Data) -> torch.Tensor:
    """Training loss; the test loss is computed beside it, both with a float64 log-softmax."""
    inputs, answers = data.train
    loss = F.cross_entropy(transformer_logits(weights, inputs).double(), answers)
    with torch.no_grad():
        inputs, answers = data.test
        F.cross_entropy(transformer_logits(weights, inputs).double(), answers).item()
    return loss


def nanda_step(weights: Weights, data: Data) -> torch.Tensor:
    """Training loss in float32, and nothing else."""
    inputs, answers = data.train
    return F.cross_entropy(transformer_logits(weights, inputs), answers)


def he_epoch(weights: Weights, data: Data) -> torch.Tensor:
    """Training loss; test loss and both accuracies are computed beside it, one forward each."""
    inputs, answers = data.train
    loss = F.cross_entropy(mlp_logits(weights, inputs), answers)
    with torch.no_grad():
        F.cross_entropy(mlp_logits(weights, data.test[0]), data.test[1]).item()
        for inputs, answers in data:
            _accuracy(mlp_logits(weights, inputs), answers)
    return loss


def he_step(weights: Weights, data: Data) -> torch.Tensor:
    """Training loss; the training accuracy is computed from the same forward pass."""
    inputs, answers = data.train
    logits = mlp_logits(weights, inputs)
    _accuracy(logits.detach(), answers)
    return F.cross_entropy(logits, answers)


def _accuracy(logits: torch.Tensor, answers: torch.Tensor) -> float:
    return (logits.argmax(1) == answers).sum().item() / len(answers)


class Work(NamedTuple):
    """One trainer: what it computes before each update, its arrays, and AdamW's settings."""

    loss: Callable[[Weights, Data], torch.Tensor]
    shapes: Shapes
    learning_rate: float
    weight_decay: float


WORKS = {
    "nanda-epoch": Work(nanda_epoch, TRANSFORMER, learning_rate=1e-3, weight_decay=1.0),
    "nanda-step": Work(nanda_step, TRANSFORMER, learning_rate=1e-3, weight_decay=1.0),
    "he-epoch": Work(he_epoch, MLP, learning_rate=5e-5, weight_decay=0.0),
    "he-step": Work(he_step, MLP, learning_rate=5e-5, weight_decay=0.0),
}


def load(
    path: str | Path, shapes: Shapes, dtype: torch.dtype = torch.float32
) -> tuple[Weights, Data]:
    """Reads weights, without the axis of the layer, and pairs; the file gives the sizes.

    Args:
        path: an .npz with the arrays named in `shapes` (those of toylab's Transformer or of its
            tied PairMLP), train_pairs [n, 2], test_pairs [n', 2] and answers [p, p]. If n' = 0, the
            training pairs are also the test pairs. The transformer reads '=', number p, after each.
        shapes: TRANSFORMER or MLP.
    """
    with np.load(path) as file:
        arrays = dict(file)
    weights = {}
    for name, shape in shapes.items():
        array = arrays[name].squeeze(0) if shape[0] == 1 else arrays[name]
        weights[name] = torch.nn.Parameter(torch.tensor(array, dtype=dtype))
    names = ("answers", "train_pairs", "test_pairs")
    table, train, test = (torch.tensor(arrays[name], dtype=torch.int64) for name in names)
    if shapes is TRANSFORMER:
        train, test = (F.pad(pairs, (0, 1), value=len(table)) for pairs in (train, test))
    train, test = ((pairs, table[pairs[:, 0], pairs[:, 1]]) for pairs in (train, test))
    return weights, Data(train, test if len(test[0]) else train)


def train(
    work: Work, path: str | Path, n_steps: int, threads: int = 1, float64: bool = False
) -> Trained:
    """Trains from the weights in `path` (see `load`) for n_steps on `threads` cores."""
    if not 1 <= threads <= (available := len(os.sched_getaffinity(0))):
        raise ValueError(f"threads: 1 to {available}, the cores of this process; got {threads}")
    torch.set_num_threads(threads)
    weights, data = load(path, work.shapes, torch.float64 if float64 else torch.float32)
    optimiser = torch.optim.AdamW(
        weights.values(), work.learning_rate, (0.9, 0.98), 1e-8, work.weight_decay
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: min(step / 10, 1))
    # The first steps pay for lazy set-up; they train, and are not timed.
    warm_up = min(WARM_UP_STEPS, n_steps - 1)
    losses, cpu, wall = [], 0.0, 0.0
    for step in range(n_steps):
        if step == warm_up:
            cpu, wall = time.process_time(), time.perf_counter()
        loss = work.loss(weights, data)
        losses.append(loss.item())
        loss.backward()
        optimiser.step()
        schedule.step()
        optimiser.zero_grad()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return Trained(losses, cpu, wall, n_steps - warm_up)


def serve() -> None:
    """Answers one JSON line on stdout to each request on stdin.

    The answer: "losses" of all steps requested, if asked for; "cpu_seconds" (user and system, all
    threads) and "wall_seconds" of the last "n_steps" of them, the warm-up left out; "torch".
    """
    for line in sys.stdin:
        request = json.loads(line)
        options = {name: request[name] for name in ("threads", "float64") if name in request}
        work = WORKS[request["work"]]
        answer = train(work, request["weights"], request["n_steps"], **options)._asdict()
        if not request.get("losses"):
            del answer["losses"]
        print(json.dumps(answer | {"torch": torch.__version__}), flush=True)


def published_start(work: Work, seed: int) -> dict[str, np.ndarray]:
    """What `load` reads, drawn as published: weights N(0, 1/fan), and 30 % of the pairs or all."""
    p, fraction, fan = (113, 0.3, 128) if work.shapes is TRANSFORMER else (23, 1.0, 100 * 23)
    normal = np.random.default_rng(seed).standard_normal
    start = {name: normal(shape) / fan**0.5 for name, shape in work.shapes.items()}
    if work.shapes is TRANSFORMER:
        start["W_U"] *= (128 / 114) ** 0.5
        start |= {name: np.zeros(work.shapes[name]) for name in ("b_in", "b_out")}
    pairs = [(a, b) for a in range(p) for b in range(p)]
    random.Random(seed).shuffle(pairs)
    train, test = np.split(np.array(pairs), [int(fraction * len(pairs))])
    answers = np.add.outer(np.arange(p), np.arange(p)) % p
    return start | {"train_pairs": train, "test_pairs": test, "answers": answers}


def check() -> bool:
    """Trains each work from its own start, prints a line each, and says whether all losses fell."""
    fell = True
    for name, work in WORKS.items():
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "start.npz"
            np.savez(path, allow_pickle=False, **published_start(work, seed=0))
            trained = train(work, path, CHECK_STEPS)
        first, *_, last = trained.losses
        fell &= last < first
        cost = 1e3 * trained.cpu_seconds / trained.n_steps
        print(f"{name}: loss {first:.6f} -> {last:.6f}, {cost:.2f} CPU ms a step")
    return fell


def main() -> int:
    """Command line: `--serve`, or `--check` (1 if a loss did not fall)."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    mode = parser.add_mutually_exclusive_group(required=True)
    mode.add_argument("--serve", action="store_true", help="answer requests on stdin")
    mode.add_argument("--check", action="store_true", help="train 20 steps from own weights")
    if parser.parse_args().check:
        return int(not check())
    serve()
    return 0


if __name__ == "__main__":
    sys.exit(main())
