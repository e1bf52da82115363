"""Networks of modular arithmetic as figures read them: one cell a network, its padding cut off.

A single run, a swept grid and a handful of runs are read in one way, and both architectures give
the same tables: what the p numbers are turned into (W_E, one row a number), and what each neuron
writes on the p answers (W_L = W_U W_out, one column a neuron).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from toylab.analysis.training_phases import NEVER, Phases, first_step_at, training_phases
from toylab.experiments import modular

if TYPE_CHECKING:
    from toylab.experiments.modular import ModularConfig, ModularResult

__all__ = [
    "Cell",
    "Networks",
    "Tables",
    "answer_word",
    "attention_pattern",
    "by_angle",
    "cells",
    "key_words",
    "logits_of_embeddings",
    "memorised_at",
    "right_answers",
    "strongest_first",
    "tables",
    "word",
]

Curve = NDArray[np.float64]


class Networks(NamedTuple):
    """Several runs side by side.

    Attributes:
        results: each of a single run. labels: what each is called, "seed 3".
    """

    results: tuple[ModularResult, ...]
    labels: tuple[str, ...]


class Cell(NamedTuple):
    """One network of a result with its history of r records.

    Attributes:
        label: the values of the sweep's axes, "weight_decay 2, seed 1"; empty for a single run.
        config: what it was trained for.
        model: the network at the end.
        key_frequencies: int [n], ascending, none of them the zeros that fill up a sweep.
        step: int [r]. train_loss, test_loss, train_accuracy, test_accuracy: [r].
        restricted_loss, excluded_loss, explained, gini_in, gini_out, weight_norm: [r].
        share: [r, K], each frequency's share of the centred logits.
        train_pairs: int [n_train], as a * p + b.
        phases: steps at which memorisation, circuit formation and cleanup end; -1 for never.
        diverged: whether its training stopped being finite.
    """

    label: str
    config: ModularConfig
    model: Any
    key_frequencies: NDArray[np.int64]
    step: NDArray[np.int64]
    train_loss: Curve
    test_loss: Curve
    train_accuracy: Curve
    test_accuracy: Curve
    restricted_loss: Curve
    excluded_loss: Curve
    explained: Curve
    gini_in: Curve
    gini_out: Curve
    weight_norm: Curve
    share: Curve
    train_pairs: NDArray[np.int64]
    phases: Phases
    diverged: bool


class Tables(NamedTuple):
    """The two ends of a network.

    Attributes:
        W_E: [p, d], one row a number; of an mlp its input weights [p, d_mlp], twice as wide if both
            numbers have their own.
        W_L: [p, d_mlp], what each neuron writes on the answers.
    """

    W_E: jax.Array
    W_L: jax.Array


def cells(result: ModularResult | Networks) -> tuple[Cell, ...]:
    """The networks of a run, of a sweep in C order of its axes, or of several runs in their order.

    A sweep over sizes pads with zeros; every cell has its own sizes. `result.config` is a config, a
    grid, or a tuple of configs.
    """
    if isinstance(result, Networks):
        found = (cells(one)[0] for one in result.results)
        return tuple(
            cell._replace(label=label) for cell, label in zip(found, result.labels, strict=True)
        )
    configs, labels, lead = _places(result.config)
    bare = jax.tree.map(np.asarray, result._replace(config=None, snapshots=None))  # type: ignore[arg-type]
    flat = jax.tree.map(lambda leaf: leaf.reshape(len(configs), *leaf.shape[lead:]), bare)
    return tuple(
        _cell(jax.tree.map(lambda leaf, i=i: leaf[i], flat), config, label)
        for i, (config, label) in enumerate(zip(configs, labels, strict=True))
    )


def tables(model: Any) -> Tables:
    """What a network reads and writes, whatever its architecture."""
    if hasattr(model, "W_U"):
        return Tables(model.W_E[:-1], (model.W_out[0] @ model.W_U[:, :-1]).T)
    W_a, W_b = model.inputs
    halves = (W_a,) if model.W_b is None else (W_a, W_b)
    return Tables(jnp.concatenate(halves).T, model.W_out[...])


def answer_word(config: ModularConfig) -> str:
    """The right answer of a config's task as a formula, "a+b"."""
    formulas = {"add": "a+b", "subtract": "a-b", "multiply": "ab", "quadratic": "a²+ab+b²"}
    return formulas[config.task]


def right_answers(config: ModularConfig) -> NDArray[np.int32]:
    """The answer to every pair of a config's task, [p, p]."""
    return modular.answers(config.task, config.p)


def attention_pattern(model: Any) -> jax.Array:
    """Attention from '=' to a, b and itself for every pair, [p, p, n_heads, 3], of a transformer.

    Read off the model's own forward pass, one pair at a time.
    """
    p = model.W_E.shape[0] - 1

    @jax.jit
    def of(model: Any) -> jax.Array:
        numbers = jnp.arange(p)

        def pair(a: jax.Array, b: jax.Array) -> jax.Array:
            stream = model.W_E[...][jnp.stack([a, b, jnp.asarray(p)])] + model.W_pos[...]
            return model.attention(0, stream)[:, -1]

        return jax.vmap(jax.vmap(pair, (None, 0)), (0, None))(numbers, numbers)

    return of(model)


