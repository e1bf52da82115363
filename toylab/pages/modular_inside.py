"""What is inside the network at one record: logits and their waves, neurons and theirs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import streamlit as st

from toylab.analysis.logit_parts import key_table
from toylab.analysis.logit_spectrum import answer_table
from toylab.analysis.neurons import neuron_frequencies, readout_frequencies
from toylab.analysis.phase_alignment import waves
from toylab.analysis.progress_measures import Score, score
from toylab.experiments import modular
from toylab.pages.modular_model import View

__all__ = [
    "REST",
    "Answer",
    "Logits",
    "Neuron",
    "Neurons",
    "Scores",
    "ablated",
    "answer",
    "busiest",
    "logits_at",
    "neuron",
    "neurons_at",
]

REST = 0  # stands for everything that is no key wave, where frequencies are numbered from 1


class Logits(NamedTuple):
    """The logits L of all pairs, and what each key frequency has in them.

    Attributes:
        cube: float32 [p, p, p], L[a, b, c].
        waves: float32 [n, p, p], the part of each key (strongest first) by answer (a + b) mod p
            and c.
        mean: float32 [p], the mean of L over pairs.
    """

    cube: jax.Array
    waves: jax.Array
    mean: jax.Array


class Scores(NamedTuple):
    """How logits do on the pairs trained on and on the others."""

    train: Score
    test: Score


class Answer(NamedTuple):
    """The logits of one pair, after some frequencies were taken out.

    Attributes:
        right: (a + b) mod p.
        logits: [p].
        waves: [n, p], what each key frequency (strongest first) adds; 0 for one that is out.
        size, phase: [n], of size cos(w_k c + phase), the wave of frequency k in each of them.
    """

    right: int
    logits: np.ndarray
    waves: np.ndarray
    size: np.ndarray
    phase: np.ndarray

    @property
    def said(self) -> int:
        """The answer with the largest logit."""
        return int(np.argmax(self.logits))

    @property
    def lead(self) -> float:
        """By how much that logit exceeds the next."""
        *_, second, first = np.sort(self.logits)
        return float(first - second)


class Neurons(NamedTuple):
    """All neurons.

    Attributes:
        tables: float32 [p, p, m], after the ReLU.
        frequency: int [m], 0 for one that is silent. share: [m], how much of its variance that
            frequency explains.
        W_L: [p, m], what each neuron writes on the logits. writes: int [m], its frequency there.
    """

    tables: jax.Array
    frequency: np.ndarray
    share: np.ndarray
    W_L: jax.Array
    writes: np.ndarray


class Neuron(NamedTuple):
    """One neuron.

    Attributes:
        table: [p, p], its activation for each pair.
        reads: [2, p], its mean activation for each a, and for each b.
        writes: [p], its weight on each logit, less their mean.
        frequency: in 1..K, or 0 when it is silent. share: see `Neurons`.
        size: [3], of the waves of that frequency in both `reads` and in `writes`.
        phase: [3], in (-pi, pi]: phi_a, phi_b and psi of size cos(w x + phase).
    """

    table: np.ndarray
    reads: np.ndarray
    writes: np.ndarray
    frequency: int
    share: float
    size: np.ndarray
    phase: np.ndarray


@st.cache_resource(max_entries=6, show_spinner=False)
def _logits(_view: View, name: str, record: int) -> Logits:
    cube = modular.logits(_snapshot(_view, record))
    table = answer_table(cube)
    parts = [key_table(table, jnp.array([k])) for k in _view.keys]
    p = _view.p
    return Logits(cube, jnp.stack(parts) if parts else jnp.zeros((0, p, p)), cube.mean((0, 1)))


def logits_at(view: View, record: int) -> Logits:
    """The logits at a record."""
    return _logits(view, view.name, record)


@st.cache_resource(max_entries=4, show_spinner=False)
def _neurons(_view: View, name: str, record: int) -> Neurons:
    model: Any = _snapshot(_view, record)
    tables = modular.neurons(model)
    W_L = (model.W_out[0] @ model.W_U[:, :-1]).T
    found, written = neuron_frequencies(tables), readout_frequencies(W_L)
    return Neurons(
        tables,
        np.asarray(found.frequency),
        np.asarray(found.share),
        W_L,
        np.asarray(written.frequency),
    )


def neurons_at(view: View, record: int) -> Neurons:
    """The neurons at a record."""
    return _neurons(view, view.name, record)


def _snapshot(view: View, record: int) -> modular.Model:
    return jax.tree.map(lambda leaf: leaf[record], view.result.snapshots)


def ablated(view: View, logits: Logits, removed: Sequence[int]) -> Scores:
    """The scores after frequencies, or `REST`, were taken out of the logits.

    Of a key frequency goes its key part. `REST` is what neither the key parts nor the mean over
    pairs explain.
    """
    gone = np.array([float(k in removed) for k in view.keys], np.float32)
    left = _without(logits, gone, np.float32(REST in removed))
    train = np.asarray(view.result.train_pairs)
    others = np.setdiff1d(np.arange(view.p**2), train)
    return Scores(*(score(left, pairs) for pairs in (train, others if others.size else train)))


@jax.jit
def _without(logits: Logits, gone: jax.Array, no_rest: jax.Array) -> jax.Array:
    p = logits.mean.shape[0]
    answers = (np.arange(p)[:, None] + np.arange(p)[None]) % p
    every = logits.waves.sum(0) + logits.mean[None]
    whole = jnp.where(no_rest > 0, every[answers], logits.cube)
    return whole - jnp.tensordot(gone, logits.waves, 1)[answers]


def answer(view: View, logits: Logits, a: int, b: int, removed: Sequence[int]) -> Answer:
    """The logits of the pair (a, b) after frequencies, or `REST`, were taken out."""
    right = (a + b) % view.p
    every = np.asarray(logits.waves[:, right])
    left = every * np.array([k not in removed for k in view.keys])[:, None]
    row = np.asarray(logits.cube[a, b])
    if REST in removed:
        row = every.sum(0) + np.asarray(logits.mean)
    own = (np.arange(len(every)), np.array(view.keys, int) - 1)
    size, phase = (np.asarray(part)[own] for part in waves(left)) if len(every) else own
    return Answer(right, row - every.sum(0) + left.sum(0), left, size, phase)


def busiest(view: View, neurons: Neurons) -> int:
    """The neuron to begin with: of the strongest key frequency, the one that has most of it."""
    key = view.keys[0] if view.keys else 0
    return int(np.argmax(np.where(neurons.frequency == key, 1.0, 0.0) + neurons.share))


def neuron(neurons: Neurons, number: int) -> Neuron:
    """One neuron, its waves and their phases."""
    table, out = neurons.tables[..., number], neurons.W_L[:, number]
    reads, writes = jnp.stack([table.mean(1), table.mean(0)]), out - out.mean()
    k = int(neurons.frequency[number])
    size, phase = (
        np.asarray(part[:, max(k, 1) - 1]) * (k > 0)
        for part in waves(jnp.concatenate([reads, writes[None]]))
    )
    return Neuron(
        np.asarray(table),
        np.asarray(reads),
        np.asarray(writes),
        k,
        float(neurons.share[number]),
        size,
        phase,
    )
