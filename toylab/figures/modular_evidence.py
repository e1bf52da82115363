"""What the chapter on modular addition computes and measures: networks, and the numbers asked.

A measure takes the data of one seed and returns one number, so that `Check` can hold it against an
interval. Intervals are published claims, or what five seeds of an independent implementation
reached in the same setting; since five seeds do not show the whole spread, `further` widens their
range to where one more seed belongs.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from toylab import Grid, ModularConfig, ModularResult, modular, sweep
from toylab.analysis import attention_waves as attention
from toylab.analysis import clock_pizza
from toylab.analysis.fourier import energy_outside
from toylab.analysis.logit_spectrum import plane_spectrum
from toylab.analysis.neurons import (
    SINGLE_FREQUENCY,
    neuron_frequencies,
    readout_frequencies,
    readout_relation,
)
from toylab.analysis.progress_measures import Ablations, ablations
from toylab.analysis.readouts import Readouts, readouts
from toylab.analysis.training_phases import GROKKED, NEVER, first_step_at
from toylab.figures.entry import Check, Entry
from toylab.figures.grokking import LossForms, spikes
from toylab.figures.grokking_times import groups
from toylab.figures.modular_cells import (
    Cell,
    Networks,
    attention_pattern,
    cells,
    logits_of_embeddings,
    memorised_at,
    tables,
)
from toylab.figures.starts import wilson
from toylab.figures.wave_circuits import Circuits, neuron_scores

__all__ = [
    "NANDA", "ZHONG", "Ablated", "Pair", "Seeds", "ablated", "attention_of", "both_losses",
    "circuits", "consecutive", "distinct_sets", "drawn_by", "entry", "final_loss", "further",
    "further_log", "gap", "grid_of", "group_rate", "held_at", "held_by_plane", "lead_of_restricted",
    "least_harm", "of", "outside", "over_cells", "readout_ratio", "readout_share", "replaced",
    "right_with", "same_or_doubled", "several", "shortest_phase", "shrinkage", "single_share",
    "slowest", "spike_count", "step_below", "trained",
]  # fmt: skip

NANDA = "Nanda et al. 2023, Progress measures for grokking via mechanistic interpretability"
ZHONG = "Zhong et al. 2023, The clock and the pizza"
LEAST_RATE = wilson(5, 5)[0]  # 0.566
BEYOND = 2.17  # widths of the range of five on either side of its middle; see `further`

Measure = Callable[[Any], float]


class Seeds(NamedTuple):
    """A setting from several consecutive seeds."""

    config: ModularConfig
    n: int


class Ablated(NamedTuple):
    """A network and its scores on all pairs when waves are taken out of its logits."""

    result: ModularResult
    scores: Ablations


class Pair(NamedTuple):
    """Two settings."""

    transformer: ModularConfig
    mlp: ModularConfig


def further(
    low: float, high: float, least: float = -math.inf, most: float = math.inf
) -> tuple[float, float]:
    """Where a sixth seed belongs when five ranged from low to high, at 99 %.

    The middle of the range ± 2.17 times its width: for a normal law the range of five is 2.326
    standard deviations on average, and the 99 % prediction interval from five values is 5.04
    standard deviations on either side (Student's t with 4 degrees of freedom, 4.604 sqrt(1 + 1/5)).

    Args:
        low, high: the range of five seeds.
        least, most: what the quantity can be.

    Worked value: 0.8 to 0.9 gives 0.633 to 1.067, and 0.633 to 1 with most=1.
    """
    middle, reach = (low + high) / 2, BEYOND * (high - low)
    return max(middle - reach, least), min(middle + reach, most)


def further_log(low: float, high: float) -> tuple[float, float]:
    """`further` for a quantity that spreads by factors, such as a loss: the same of logarithms.

    Worked value: 0.001 to 0.01 gives 2.14e-05 to 0.468.
    """
    start, end = further(math.log(low), math.log(high))
    return math.exp(start), math.exp(end)


def entry(
    id: str, title: str, source: str, caption: str, config: Any, figure: Callable[[Any], Figure],
    statement: str, *checks: Check, compute: Callable[[Any, jax.Array], Any] | None = None,
    seeds: int = 8, quick: bool = False,
) -> Entry:  # fmt: skip
    """An entry of this chapter; by default its data are the network of one config.

    What was seen on five of five seeds elsewhere is asked of a rate that this does not exclude: of
    8 seeds and more, `LEAST_RATE` must pass; of fewer, all.
    """
    needed = math.ceil(LEAST_RATE * seeds) if seeds >= 8 else seeds
    return Entry(id, "modular", title, source, caption, config, compute or trained, figure,
                 statement, checks, seeds, quick, needed)  # fmt: skip


def trained(config: ModularConfig, key: jax.Array) -> ModularResult:
    """A run with only the last of its snapshots; the entries of one seed train once.

    A whole result of p = 113 takes some 50 MB, nearly all of it snapshots; without them a few
    dozen networks can be kept.
    """
    return _trained(config.to_json(), tuple(np.asarray(jax.random.key_data(key)).tolist()))


@functools.lru_cache(maxsize=64)
def _trained(config: str, words: tuple[int, ...]) -> ModularResult:
    key = jax.random.wrap_key_data(jnp.asarray(words, jnp.uint32))
    result = modular.run(ModularConfig.from_json(config), key)
    return result._replace(snapshots=jax.tree.map(lambda W: W[-1:], result.snapshots))


def ablated(config: ModularConfig, key: jax.Array) -> Ablated:
    """A network of addition and what it scores on all pairs without waves, or with these alone."""
    result = trained(config, key)
    cell = cells(result)[0]
    return Ablated(result, ablations(modular.logits(cell.model), cell.key_frequencies))


def least_harm(data: Ablated) -> float:
    """The least loss without one of the keys over that of the network; NaN without any key."""
    losses = np.asarray(data.scores.without_each.loss)
    return float(losses.min() / data.scores.intact.loss) if len(losses) else math.nan


def drawn_by(figure: Callable[[ModularResult], Figure]) -> Callable[[Ablated], Figure]:
    """A figure of the network alone."""
    return lambda data: figure(data.result)


def several(seeds: Seeds, key: jax.Array) -> Networks:
    """The networks of n consecutive seeds: from key s those of seeds s n to s n + n - 1."""
    keys = consecutive(key, seeds.n)
    labels = tuple(f"seed {int(jax.random.key_data(one)[-1])}" for one in keys)
    return Networks(tuple(trained(seeds.config, one) for one in keys), labels)


def consecutive(key: jax.Array, n: int) -> list[jax.Array]:
    """The keys of n seeds: of `jax.random.key(s)` those of s n, ..., s n + n - 1: no two share."""
    words = np.asarray(jax.random.key_data(key))
    return [
        jax.random.wrap_key_data(jnp.asarray([words[0], words[1] * n + i], jnp.uint32))
        for i in range(n)
    ]


def grid_of(plan: Grid[ModularConfig], key: jax.Array) -> ModularResult:
    """A sweep with only the last of its snapshots."""
    result = sweep(modular.run, plan, key)
    lead = len(plan.axes)
    return result._replace(
        snapshots=jax.tree.map(
            lambda W: W[(slice(None),) * lead + (slice(-1, None),)], result.snapshots
        )
    )


def both_losses(config: ModularConfig, key: jax.Array) -> LossForms:
    """The same start trained with each form of the loss."""
    return LossForms(*(trained(config.replace(loss=form), key) for form in ("float32", "accurate")))


def circuits(pair: Pair, key: jax.Array) -> Circuits:
    """A transformer, an mlp that sees the sum of its inputs, and a planted clock and pizza."""
    networks = [trained(config, key) for config in pair]
    found = [_clockness(result, key) for result in networks]
    p, k = pair.transformer.p, 1
    planted = [clock_pizza.clock_logits(p, k), clock_pizza.pizza_logits(p, k)]
    return Circuits(
        ("transformer", "mlp of the sum", "planted clock", "planted pizza"),
        np.array([*(symmetry for symmetry, _ in found), np.nan, np.nan]),
        np.array([*(irrelevance for _, irrelevance in found),
                  *(float(clock_pizza.distance_irrelevance(cube)) for cube in planted)]),
        tuple(np.asarray(clock_pizza.correct_logits(cube)) for cube in
              (*(modular.logits(result.model) for result in networks), *planted)),
        (("pizza (Model A)", 0.994, 0.172), ("clock (Model B)", 0.334, 0.848)),
    )  # fmt: skip


def _clockness(result: ModularResult, key: jax.Array) -> tuple[float, float]:
    """Gradient symmetricity and distance irrelevance of a network."""
    model = result.model
    symmetricity = clock_pizza.gradient_symmetricity(
        functools.partial(logits_of_embeddings, model), tables(model).W_E, key
    )
    return float(symmetricity), float(clock_pizza.distance_irrelevance(modular.logits(model)))


def of(measure: Callable[[Cell], Any]) -> Measure:
    """Measure the one network of a run, or of an `Ablated`."""

    def measured(data: ModularResult | Ablated) -> float:
        result = data.result if isinstance(data, Ablated) else data
        return float(measure(cells(result)[0]))

    return measured


def gap(cell: Cell) -> float:
    """How long after memorising the network groks, in steps; NaN if it does not do both."""
    first, held = memorised_at(cell), int(cell.phases.cleaned)
    return math.nan if NEVER in (first, held) else float(held - first)


def shortest_phase(cell: Cell) -> float:
    """The steps of circuit formation or of the cleanup, the fewer; NaN if a phase has no end."""
    ends = [int(step) for step in cell.phases]
    return math.nan if NEVER in ends else float(min(np.diff(ends)))


def held_at(cell: Cell) -> float:
    """The step from which 99 % of the test pairs hold; infinite for never."""
    return math.inf if int(cell.phases.cleaned) == NEVER else float(cell.phases.cleaned)


def final_loss(cell: Cell) -> float:
    """The loss over all pairs at the end."""
    share = cell.config.n_train / cell.config.p**2
    return float(share * cell.train_loss[-1] + (1 - share) * cell.test_loss[-1])


def shrinkage(cell: Cell) -> float:
    """By how many percent the sum of squared weights falls from its peak to the end."""
    return float(100.0 * (1.0 - cell.weight_norm[-1] / cell.weight_norm.max()))


def step_below(losses: np.ndarray, cell: Cell, level: float) -> float:
    """The first recorded step at which a loss is below a level; NaN if it never is."""
    below = np.flatnonzero(losses < level)
    return float(cell.step[below[0]]) if len(below) else math.nan


def lead_of_restricted(cell: Cell) -> float:
    """By how many steps the key waves alone fall below ln(p)/2 before the test loss does."""
    half = math.log(cell.config.p) / 2
    return step_below(cell.test_loss, cell, half) - step_below(cell.restricted_loss, cell, half)


def outside(cell: Cell) -> float:
    """Percent of the energy of W_L outside the key frequencies."""
    return float(100.0 * energy_outside(tables(cell.model).W_L, cell.key_frequencies))


def held_by_plane(cell: Cell) -> float:
    """Percent of the logits' energy in the four products of each key frequency."""
    share = np.asarray(plane_spectrum(modular.logits(cell.model)).share)
    return float(100.0 * share[cell.key_frequencies - 1].sum())


def _readouts(cell: Cell) -> Readouts:
    W_L = tables(cell.model).W_L
    return readouts(W_L, modular.neurons(cell.model), cell.key_frequencies)


def readout_share(cell: Cell) -> float:
    """How much of the strongest key's readouts is the wave of a + b, the lesser of cosine, sine.

    NaN without any key.
    """
    if not len(cell.key_frequencies):
        return math.nan
    best = int(np.argmax(cell.share[-1, cell.key_frequencies - 1]))
    return min(float(part.fve[best]) for part in _readouts(cell))


def readout_ratio(cell: Cell) -> float:
    """The median over keys of the cosine's coefficient over the sine's; NaN without any key."""
    if not len(cell.key_frequencies):
        return math.nan
    found = _readouts(cell)
    return float(np.median(np.asarray(found.cosine.coefficient / found.sine.coefficient)))


def attention_of(cell: Cell) -> attention.AttentionWaves:
    """The waves of each head's attention from '=' to a."""
    return attention.attention_waves(attention_pattern(cell.model), cell.key_frequencies)


def single_share(cell: Cell) -> float:
    """Percent of the neurons that have one frequency."""
    fit = neuron_frequencies(modular.neurons(cell.model))
    return float(100.0 * np.mean(np.asarray(fit.share) > SINGLE_FREQUENCY))


def same_or_doubled(cell: Cell) -> float:
    """Percent of the one-frequency neurons that write on the logits the k they read, or 2k.

    NaN without any such neuron.
    """
    fit = neuron_frequencies(modular.neurons(cell.model))
    readout = readout_frequencies(tables(cell.model).W_L)
    relation = readout_relation(fit, readout, cell.config.p)
    single = np.asarray(fit.share) > SINGLE_FREQUENCY
    written = np.asarray(relation.same | relation.doubled)[single]
    return float(100.0 * np.mean(written)) if len(written) else math.nan


def replaced(name: str) -> Measure:
    """The loss with neurons replaced (`neuron_scores`) over the network's own."""

    def measure(cell: Cell) -> float:
        scores = neuron_scores(cell)
        return float(scores[name].loss) / float(scores["intact"].loss)

    return of(measure)


def right_with(name: str) -> Measure:
    """Percent of all pairs that are right with neurons replaced (`neuron_scores`)."""
    return of(lambda cell: 100 * float(neuron_scores(cell)[name].accuracy))


def group_rate(label: str) -> Measure:
    """The share of one setting's networks that hold 99 % of the test pairs to the end."""

    def measure(result: ModularResult) -> float:
        [group] = [group for group in groups(result)[1] if group.label == label]
        return group.grokked / len(group.cells)

    return measure


def slowest(label: str) -> Measure:
    """Of one setting's networks, the largest ratio of two steps: 99 % of test and of train pairs.

    The first record with either counts, be it undone by a spike later; infinite without one.
    """

    def ratio(cell: Cell) -> float:
        first, tested = (
            int(first_step_at(cell.step, accuracy, GROKKED))
            for accuracy in (cell.train_accuracy, cell.test_accuracy)
        )
        return math.inf if NEVER in (first, tested) else tested / max(first, 1)

    def measure(result: ModularResult) -> float:
        [group] = [group for group in groups(result)[1] if group.label == label]
        return max(ratio(cell) for cell in group.cells)

    return measure


def spike_count(form: str) -> Measure:
    """How often the training loss leaps to 100 times its least so far, with one form of it."""
    return lambda data: float(spikes(cells(getattr(data, form))[0]))


def distinct_sets(networks: Networks) -> float:
    """How many different sets of key frequencies the networks have."""
    return float(len({tuple(cell.key_frequencies) for cell in cells(networks)}))


def over_cells(measure: Callable[[Cell], Any], summary: Callable[[list[float]], Any]) -> Measure:
    """Measure each of several networks and sum up."""
    return lambda networks: float(summary([float(measure(cell)) for cell in cells(networks)]))
