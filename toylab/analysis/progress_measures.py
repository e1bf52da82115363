"""Losses that tell how far a circuit of key waves has formed, before the test loss shows it.

The restricted loss keeps the key part of the logits alone, the excluded loss takes it away, and an
ablation does either for single frequencies. Notation and conventions are those of `logit_spectrum`;
all losses are natural-log cross-entropies over the p answers.

The keys are those of the end of training, held fixed: to follow a training, find them on the last
snapshot, then `jax.vmap` or `jax.lax.map` a loss over the logits of all snapshots.

Source: Nanda et al. 2023, "Progress measures for grokking via mechanistic interpretability"
(2301.05217), section 5, and the code released with it.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from toylab.analysis.arguments import Numbers
from toylab.analysis.logit_parts import cosine_logits, key_table
from toylab.analysis.logit_spectrum import answer_table
from toylab.analysis.modular_arguments import (
    answer_grid,
    frequency_mask,
    frequency_numbers,
    logit_cube,
    n_frequencies,
    pair_numbers,
    real_array,
    whole_numbers,
)

__all__ = [
    "Ablations",
    "Score",
    "ablations",
    "cross_entropies",
    "cross_entropy",
    "excluded_loss",
    "restricted_loss",
    "score",
]


class Score(NamedTuple):
    """How well logits answer.

    Attributes:
        loss: [...], mean cross-entropy in nats, at least 0; ln p for equal logits.
        accuracy: [...], the share of pairs whose largest logit is the right one, in [0, 1].
    """

    loss: jax.Array
    accuracy: jax.Array


class Ablations(NamedTuple):
    """What the same pairs score when waves are taken out of the logits, or everything else is.

    Attributes:
        intact: the logits L themselves, fields [].
        without_each: L less the key part of one key at a time, fields [n] in the order of the keys.
        without_all: L less the key part of all keys, fields [].
        only_key: the key part of all keys and the mean of L over pairs, nothing else, fields [].
        only_cosines: the key cosines sum_k alpha_k cos(w_k s), nothing else, fields [].
    """

    intact: Score
    without_each: Score
    without_all: Score
    only_key: Score
    only_cosines: Score


def cross_entropies(logits: Numbers, answers: Numbers) -> jax.Array:
    """Each row's cross-entropy, in the form that stays exact when the answer is certain.

    softplus(logsumexp_{c != y} L_c - L_y). It is the same number as -log softmax(L)_y, but that, in
    float32, moves in steps of 1.2e-7 near 0 and ends at exactly 0, and the gradient with it; this
    keeps its relative precision down to 1e-37.

    Args:
        logits: [n, c].
        answers: int [n] in 0..c-1.

    Returns:
        [n], at least 0.

    Raises:
        ConfigError: another shape, an answer out of range.

    Source: the identity log(1 + x) of x = sum_{c != y} exp(L_c - L_y). Nanda et al. 2023 use
        float64 for the same reason.
    Example: logits [[30, 0]] and answers [0] give ln(1 + e^-30) = 9.36e-14.
    """
    array = real_array("logits", logits, ("n", "c"))
    n, c = array.shape
    return _losses(array, whole_numbers("answers", answers, (n,), 0, c - 1))


def cross_entropy(logits: Numbers, answers: Numbers) -> jax.Array:
    """The mean of `cross_entropies`.

    Args:
        logits: [n, c].
        answers: int [n] in 0..c-1.

    Returns:
        [], at least 0; ln c for equal logits.

    Raises:
        ConfigError: as `cross_entropies`.

    Example: logits [[30, 0], [0, 0]] and answers [0, 0] give half of ln 2.
    """
    return cross_entropies(logits, answers).mean()


def score(logits: Numbers, pairs: Numbers | None = None, answers: Numbers | None = None) -> Score:
    """Loss and accuracy of logits over some pairs.

    Args:
        logits: [p, p, p].
        pairs: int [n], numbers a * p + b; all p^2 unless given.
        answers: [p, p]; (a + b) mod p unless given.

    Returns:
        Score(loss [], accuracy []).

    Example: logits that are all 0 have loss ln p and accuracy 1/p (ties go to the first, c = 0).
    """
    cube = logit_cube(logits)
    p = cube.shape[0]
    return _intact(cube, pair_numbers(pairs, p), answer_grid(answers, p))


def restricted_loss(logits: Numbers, keys: Numbers, answers: Numbers | None = None) -> jax.Array:
    """Cross-entropy over all pairs of C + mean L: the key part and the bias of each output.

    The mean of L over pairs is a constant for each output c; without it accuracy can collapse. It
    falls while the circuit forms, before the test loss does.

    Args:
        logits: [p, p, p].
        keys: frequency numbers [n] in 1..K, or a mask [K].
        answers: [p, p]; (a + b) mod p unless given.

    Returns:
        [], at least 0; at most that of the biases alone when no key is given.

    Source: Nanda et al. 2023, section 5.1. The released code calls the mean its bias correction.
    Example: key 1 of L = cos(w_1 (a+b-c)) + cos(w_1 (a-b)) gives the loss of the first term alone.
    """
    cube = logit_cube(logits)
    p = cube.shape[0]
    return _restricted(cube, frequency_mask(keys, p), answer_grid(answers, p)).loss


def excluded_loss(
    logits: Numbers, keys: Numbers, pairs: Numbers, answers: Numbers | None = None
) -> jax.Array:
    """Cross-entropy over the training pairs of L - C: what is known by heart, without the keys.

    It falls with the training loss while pairs are memorised, and rises as the circuit takes over.
    All keys are taken out together; the released code gives one value for each frequency, which is
    `jax.vmap(lambda mask: excluded_loss(logits, mask, pairs))(jnp.eye(K))`.

    Args:
        logits: [p, p, p].
        keys: frequency numbers [n] in 1..K, or a mask [K].
        pairs: int [n], the training pairs as numbers a * p + b.
        answers: [p, p]; (a + b) mod p unless given.

    Returns:
        [], at least 0; the training loss itself without keys.

    Source: Nanda et al. 2023, section 5.1.
    Example: L = 9 cos(w_1 (a+b-c)) without key 1 is 0: the loss is ln p on any pairs.
    """
    cube = logit_cube(logits)
    p = cube.shape[0]
    numbers, grid = pair_numbers(pairs, p), answer_grid(answers, p)
    return _excluded(cube, frequency_mask(keys, p), numbers, grid).loss


def ablations(
    logits: Numbers,
    keys: Numbers,
    pairs: Numbers | None = None,
    answers: Numbers | None = None,
) -> Ablations:
    """Which waves the logits need: each key left out, all left out, and nothing else kept.

    Args:
        logits: [p, p, p].
        keys: frequency numbers [n] in 1..K, not a mask.
        pairs: int [n], numbers a * p + b to score; all p^2 unless given. The parts are always
            projected out over all pairs.
        answers: [p, p]; (a + b) mod p unless given.

    Returns:
        Ablations, a `Score` for each.

    Source: Nanda et al. 2023, sections 4.4 and 5.1.
    Example: L = 9 cos(w_1 s) without key 1 has loss ln p; its key part is L itself.
    """
    cube = logit_cube(logits)
    p = cube.shape[0]
    numbers, chosen = frequency_numbers(keys, p).reshape(-1), pair_numbers(pairs, p)
    return _ablations(cube, numbers, chosen, answer_grid(answers, p))


@jax.jit
def _losses(rows: jax.Array, answers: jax.Array) -> jax.Array:
    right = jnp.arange(rows.shape[1])[None] == answers[:, None]
    others = jax.nn.logsumexp(jnp.where(right, -jnp.inf, rows), axis=1)
    return jax.nn.softplus(others - jnp.where(right, rows, 0.0).sum(1))


def _score(rows: jax.Array, answers: jax.Array) -> Score:
    hits = rows.argmax(1) == answers
    return Score(_losses(rows, answers).mean(), hits.mean(dtype=rows.dtype))


def _rows(cube: jax.Array, pairs: jax.Array, grid: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The logits [n, p] and answers [n] of some pairs."""
    p = cube.shape[0]
    return cube.reshape(p * p, p)[pairs], grid.reshape(-1)[pairs]


