"""The chapter on modular addition: what its measures say of networks whose numbers are known."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from toylab import Grid, ModularConfig, ModularResult, grid, modular
from toylab.experiments.modular_config import FAST, HE, LIVE
from toylab.figures import modular_evidence as evidence
from toylab.figures.book import BOOK
from toylab.figures.entry import Entry
from toylab.figures.modular_book import ENTRIES
from toylab.figures.modular_cells import Networks, cells, tables
from toylab.figures.modular_evidence import (
    Ablated,
    Pair,
    Seeds,
    ablated,
    attention_of,
    both_losses,
    circuits,
    consecutive,
    distinct_sets,
    final_loss,
    further,
    further_log,
    gap,
    grid_of,
    group_rate,
    held_by_plane,
    lead_of_restricted,
    of,
    outside,
    over_cells,
    readout_ratio,
    readout_share,
    same_or_doubled,
    several,
    shrinkage,
    single_share,
    slowest,
    spike_count,
    step_below,
    trained,
)

P = 13
SMALL = ModularConfig(p=P, d_model=8, n_heads=2, d_mlp=12, n_steps=2, record_every=1)


@pytest.fixture(scope="module")
def untrained() -> ModularResult:
    """A transformer after two steps."""
    return trained(SMALL, jax.random.key(0))


@pytest.fixture(scope="module")
def swept() -> ModularResult:
    """Two settings of two seeds after two steps."""
    return grid_of(grid(SMALL, weight_decay=[0.0, 3.0], seed=[0, 1]), jax.random.key(0))


def story(result: ModularResult, **curves: Any) -> ModularResult:
    """The result with other curves of its three records."""
    measures = {k: v for k, v in curves.items() if k in result.progress._fields}
    others = {k: v for k, v in curves.items() if k not in measures}
    cast = {k: jnp.asarray(v, jnp.float32) for k, v in (measures | others).items()}
    progress = result.progress._replace(**{k: cast[k] for k in measures})
    return result._replace(progress=progress, **{k: cast[k] for k in others})


def test_the_chapter_is_in_the_book() -> None:
    assert [e for e in BOOK if e.chapter == "modular"] == list(ENTRIES)
    quick = {e.id for e in ENTRIES if e.quick}
    assert quick
    assert all(e.config in (LIVE, HE) for e in ENTRIES if e.quick)
    assert all(e.seeds >= 8 for e in ENTRIES if e.config in (FAST, LIVE, HE))
    # Five of five leave room for a rate of 0.566 (Wilson): 5 of 8.
    assert {e.needed for e in ENTRIES if e.seeds == 8} == {5}
    assert all(e.needed == e.seeds for e in ENTRIES if e.seeds < 8)


def test_where_a_further_seed_belongs() -> None:
    assert further(0.8, 0.9) == pytest.approx((0.633, 1.067))
    assert further(0.8, 0.9, 0.7, 1.0) == (0.7, 1.0)
    assert further_log(1e-3, 1e-2) == pytest.approx((2.138e-5, 0.4677), rel=1e-3)
    # A sixth normal value lies within 99 times of 100, whatever the law's mean and width.
    values = np.random.default_rng(0).normal(3.0, 2.0, size=(200_000, 6))
    five, sixth = values[:, :5], values[:, 5]
    middle, reach = (five.max(1) + five.min(1)) / 2, evidence.BEYOND * np.ptp(five, axis=1)
    assert np.mean(np.abs(sixth - middle) <= reach) == pytest.approx(0.99, abs=0.003)
    scale = stats.t.ppf(0.995, 4) * math.sqrt(1.2)
    assert scale / 2.326 == pytest.approx(evidence.BEYOND, abs=0.005)


def test_a_network_is_trained_once_and_keeps_its_last_snapshot(untrained: ModularResult) -> None:
    assert trained(SMALL, jax.random.key(0)) is untrained
    alone = modular.run(SMALL, jax.random.key(0))
    np.testing.assert_array_equal(untrained.model.W_U[...], alone.model.W_U[...])
    np.testing.assert_array_equal(untrained.snapshots.W_U[...], alone.snapshots.W_U[...][-1:])
    assert untrained.step.tolist() == [0, 1, 2]


def test_a_sweep_keeps_its_last_snapshots(swept: ModularResult) -> None:
    assert swept.snapshots.W_U.shape == (2, 2, 1, 8, 14)
    np.testing.assert_array_equal(swept.snapshots.W_U[...][:, :, 0], swept.model.W_U[...])


def test_seeds_follow_one_another(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = consecutive(jax.random.key(3), 3)
    for found, seed in zip(keys, (9, 10, 11), strict=True):
        assert jnp.all(jax.random.key_data(found) == jax.random.key_data(jax.random.key(seed)))
    asked: list[int] = []

    def note(config: ModularConfig, key: jax.Array) -> Any:
        asked.append(int(jax.random.key_data(key)[1]))
        return config

    monkeypatch.setattr(evidence, "trained", note)
    networks = several(Seeds(SMALL, 2), jax.random.key(7))
    assert networks == Networks((SMALL, SMALL), ("seed 14", "seed 15"))  # type: ignore[arg-type]
    assert asked == [14, 15]


def test_both_losses_start_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence, "trained", lambda config, key: (config.loss, int(key)))
    assert tuple(both_losses(SMALL, 5)) == (("float32", 5), ("accurate", 5))  # type: ignore[arg-type]


def test_measures_of_curves(untrained: ModularResult) -> None:
    half = math.log(P) / 2  # 1.28
    result = story(
        untrained, train_loss=[2.0, 1.0, 0.5], test_loss=[3.0, 2.0, 1.0],
        train_accuracy=[0.1, 1.0, 1.0], test_accuracy=[0.1, 0.2, 1.0],
        excluded_loss=[2.6, 1.0, 2.0], restricted_loss=[2.6, 1.2, 0.1],
        weight_norm=[4.0, 8.0, 2.0],
    )  # fmt: skip
    [cell] = cells(result)
    share = SMALL.n_train / P**2
    assert final_loss(cell) == pytest.approx(0.5 * share + 1.0 * (1 - share))
    assert shrinkage(cell) == pytest.approx(75.0)
    assert gap(cell) == 1.0  # memorised at 1, holds from 2
    assert lead_of_restricted(cell) == 1.0
    assert step_below(cell.restricted_loss, cell, half) == 1.0
    assert math.isnan(step_below(cell.restricted_loss, cell, 0.01))
    assert math.isnan(gap(cells(story(result, test_accuracy=[0.1, 1.0, 0.5]))[0]))
    assert of(shrinkage)(result) == of(shrinkage)(Ablated(result, None)) == 75.0  # type: ignore[arg-type]


def test_measures_of_weights_and_waves(untrained: ModularResult) -> None:
    result = untrained._replace(key_frequencies=jnp.array([2, 5]))
    [cell] = cells(result)
    model = cell.model
    n = np.arange(P)
    W_L = np.asarray(tables(model).W_L, float)
    logits = np.array([[model.run(jnp.array([a, b, P]))[0][2, :P] for b in n] for a in n])
    waves = {(k, f): f(2 * np.pi * k * n / P) for k in (2, 5) for f in (np.cos, np.sin)}
    inside = sum(2 / P * np.sum((wave @ W_L) ** 2) for wave in waves.values())
    assert outside(cell) == pytest.approx(100 * (1 - inside / np.sum(W_L**2)), rel=1e-3)
    centred = logits - logits.mean((0, 1), keepdims=True)
    centred -= centred.mean(2, keepdims=True)
    held = 0.0
    for k in (2, 5):
        for f in (np.cos, np.sin):
            for g in (np.cos, np.sin):
                along = np.einsum("a,b,abc->c", waves[k, f], waves[k, g], centred)
                held += 4 / P**2 * np.sum(along**2)
    assert held_by_plane(cell) == pytest.approx(100 * held / np.sum(centred**2), rel=1e-3)
    found = attention_of(cell)
    assert found.key_share.shape == (2,)
    assert 0 <= float(found.self_weight.max()) <= 1


def test_measures_of_readouts(untrained: ModularResult) -> None:
    share = np.zeros((3, 6))
    share[-1, [1, 4]] = 0.2, 0.6
    result = story(untrained._replace(key_frequencies=jnp.array([2, 5])), share=share)
    [cell] = cells(result)
    W_L = np.asarray(tables(cell.model).W_L, float)
    neurons = np.asarray(modular.neurons(cell.model), float)
    n = np.arange(P)
    total = n[:, None] + n[None]
    fve, ratios = {}, []
    for k in (2, 5):
        coefficients = []
        for f in (np.cos, np.sin):
            values = neurons @ (f(2 * np.pi * k * n / P) @ W_L)
            values -= values.mean()
            wave = f(2 * np.pi * k * total / P)
            coefficients.append((wave * values).sum() / (wave**2).sum())
            fve[k, f] = coefficients[-1] * (wave * values).sum() / (values**2).sum()
        ratios.append(coefficients[0] / coefficients[1])
    assert readout_share(cell) == pytest.approx(min(fve[5, np.cos], fve[5, np.sin]), rel=1e-3)
    assert readout_ratio(cell) == pytest.approx(float(np.median(ratios)), rel=1e-3)


def test_neurons_that_write_what_they_read_or_its_double() -> None:
    """ReLUs of one wave each: k = 1 written as 1, 2 as 4, 3 as 5, and a mixed neuron."""
    from toylab.models.mlp import PairMLP

    n = np.arange(P)

    def wave(k: int) -> np.ndarray:
        return np.cos(2 * np.pi * k * n / P)

    W = np.stack([wave(1), wave(2), wave(3), wave(1) + wave(5)])
    out = np.stack([wave(1), wave(4), wave(5), wave(1)], axis=1)
    model = PairMLP(jnp.asarray(W), jnp.asarray(out), jnp.asarray(W), "relu")
    config = SMALL.replace(architecture="mlp", inputs="separate", d_mlp=4)
    [cell] = cells(trained(config, jax.random.key(0))._replace(model=model))
    assert single_share(cell) == 75.0
    assert same_or_doubled(cell) == pytest.approx(200 / 3)


def test_scores_without_waves_are_those_of_the_network(untrained: ModularResult) -> None:
    found = ablated(SMALL, jax.random.key(0))
    assert found.result is untrained
    n = np.arange(P)
    logits = np.asarray(modular.logits(untrained.model), float)
    right = (n[:, None] + n[None]) % P
    probability = np.exp(logits - logits.max(-1, keepdims=True))
    probability /= probability.sum(-1, keepdims=True)
    loss = -np.log(np.take_along_axis(probability, right[..., None], -1)).mean()
    assert float(found.scores.intact.loss) == pytest.approx(loss, rel=1e-4)
    assert len(found.scores.without_each.loss) == len(untrained.key_frequencies)


def test_measures_of_sweeps(swept: ModularResult) -> None:
    accuracy = np.zeros((2, 2, 3))
    accuracy[1] = [[0.0, 1.0, 1.0], [0.0, 0.0, 1.0]]
    right = np.broadcast_to([0.0, 1.0, 1.0], (2, 2, 3))
    found = story(swept, test_accuracy=accuracy, train_accuracy=right)
    assert group_rate("0")(found) == 0.0
    assert group_rate("3")(found) == 1.0
    assert slowest("3")(found) == 2.0
    assert slowest("0")(found) == math.inf
    accuracy[1] = [[0.0, 1.0, 0.5], [0.0, 1.0, 1.0]]  # a spike undoes the first
    spiked = story(found, test_accuracy=accuracy)
    assert (slowest("3")(spiked), group_rate("3")(spiked)) == (1.0, 0.5)
    keys = np.array([[[1, 2], [1, 2]], [[1, 3], [2, 0]]])
    networks = found._replace(key_frequencies=jnp.asarray(keys))
    assert distinct_sets(networks) == 3.0  # type: ignore[arg-type]
    counted = over_cells(lambda cell: len(cell.key_frequencies), min)
    assert counted(networks) == 1.0


def test_spikes_of_one_form(untrained: ModularResult) -> None:
    from toylab.figures.grokking import LossForms

    saw = story(untrained, train_loss=[1.0, 1e-6, 0.1])
    data = LossForms(saw, untrained)
    assert (spike_count("float32")(data), spike_count("accurate")(data)) == (1.0, 0.0)


def test_circuits_of_a_tied_mlp_and_planted_logits() -> None:
    mlp = SMALL.replace(p=7, architecture="mlp", activation="quadratic", d_mlp=6)
    data = circuits(Pair(SMALL, mlp), jax.random.key(0))
    assert -1 <= data.symmetricity[0] < 0.999
    assert data.symmetricity[1] == pytest.approx(1.0, abs=1e-5)
    assert data.irrelevance[2:].tolist() == pytest.approx([1.0, 0.0], abs=1e-5)
    assert [table.shape for table in data.tables] == [(13, 13), (7, 7), (13, 13), (13, 13)]
    right = modular.logits(trained(SMALL, jax.random.key(0)).model)
    # Sum 1 and difference 0 belong to the pair (7, 7) modulo 13.
    assert data.tables[0][1, 0] == pytest.approx(float(right[7, 7, 1]), rel=1e-5)


def small(config: Any) -> Any:
    """The config of an entry for networks that train in no time."""
    if isinstance(config, Seeds):
        return Seeds(SMALL, 2)
    if isinstance(config, Pair):
        mlp = SMALL.replace(p=7, architecture="mlp", activation="quadratic", d_mlp=6)
        return Pair(SMALL, mlp)
    if config.architecture == "mlp":
        return config.replace(p=P, d_mlp=12, n_steps=2, record_every=1)
    return SMALL


@pytest.mark.parametrize("e", ENTRIES, ids=[e.id for e in ENTRIES])
def test_every_entry_draws_and_measures_its_kind_of_data(e: Entry, swept: ModularResult) -> None:
    """An untrained network has no circuit: a statement that holds for it says nothing."""
    if isinstance(e.config, Grid):
        axes = dict(e.config.axes)
        [(name, values)] = [(name, values) for name, values in axes.items() if name != "seed"]
        repeat = [0, 0, *[1] * (len(values) - 2)]
        data = jax.tree.map(lambda leaf: leaf[jnp.asarray(repeat)], swept._replace(config=None))
        data = data._replace(config=grid(SMALL, **{name: values, "seed": [0, 1]}))
    else:
        data = e.compute(small(e.config), jax.random.key(0))
    figure = e.figure(data)
    figure.draw_without_rendering()
    title = figure._suptitle  # type: ignore[attr-defined]
    assert 0 <= title.get_window_extent().x0 < title.get_window_extent().x1 <= figure.bbox.x1
    assert figure.get_label()
    values = [float(check.measure(data)) for check in e.checks]
    assert not all(check.holds(v) for check, v in zip(e.checks, values, strict=True))
