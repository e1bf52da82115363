"""toylab's side of the rows beside PyTorch, in a process of its own: answers as `modular_torch`.

    python -m benchmarks.modular_toylab --serve    # one JSON line in, one out

Steps from given weights, {"work": "nanda", "n_steps": 30, "weights": "start.npz", "losses": true}
("he" for the two-layer network): the answer has the "cpu_seconds" and "wall_seconds" of the last
"n_steps", the warm-up left out, "set_up_seconds" (CPU, to the end of the warm-up: the first time
with the compilation), and the training loss before each step if asked for. With "float64" all
weights and sums are float64.

A whole training, {"work": "run", "config": {...}}: "cpu_seconds" and "wall_seconds" of
`modular.run` with all of its records and measures.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import nnx

from toylab import ModularConfig, modular
from toylab.data.modular import Split, answers
from toylab.experiments.modular_config import HE, PUBLISHED
from toylab.experiments.modular_stages import TRAINER, Problem, problem_of
from toylab.models.mlp import PairMLP
from toylab.models.transformer import Transformer

WARM_UP_STEPS = 3
CONFIGS = {"nanda": PUBLISHED, "he": HE.replace(activation="relu")}

begin = jax.jit(TRAINER.begin)
advance = jax.jit(TRAINER.advance, compiler_options=dict(TRAINER.options))


class Trained(NamedTuple):
    """Training loss before each step (as asked), and what the `n_steps` after the warm-up cost."""

    losses: list[float]
    cpu_seconds: float
    wall_seconds: float
    n_steps: int
    set_up_seconds: float


def arrays_of(model: Any) -> dict[str, np.ndarray]:
    """The weights of one network by name, as an .npz keeps them."""
    named = vars(model).items()
    return {name: np.asarray(W[...]) for name, W in named if isinstance(W, nnx.Param)}


def write_start(path: Path, config: ModularConfig) -> None:
    """Writes what both sides start from: weights and pairs of `config`, as `modular_torch.load`."""
    training, parts = begin(problem_of(config), jax.random.key(0))
    train, test = (
        np.stack(np.divmod(np.asarray(pairs), config.p), axis=1)
        for pairs in (parts.train, parts.test)
    )
    table = answers(config.task, config.p)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(
        path,
        allow_pickle=False,
        train_pairs=train,
        test_pairs=test,
        answers=table,
        **arrays_of(training.params),
    )


def load(path: str | Path, config: ModularConfig) -> tuple[Problem, Any]:
    """The problem of `config` at the file's sizes, and the training before its first step."""
    with np.load(path) as file:
        arrays = dict(file)
    p = len(arrays.pop("answers"))
    train, test = (arrays.pop(f"{name}_pairs") @ np.array([p, 1]) for name in ("train", "test"))
    if config.architecture == "transformer":
        model: Any = Transformer(**arrays)
        sizes = model.sizes
        config = config.replace(
            p=p, d_model=sizes.d_model, n_heads=sizes.n_heads, d_mlp=sizes.d_mlp
        )
    else:
        model = PairMLP(**arrays, activation=config.activation)
        config = config.replace(p=p, d_mlp=len(arrays["W_a"]))
    problem = problem_of(config.replace(train_fraction=len(train) / p**2))
    training, _ = begin(problem, jax.random.key(0))
    model = jax.tree.map(jax.numpy.asarray, model)
    if jax.numpy.asarray(0.0).dtype == np.float64:  # inside enable_x64
        problem = dataclasses.replace(problem, rates=_rates(config))
        training, model = jax.tree.map(_doubled, (training, model))
    parts = Split(*(jax.numpy.asarray(pairs, np.int32) for pairs in (train, test)))
    return problem, (training._replace(params=model), parts)


def _rates(config: ModularConfig) -> np.ndarray:
    """`Problem.rates` as Python's numbers, not rounded to float32."""
    c = config
    return np.array([c.learning_rate, c.weight_decay, c.drop_factor, c.init_scale])


def _doubled(array: Any) -> Any:
    floating = jax.numpy.issubdtype(array.dtype, jax.numpy.floating)
    return array.astype(np.float64) if floating else array


def train(work: str, path: str | Path, n_steps: int, losses: bool) -> Trained:
    """Trains from the weights in `path` for n_steps; with `losses` one step a call."""
    begun = time.process_time()
    problem, state = load(path, CONFIGS[work])
    warm_up = min(WARM_UP_STEPS, n_steps - 1)
    found, cpu, wall, set_up = [], 0.0, 0.0, 0.0
    for until in range(1, n_steps + 1) if losses else (warm_up, n_steps):
        state = jax.block_until_ready(advance(problem, state, np.int32(until)))
        found.append(float(state[0].loss))
        if until == warm_up:
            cpu, wall = time.process_time(), time.perf_counter()
            set_up = cpu - begun
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return Trained(found, cpu, wall, n_steps - warm_up, set_up)


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """The answer to one request, as the module says."""
    if request["work"] == "run":
        config = ModularConfig.from_json(json.dumps(request["config"]))
        cpu, wall = time.process_time(), time.perf_counter()
        modular.run(config, 0)
        return {
            "cpu_seconds": time.process_time() - cpu,
            "wall_seconds": time.perf_counter() - wall,
        }
    losses = bool(request.get("losses"))
    with jax.enable_x64(bool(request.get("float64"))):
        found = train(request["work"], request["weights"], request["n_steps"], losses)._asdict()
    if not losses:
        del found["losses"]
    return found


def main() -> int:
    """Command line: `--serve`."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--serve", action="store_true", required=True, help="answer on stdin")
    parser.parse_args()
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