@jax.jit
def _intact(cube: jax.Array, pairs: jax.Array, grid: jax.Array) -> Score:
    return _score(*_rows(cube, pairs, grid))


@jax.jit
def _restricted(cube: jax.Array, mask: jax.Array, grid: jax.Array) -> Score:
    """Over all pairs, so over the p answers, each with the weight of its pairs."""
    p, table = cube.shape[0], answer_table(cube, grid)
    weight = table.pairs / (p * p)
    rows = key_table(table, mask) + (weight @ table.mean)[None]
    hits = rows.argmax(1) == jnp.arange(p)
    return Score(weight @ _losses(rows, jnp.arange(p)), weight @ hits.astype(weight.dtype))


@jax.jit
def _excluded(cube: jax.Array, mask: jax.Array, pairs: jax.Array, grid: jax.Array) -> Score:
    rows, answers = _rows(cube, pairs, grid)
    return _score(rows - key_table(answer_table(cube, grid), mask)[answers], answers)


@jax.jit
def _ablations(cube: jax.Array, numbers: jax.Array, pairs: jax.Array, grid: jax.Array) -> Ablations:
    each = jax.nn.one_hot(numbers - 1, n_frequencies(cube.shape[0]), dtype=cube.dtype)
    together = each.max(0, initial=0.0)
    table = answer_table(cube, grid)
    rows, answers = _rows(cube, pairs, grid)
    key, bias = key_table(table, together), (table.pairs @ table.mean) / table.pairs.sum()
    cosines, _ = _rows(cosine_logits(cube, together, grid), pairs, grid)
    return Ablations(
        intact=_score(rows, answers),
        without_each=jax.lax.map(
            lambda mask: _score(rows - key_table(table, mask)[answers], answers), each
        ),
        without_all=_score(rows - key[answers], answers),
        only_key=_score((key + bias[None])[answers], answers),
        only_cosines=_score(cosines, answers),
    )