def logits_of_embeddings(model: Any, E_a: jax.Array, E_b: jax.Array) -> jax.Array:
    """The logits [p] of a network that reads these two vectors in place of two numbers'.

    Args:
        model: a transformer, whose vectors are rows of W_E, or a tied mlp, whose vectors are
            columns of W_a.
        E_a, E_b: [d_model], or [d_mlp].
    """
    if not hasattr(model, "W_U"):
        square = model.activation == "quadratic"
        summed = E_a + E_b
        return model.W_out[...] @ (jnp.square(summed) if square else jax.nn.relu(summed))
    names = ("W_pos", "W_Q", "W_K", "W_V", "W_O", "W_in", "b_in", "W_out", "b_out", "W_U")
    weights = {name: getattr(model, name)[...] for name in names}
    three_words = type(model)(W_E=jnp.stack([E_a, E_b, model.W_E[-1]]), **weights)
    return three_words(jnp.arange(3))[-1, :-1]


def key_words(cell: Cell) -> str:
    """The key frequencies in words: "frequencies 7, 19 and 23", "frequency 4", "no frequency"."""
    *first, last = map(str, cell.key_frequencies) if len(cell.key_frequencies) else [""]
    if not last:
        return "no frequency"
    return f"frequencies {', '.join(first)} and {last}" if first else f"frequency {last}"


def strongest_first(cell: Cell) -> NDArray[np.int64]:
    """The key frequencies, that with the largest share of the logits first."""
    return cell.key_frequencies[np.argsort(-cell.share[-1, cell.key_frequencies - 1])]


def by_angle(p: int, k: int) -> NDArray[np.int64]:
    """The numbers in the order of their angle w_k n, so that a wave of frequency k has one period.

    Place j holds the n with k n = j modulo p. Worked value: by_angle(5, 2) = 0, 3, 1, 4, 2.
    """
    return np.argsort(k * np.arange(p) % p, kind="stable")


def memorised_at(cell: Cell) -> int:
    """The first recorded step with a train accuracy of 99 %; -1 for never."""
    return int(first_step_at(cell.step, cell.train_accuracy, 0.99))


def word(step: Any) -> str:
    """A step in words: "step 230" or "never"."""
    return "never" if int(step) == NEVER else f"step {int(step)}"


def _places(config: Any) -> tuple[Sequence[ModularConfig], list[str], int]:
    """Configs and labels of the cells, and how many axes the sweep has in front of its arrays."""
    if isinstance(config, tuple):
        return config, [f"network {i}" for i in range(len(config))], 1
    if not hasattr(config, "axes"):
        return (config,), [""], 0
    names = [name for name, _ in config.axes]
    places = itertools.product(*(values for _, values in config.axes))
    labels = [
        ", ".join(
            f"{name} {value if isinstance(value, str) else f'{value:g}'}"
            for name, value in zip(names, place, strict=True)
        )
        for place in places
    ]
    return config.configs, labels, len(config.axes)


def _cell(result: ModularResult, config: ModularConfig, label: str) -> Cell:
    """One network from its row of the flattened arrays."""
    r, measures = len(config.record_steps), result.progress
    step = np.asarray(result.step[:r], np.int64)
    curves = {
        name: np.asarray(values[:r], np.float64)
        for name, values in (
            *((name, getattr(result, name)) for name in ("train_loss", "test_loss")),
            # A mean of ones may round to just above one.
            *((f"{which}_accuracy", np.minimum(getattr(result, f"{which}_accuracy"), 1.0))
              for which in ("train", "test")),
            *((name, value) for name, value in measures._asdict().items() if name != "share"),
        )
    }  # fmt: skip
    keys = np.asarray(result.key_frequencies, np.int64)
    diverged = int(result.first_bad_step) >= 0
    return Cell(
        label=f"{label} (diverged)".strip() if diverged else label,
        config=config,
        model=modular.own_size(result.model, config),
        key_frequencies=keys[keys > 0],
        step=step,
        share=np.asarray(measures.share[:r, : (config.p - 1) // 2], np.float64),
        train_pairs=np.asarray(result.train_pairs[: config.n_train], np.int64),
        phases=_phases(step, curves, config.p),
        diverged=diverged,
        **curves,
    )


def _phases(step: NDArray[np.int64], curves: Mapping[str, Curve], p: int) -> Phases:
    """The borders of the phases; none of a training that is not finite."""
    excluded, loss, accuracy = (
        curves[name] for name in ("excluded_loss", "test_loss", "test_accuracy")
    )
    if not np.all(np.isfinite([excluded, loss, accuracy])):
        never = np.asarray(NEVER)
        return Phases(never, never, never)
    return training_phases(step, excluded, loss, accuracy, p)
