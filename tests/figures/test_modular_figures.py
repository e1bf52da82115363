"""Figures of modular arithmetic draw the numbers of their networks, and survive odd ones.

Most networks here are written down, not trained: quadratic networks whose logits are known sums of
cosines, and transformers with arbitrary weights, whose numbers are worked out pair by pair.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from scipy import stats

from toylab import Grid, ModularConfig, ModularResult, grid, modular, sweep
from toylab.errors import ConfigError
from toylab.experiments.modular import Progress
from toylab.figures.fourier import (
    grokking_sweep,
    logit_fit,
    neuron_waves,
    spectrum,
    training_story,
)
from toylab.figures.grokking import LossForms, loss_forms, progress_measures, spikes
from toylab.figures.grokking_times import groups, seeds, success
from toylab.figures.modular_cells import (
    Networks,
    attention_pattern,
    by_angle,
    cells,
    key_words,
    logits_of_embeddings,
    memorised_at,
    right_answers,
    tables,
    word,
)
from toylab.figures.style import save_figure
from toylab.figures.wave_circuits import (
    Circuits,
    ablations,
    attention_waves,
    clock_or_pizza,
    neuron_ablations,
    neuron_scores,
    readout_waves,
)
from toylab.models.mlp import PairMLP
from toylab.models.transformer import Sizes, random_transformer

P = 13
K = 6
SMALL = ModularConfig(p=P, d_model=8, n_heads=2, d_mlp=12, n_steps=40, record_every=10)
PLANTED = SMALL.replace(architecture="mlp", activation="quadratic", inputs="separate", d_mlp=24)
TRAINED = (
    SMALL.replace(p=5, d_mlp=4, n_steps=2, record_every=2, train_fraction=0.5),
    SMALL.replace(p=7, d_mlp=6, n_steps=4, record_every=2, train_fraction=0.5),
)
STEP = np.array([0, 10, 20, 30, 40])
# A story: memorised at 10, the test loss last at a blind guess at 20, grokked from 30 on.
TRAIN = np.array([2.6, 0.5, 0.1, 0.05, 0.01])
TEST = np.array([2.6, 4.0, 3.0, 0.5, 0.02])
EXCLUDED = np.array([2.6, 1.0, 2.0, 3.0, 4.0])
ACCURACY = np.array([0.1, 0.3, 0.5, 1.0, 1.0])


def five(values: Any) -> np.ndarray:
    """An independent rounding to five significant digits."""
    return np.vectorize(lambda value: float(f"{value:.5g}"))(np.asarray(values, float))


def numbers(values: Any) -> list[Any]:
    return np.asarray(values).tolist()


def points(axes: Axes, index: int = 0) -> np.ndarray:
    found = [c for c in axes.collections if isinstance(c, PathCollection)]
    return np.asarray(found[index].get_offsets())


def heights(axes: Axes) -> list[float]:
    return [patch.get_height() for patch in axes.patches if isinstance(patch, Rectangle)]


def line(axes: Axes, label: str) -> list[float]:
    [found] = [one for one in axes.lines if one.get_label() == label]
    return numbers(found.get_ydata())


def drawn_image(axes: Axes) -> np.ndarray:
    return np.asarray(axes.images[0].get_array(), float)


def title_fits(figure: Figure) -> bool:
    figure.draw_without_rendering()
    title = figure._suptitle  # type: ignore[attr-defined]
    return bool(title.get_window_extent().x1 <= figure.bbox.x1)


def result_of(config: Any, model: Any, keys: Any = (), share: Any = None, **curves: Any) -> Any:
    """A result that holds a network and the story above, or other curves."""
    lead = config.shape if isinstance(config, Grid) else ()
    first = config.configs[0] if isinstance(config, Grid) else config
    K = (first.p - 1) // 2
    share = np.zeros(K) if share is None else np.asarray(share, float)
    values = {
        "step": STEP, "train_loss": TRAIN, "test_loss": TEST, "train_accuracy": np.ones(5),
        "test_accuracy": ACCURACY, "restricted_loss": TEST / 2, "excluded_loss": EXCLUDED,
        "explained": np.full(5, share.sum()), "share": np.broadcast_to(share, (*lead, 5, K)),
        "gini_in": np.linspace(0.1, 0.8, 5), "gini_out": np.linspace(0.2, 0.9, 5),
        "weight_norm": np.array([10.0, 12.0, 8.0, 5.0, 3.0]),
        "first_bad_step": np.full(lead, -1), **curves,
    }  # fmt: skip

    def cast(name: str) -> jax.Array:
        value = np.asarray(values[name])
        tail = value.shape[value.ndim - 1 :] if name != "share" else value.shape[-2:]
        if name == "first_bad_step":
            return jnp.asarray(value, jnp.int32)
        wanted = (*lead, *tail)
        dtype = jnp.int32 if name == "step" else jnp.float32
        return jnp.asarray(np.broadcast_to(value, wanted), dtype)

    progress = Progress(*(cast(name) for name in Progress._fields))
    keys = jnp.broadcast_to(jnp.asarray(keys, jnp.int32), (*lead, len(keys)))
    pairs = jnp.zeros((*lead, first.n_train), jnp.int32)
    whole = jax.tree.map(lambda W: jnp.broadcast_to(W, (*lead, *W.shape)), model)
    return ModularResult(
        config, whole, *(cast(name) for name in ModularResult._fields[2:7]), keys, pairs, progress,
        jax.tree.map(lambda W: W[..., None], whole), cast("first_bad_step"),
    )  # fmt: skip


def planted_mlp(amplitudes: dict[int, float], p: int = P) -> PairMLP:
    """A quadratic network whose logits are 4 Σ_k amplitude_k cos w_k(a + b - c) exactly.

    Eight neurons a frequency, with phases 0, π/2, π, 3π/2 of a and 0, π/2 of b: the terms of a or
    of b alone cancel in the sum over phases, the cross terms do not.
    """
    rows, columns, out = [], [], []
    n = np.arange(p)
    for k, amplitude in amplitudes.items():
        for phi in np.arange(4) * np.pi / 2:
            for chi in np.arange(2) * np.pi / 2:
                w = 2 * np.pi * k / p
                rows.append(np.cos(w * n + phi))
                columns.append(np.cos(w * n + chi))
                out.append(amplitude * np.cos(w * n + phi + chi))
    W_a, W_b, W_out = (jnp.asarray(np.array(W), jnp.float32) for W in (rows, columns, out))
    return PairMLP(W_a, W_out.T, W_b, "quadratic")


@pytest.fixture
def planted() -> ModularResult:
    """Logits 8 cos w_2 s + 4 cos w_5 s: the keys 2 and 5 hold 4/5 and 1/5 of the variance."""
    share = np.array([0, 0.8, 0, 0, 0.2, 0])
    config = PLANTED.replace(d_mlp=16)
    return result_of(config, planted_mlp({2: 2.0, 5: 1.0}), (2, 5), share)


@pytest.fixture
def attentive() -> ModularResult:
    """A transformer with arbitrary weights."""
    model = random_transformer(Sizes(P + 1, 3, 8, 2, 4, 12), jax.random.key(3))
    return result_of(SMALL, model, (1, 4), np.array([0.3, 0, 0, 0.2, 0, 0]))


def test_a_planted_network_has_the_logits_that_it_says(planted: ModularResult) -> None:
    a, b, c = np.ogrid[:P, :P, :P]
    s = 2 * np.pi * (a + b - c) / P
    expected = 8 * np.cos(2 * s) + 4 * np.cos(5 * s)
    np.testing.assert_allclose(modular.logits(planted.model), expected, atol=1e-4)


def test_one_cell_of_a_run(planted: ModularResult) -> None:
    [cell] = cells(planted)
    assert cell.label == ""
    assert cell.key_frequencies.tolist() == [2, 5]
    assert (int(cell.phases.memorised), int(cell.phases.formed), int(cell.phases.cleaned)) == (
        10, 20, 30)  # fmt: skip
    assert memorised_at(cell) == 0
    assert cell.test_accuracy[-1] == 1.0
    assert key_words(cell) == "frequencies 2 and 5"
    words = [key_words(cell._replace(key_frequencies=np.array(k, int))) for k in ([], [4], [1, 2])]
    assert words == ["no frequency", "frequency 4", "frequencies 1 and 2"]
    assert (word(-1), word(30)) == ("never", "step 30")


def test_cells_of_a_padded_sweep_have_their_own_sizes() -> None:
    chosen = cells(trained_sweep())
    assert [cell.label for cell in chosen] == ["network 0", "network 1"]
    for cell, wanted in zip(chosen, TRAINED, strict=True):
        assert cell.config == wanted
        config = cell.config
        W_E, W_L = tables(cell.model)
        assert W_E.shape == (config.p, 8)
        assert W_L.shape == (config.p, config.d_mlp)
        assert cell.model.W_U.shape == (8, config.p + 1)
        assert cell.step.tolist() == list(range(0, config.n_steps + 1, 2))
        assert cell.share.shape == (len(cell.step), (config.p - 1) // 2)
        assert len(cell.train_pairs) == config.n_train
        assert np.all(cell.key_frequencies > 0)
        kept = cell.share[-1].sum(where=cell.share[-1] > 0.01)
        np.testing.assert_allclose(kept, cell.explained[-1], rtol=1e-4)


def test_a_diverged_cell_is_named_and_has_no_phases() -> None:
    plan = grid(PLANTED, seed=[0, 1])
    bad = np.array([[2.6, np.nan, np.inf, 1.0, 1.0], TEST])
    found = result_of(plan, planted_mlp({1: 1.0, 2: 1.0, 3: 1.0}), first_bad_step=np.array([7, -1]),
                      test_loss=bad)  # fmt: skip
    first, second = cells(found)
    assert first.label == "seed 0 (diverged)"
    assert [int(step) for step in first.phases] == [-1, -1, -1]
    assert (second.label, int(second.phases.cleaned)) == ("seed 1", 30)
    assert success(found) == (1, 2)
    for draw in (grokking_sweep, seeds, training_story, progress_measures):
        assert title_fits(draw(found))


def test_several_runs_carry_their_labels(planted: ModularResult) -> None:
    networks = Networks((planted, planted), ("one", "two"))
    assert [cell.label for cell in cells(networks)] == ["one", "two"]
    assert groups(networks)[0] == ""
    assert success(networks) == (2, 2)


def test_tables_attention_and_embeddings_agree_with_the_forward_pass(
    attentive: ModularResult,
) -> None:
    model = attentive.model
    W_E, W_L = tables(model)
    np.testing.assert_allclose(W_E, np.asarray(model.W_E[...])[:P])
    expected = np.asarray(model.W_out[...])[0] @ np.asarray(model.W_U[...])[:, :P]
    np.testing.assert_allclose(W_L, expected.T, rtol=1e-5, atol=1e-6)
    pattern = np.asarray(attention_pattern(model))
    for a, b in ((0, 0), (3, 7), (12, 1)):
        logits, seen = model.run(jnp.array([a, b, P]))
        np.testing.assert_allclose(pattern[a, b], seen.pattern[0, :, 2], rtol=1e-4, atol=1e-6)
        vector = logits_of_embeddings(model, W_E[a], W_E[b])
        np.testing.assert_allclose(vector, logits[2, :P], rtol=1e-3, atol=1e-4)
    assert pattern.shape == (P, P, 2, 3)


@pytest.mark.parametrize("activation", ["relu", "quadratic"])
def test_a_tied_mlp_reads_the_sum_of_its_embeddings(activation: Any) -> None:
    rng = np.random.default_rng(0)
    W_a, W_out = rng.normal(size=(6, 5)), rng.normal(size=(5, 6))
    model = PairMLP(jnp.asarray(W_a), jnp.asarray(W_out), None, activation)
    W_E, W_L = tables(model)
    np.testing.assert_allclose(W_E, W_a.T, rtol=1e-6)
    np.testing.assert_allclose(W_L, W_out, rtol=1e-6)
    summed = W_a[:, 1] + W_a[:, 4]
    active = np.maximum(summed, 0) if activation == "relu" else summed**2
    found = logits_of_embeddings(model, W_E[1], W_E[4])
    np.testing.assert_allclose(found, W_out @ active, rtol=1e-5)
    np.testing.assert_allclose(found, model(1, 4), rtol=1e-5)


def test_numbers_in_the_order_of_their_angle() -> None:
    assert by_angle(5, 2).tolist() == [0, 3, 1, 4, 2]
    wave = np.cos(2 * np.pi * 5 * by_angle(P, 5) / P)
    np.testing.assert_allclose(wave, np.cos(2 * np.pi * np.arange(P) / P), atol=1e-12)
    assert sorted(by_angle(6, 2)) == list(range(6))  # no inverse: some order


def test_answers_are_those_of_the_task() -> None:
    assert right_answers(SMALL.replace(task="multiply"))[3, 5] == 2
    assert right_answers(SMALL)[12, 12] == 11


def test_the_story_is_drawn_with_its_phases(planted: ModularResult) -> None:
    figure = training_story(planted)
    losses, shares, parts = figure.axes
    assert line(losses, "train") == five(TRAIN).tolist()
    assert line(losses, "test") == five(TEST).tolist()
    assert line(shares, "test") == five(100 * ACCURACY.astype(np.float32)).tolist()
    assert line(parts, "key waves only") == five(TEST / 2).tolist()
    assert line(parts, "without them") == five(EXCLUDED).tolist()
    spans = [(patch.get_x(), patch.get_x() + patch.get_width()) for patch in losses.patches
             if isinstance(patch, Rectangle)]  # fmt: skip
    assert spans == [(0, 10), (10, 20), (20, 30)]
    named = [text.get_text() for text in figure.legends[0].get_texts()]
    assert named == ["memorisation, to 10", "circuit formation, to 20", "cleanup, to 30"]
    assert figure.get_suptitle() == "p = 13: its pairs known by step 0, all by step 30"
    assert "Test loss from 2.6 over 4 to 0.02" in figure.get_label()
    levels = [numbers(one.get_ydata())[0] for one in losses.lines if len(one.get_ydata()) == 2]
    assert levels == [pytest.approx(math.log(13))]


def test_a_story_without_an_end_has_no_bands(planted: ModularResult) -> None:
    unfinished = planted._replace(test_accuracy=jnp.asarray(ACCURACY * 0.9, jnp.float32))
    figure = training_story(unfinished)
    assert not figure.axes[0].patches
    assert not figure.legends
    assert figure.get_suptitle() == "p = 13: test accuracy 90 % after 40 steps"


def test_measures_are_drawn_over_steps(planted: ModularResult) -> None:
    losses, sparsity, weights, explained = progress_measures(planted).axes
    assert line(sparsity, "W_E") == five(np.linspace(0.1, 0.8, 5).astype(np.float32)).tolist()
    assert line(sparsity, "W_L") == five(np.linspace(0.2, 0.9, 5).astype(np.float32)).tolist()
    assert numbers(weights.lines[0].get_ydata()) == [10, 12, 8, 5, 3]
    assert line(explained, "all keys") == [100.0] * 5
    assert [numbers(one.get_ydata())[-1] for one in explained.lines[:2]] == [80, 20]
    assert [text.get_text() for text in explained.texts] == ["5", "2"]
    assert line(losses, "test") == five(TEST).tolist()
    title = progress_measures(planted).get_suptitle()
    assert title == "Gini of W_E 0.10 → 0.80, weights shrink by 75 %, keys explain 100 %"


def test_the_spectrum_of_a_planted_network(planted: ModularResult) -> None:
    figure = spectrum(planted)
    into, out, logits = figure.axes
    # Eight neurons for each of the two keys, of equal size in; amplitudes 2 and 1 out.
    assert heights(into) == pytest.approx([0, 50, 0, 0, 50, 0], abs=1e-3)
    assert heights(out) == pytest.approx([0, 80, 0, 0, 20, 0], abs=1e-3)
    assert heights(logits) == pytest.approx([0, 80, 0, 0, 20, 0], abs=1e-3)
    assert figure.get_suptitle() == "Frequencies 2 and 5 carry 100 % of the logits"
    notes = [text.get_text() for text in logits.texts]
    assert notes == ["2", "5", "keys 100.0 %"]
    # Gini of (1/2, 1/2, 0, 0, 0, 0): (5·½ + 3·½)/6 = 2/3, of (.8, .2, 0...): (4 + .6)/6.
    assert [axes.texts[-1].get_text() for axes in (into, out)] == ["Gini 0.67", "Gini 0.77"]


def test_the_fit_draws_means_cosines_and_the_plane(planted: ModularResult) -> None:
    figure = logit_fit(planted)
    means, plane = figure.axes[:2]
    s = np.arange(-6, 7)
    curve = 8 * np.cos(2 * np.pi * 2 * s / P) + 4 * np.cos(2 * np.pi * 5 * s / P)
    np.testing.assert_allclose(line(means, "key cosines"), curve, rtol=1e-3, atol=1e-3)
    assert points(means)[:, 0].tolist() == s.tolist()
    np.testing.assert_allclose(points(means)[:, 1], curve, rtol=1e-3, atol=1e-3)
    share = drawn_image(plane)
    assert share.shape == (K + 1, K + 1)
    assert share[2, 2] == pytest.approx(0.8, abs=1e-4)
    assert share[5, 5] == pytest.approx(0.2, abs=1e-4)
    assert share.sum() == pytest.approx(1 + 47 * 1e-5, abs=1e-4)
    assert plane.get_title(loc="left") == "2 × 4 products hold 100.0 %"
    assert figure.get_suptitle() == "2 cosines of a+b-c explain 100.0 % of the logits"


def test_the_plane_has_a_along_its_rows() -> None:
    """A network that answers a alone, whatever b, has its energy at b's constant."""
    n = np.arange(P)
    wave = np.cos(2 * np.pi * 3 * n / P)
    model = PairMLP(jnp.asarray(wave[None]), jnp.asarray(wave[:, None]), jnp.zeros((1, P)), "relu")
    found = result_of(PLANTED.replace(d_mlp=1, activation="relu"), model)
    share = drawn_image(logit_fit(found).axes[1])
    assert share[1:, 0].sum() == pytest.approx(1, abs=1e-3)
    assert share[3, 0] == share.max()


def test_neurons_are_counted_and_drawn(planted: ModularResult) -> None:
    # ReLU of one wave: pure enough; one neuron of two waves is mixed, one is silent.
    n = np.arange(P)
    waves = {k: np.cos(2 * np.pi * k * n / P) for k in (1, 2, 3)}
    W_a = np.array([waves[1], waves[1], waves[2], waves[1] + waves[3], np.zeros(P)])
    W_b = W_a.copy()
    model = PairMLP(jnp.asarray(W_a), jnp.zeros((P, 5)), jnp.asarray(W_b), "relu")
    figure = neuron_waves(result_of(PLANTED.replace(d_mlp=5, activation="relu"), model, (1,)))
    counts, purity = figure.axes[:2]
    activations = np.maximum(W_a[:, :, None] + W_b[:, None, :], 0)
    shares = [purest(table) for table in activations]
    pure = [k for k, share in shares if share > 0.85]
    assert pure == [1, 1, 2]
    assert heights(counts)[:K] == [2, 1, 0, 0, 0, 0]
    assert sum(heights(counts)[K:]) == 1
    assert sum(heights(purity)) == 5
    maps = [axes for axes in figure.axes[2:] if axes.images]
    assert len(maps) == 8  # all but the silent neuron, twice
    first = by_angle(P, 1)
    expected = five(activations[0][np.ix_(first, first)])
    np.testing.assert_allclose(drawn_image(maps[0]), five(activations[0]), rtol=6e-3)
    np.testing.assert_allclose(drawn_image(maps[4]), expected, rtol=6e-3)
    assert figure.get_suptitle() == "3 of 5 neurons (60 %) have one frequency"
    assert "2 at 1, 1 at 2; 2 are mixed or silent" in figure.get_label()


def purest(table: np.ndarray) -> tuple[int, float]:
    """A neuron's best frequency and share by least squares on its eight waves."""
    centred = table - table.mean()
    a, b = np.meshgrid(np.arange(P), np.arange(P), indexing="ij")
    best = (0, 0.0)
    for k in range(1, K + 1):
        w = 2 * np.pi * k / P
        ones = [f(w * x) for f in (np.cos, np.sin) for x in (a, b)]
        products = [f(w * a) * g(w * b) for f in (np.cos, np.sin) for g in (np.cos, np.sin)]
        X = np.stack([wave.ravel() for wave in ones + products], axis=1)
        fit = X @ np.linalg.lstsq(X, centred.ravel(), rcond=None)[0]
        share = float(fit @ fit / max(centred.ravel() @ centred.ravel(), 1e-30))
        best = max(best, (k, share), key=lambda pair: pair[1])
    return best


def test_readouts_of_a_planted_network_are_waves_of_the_sum(planted: ModularResult) -> None:
    figure = readout_waves(planted)
    maps, (shares, coefficients) = figure.axes[:4], figure.axes[4:]
    # A term alpha cos w_k(a + b - c) shows with coefficient alpha sqrt(p/2); alpha is 8 and 4.
    cosines, sines = np.split(np.array(heights(coefficients)), 2)
    assert cosines == pytest.approx([8 * math.sqrt(6.5), 4 * math.sqrt(6.5)], rel=1e-3)
    assert sines == pytest.approx(cosines, rel=1e-3)
    assert heights(shares) == pytest.approx([100] * 4, abs=1e-2)
    order = by_angle(P, 2)
    total = order[:, None] + order[None]
    wave = 8 * math.sqrt(6.5) * np.cos(2 * np.pi * 2 * total / P)
    np.testing.assert_allclose(drawn_image(maps[0]), wave, atol=0.2)
    assert [axes.get_title(loc="left") for axes in maps] == [
        "uᵀMLP, k = 2", "vᵀMLP, k = 2", "uᵀMLP, k = 5", "vᵀMLP, k = 5"]  # fmt: skip
    assert figure.get_suptitle() == "Readouts are 100 to 100 % waves of a+b"


def test_attention_is_drawn_head_by_head(attentive: ModularResult) -> None:
    figure = attention_waves(attentive)
    pattern = np.asarray(attention_pattern(attentive.model), float)
    for head in range(2):
        np.testing.assert_allclose(drawn_image(figure.axes[head]), pattern[..., head, 0], rtol=6e-3)
        centred = pattern[..., head, 0] - pattern[..., head, 0].mean()
        n = np.arange(P)
        expected = []
        for k in range(1, K + 1):
            waves = [f(2 * np.pi * k * n / P) for f in (np.cos, np.sin)]
            energy = sum((centred.sum(axis) @ wave) ** 2 for axis in (0, 1) for wave in waves)
            expected.append(100 * energy * 2 / P**2 / np.sum(centred**2))
        assert heights(figure.axes[2 + head]) == pytest.approx(expected, rel=1e-3)
        keys = expected[0] + expected[3]
        assert figure.axes[2 + head].get_title(loc="left") == f"keys {keys:.0f} %"


def test_an_mlp_has_no_attention_to_draw(planted: ModularResult) -> None:
    with pytest.raises(ConfigError) as error:
        attention_waves(planted)
    assert str(error.value) == (
        "architecture='mlp': has no attention; write architecture='transformer'")  # fmt: skip


def test_ablations_are_scored_on_all_pairs(planted: ModularResult) -> None:
    figure = ablations(planted)
    losses, accuracies = figure.axes
    names = [label.get_text() for label in losses.get_yticklabels()]
    assert names == ["intact", "only key waves", "only key cosines", "without 2", "without 5",
                     "without all keys"]  # fmt: skip

    def loss(amplitudes: dict[int, float]) -> float:
        s = np.arange(P)
        logits = sum(
            (A * np.cos(2 * np.pi * k * s / P) for k, A in amplitudes.items()), np.zeros(P)
        )
        return float(np.log(np.exp(logits - logits[0]).sum()))

    whole = loss({2: 8.0, 5: 4.0})
    expected = [whole, whole, whole, loss({5: 4.0}), loss({2: 8.0}), math.log(P)]
    np.testing.assert_allclose(points(losses)[:, 0], expected, rtol=2e-3)
    widths = [patch.get_width() for patch in accuracies.patches if isinstance(patch, Rectangle)]
    assert widths[:5] == [100] * 5
    assert figure.get_suptitle().startswith("Without its keys the network is right on ")


def sweep_of_story(axis: str = "weight_decay") -> ModularResult:
    """Two settings with two seeds each, of which the first setting never groks."""
    plan = grid(PLANTED, **{axis: [0.0, 3.0], "seed": [0, 1]})
    accuracy = np.stack([np.stack([ACCURACY * 0.5] * 2), np.stack([ACCURACY] * 2)])
    share = np.broadcast_to(np.array([0, 0.8, 0, 0, 0.2, 0]), (2, 2, 5, 6))
    model = planted_mlp({1: 1.0, 2: 1.0, 3: 1.0})
    return result_of(plan, model, (2, 5), share[0, 0, 0])._replace(
        test_accuracy=jnp.asarray(accuracy, jnp.float32)
    )


def test_a_sweep_is_grouped_by_all_axes_but_the_seed() -> None:
    found = sweep_of_story()
    name, members = groups(found)
    assert name == "weight_decay"
    assert [(group.label, len(group.cells), group.grokked) for group in members] == [
        ("0", 2, 0), ("3", 2, 2)]  # fmt: skip
    figure = grokking_sweep(found)
    times, keys, rates = figure.axes
    x = [-0.32, 0.32, 0.68, 1.32]
    assert points(times, 0).tolist() == [[pytest.approx(at), 0] for at in x]  # memorised
    assert points(times, 1).tolist() == [[pytest.approx(at), 30] for at in x[2:]]  # first
    assert points(times, 2).tolist() == [[pytest.approx(at), 30] for at in x[2:]]  # held
    assert points(times, 3)[:, 0].tolist() == pytest.approx(x[:2])  # never
    assert points(keys).tolist() == [[pytest.approx(at), k] for at in x for k in (2, 5)]
    [dots] = [c for c in keys.collections if isinstance(c, PathCollection)]
    assert dots.get_sizes().tolist() == pytest.approx([72, 18] * 4, rel=1e-4)
    [bars] = rates.containers
    assert isinstance(bars, ErrorbarContainer)
    assert numbers(bars.lines[0].get_ydata()) == [0, 100]
    bounds = stats.binomtest(0, 2).proportion_ci(method="wilson")
    segments = bars.lines[2][0].get_segments()  # type: ignore[attr-defined]
    assert segments[0][:, 1].tolist() == pytest.approx([0, 100 * bounds.high], abs=1e-3)
    assert [label.get_text() for label in rates.get_xticklabels()] == ["0", "3"]
    assert figure.get_suptitle() == "2 of 4 networks grok, by weight_decay"
    assert "0: 0 of 2; 3: 2 of 2" in figure.get_label()


def test_seeds_have_a_row_each(planted: ModularResult) -> None:
    figure = seeds(sweep_of_story())
    left, right = figure.axes
    rows = [points(left, i).tolist() for i in range(4)]
    assert rows == [[[2, i], [5, i]] for i in range(4)]
    spans = [numbers(one.get_xdata()) for one in right.lines]
    assert spans == [[0, 40], [0, 40], [0, 30], [0, 30]]
    assert figure.get_suptitle() == "2 of 4 seeds grok at 30 steps, with 2 frequencies"
    assert seeds(planted).get_suptitle() == "1 of 1 seeds grok at 30 steps, with 2 frequencies"


def test_spikes_are_leaps_from_the_least_loss(planted: ModularResult) -> None:
    def count(*losses: float) -> int:
        return spikes(cells(planted)[0]._replace(train_loss=np.array(losses)))

    assert count(1, 0.001, 0.2, 0.001, 0.0005, 0.1) == 2
    assert count(1, 0.001, 0.2, 0.5, 0.3) == 1
    assert count(1, 0.1, 0.01, 0.05) == 0
    assert count(0.0, 1.0) == 1


def test_both_forms_of_the_loss_are_drawn(planted: ModularResult) -> None:
    saw = np.array([1.0, 1e-7, 0.0, 0.3, 1e-3])
    figure = loss_forms(
        LossForms(planted._replace(train_loss=jnp.asarray(saw, jnp.float32)), planted)
    )
    above, below = figure.axes
    drawn = line(above, "float32 log-softmax")
    assert drawn[:2] + drawn[3:] == pytest.approx([1.0, 1e-7, 0.3, 1e-3], rel=1e-4)
    assert math.isnan(drawn[2])  # a loss of 0 has no place on the scale
    assert line(above, "accurate form") == five(TRAIN).tolist()
    assert [numbers(one.get_ydata()) for one in below.lines] == [[10, 12, 8, 5, 3]] * 2
    assert figure.get_suptitle() == (
        "Leaps of the training loss: 1 in float32, 0 in the accurate form")  # fmt: skip


def test_circuits_are_placed_on_both_scales() -> None:
    table = np.arange(9.0).reshape(3, 3)
    data = Circuits(("network", "planted"), np.array([0.2, np.nan]), np.array([0.9, 0.1]),
                    (table, np.ones((3, 3))), (("pizza", 0.99, 0.17),))  # fmt: skip
    figure = clock_or_pizza(data)
    scatter, first, second = figure.axes[:3]
    assert points(scatter, 0).tolist() == [[0.2, 0.9]]
    assert points(scatter, 1).tolist() == [[0.99, 0.17]]
    assert len([c for c in scatter.collections if isinstance(c, PathCollection)]) == 2
    np.testing.assert_allclose(drawn_image(first), (table - 4) / (2.5 * table.std()), rtol=6e-3)
    assert np.all(drawn_image(second) == 0)
    assert figure.get_suptitle() == "Distance irrelevance 0.90: the network is a clock"
    swapped = data._replace(irrelevance=np.array([0.2, 0.1]))
    assert (
        clock_or_pizza(swapped).get_suptitle()
        == "Distance irrelevance 0.20: the network is a pizza"
    )


FIGURES: dict[str, Callable[[Any], Figure]] = {
    "story": training_story, "measures": progress_measures, "spectrum": spectrum,
    "fit": logit_fit, "neurons": neuron_waves, "readouts": readout_waves, "ablations": ablations,
    "sweep": grokking_sweep, "seeds": seeds,
}  # fmt: skip


@pytest.mark.parametrize("name", [*FIGURES, "attention"])
def test_networks_of_nothing_are_drawn(name: str, tmp_path: Any, attentive: ModularResult) -> None:
    """All weights 0, no key, one record, and losses that are 0."""
    empty = attentive._replace(
        model=jax.tree.map(jnp.zeros_like, attentive.model),
        key_frequencies=jnp.zeros(0, jnp.int32), train_loss=jnp.zeros(5), test_loss=jnp.zeros(5),
    )  # fmt: skip
    figure = {**FIGURES, "attention": attention_waves}[name](empty)
    assert figure.get_label()
    save_figure(figure, tmp_path / "x", {}, formats=("svg",))


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize(("p", "task"), [(3, "subtract"), (4, "multiply")])
def test_small_moduli_and_other_tasks_are_drawn(name: str, p: int, task: Any) -> None:
    rng = np.random.default_rng(p)
    W_a, W_out = rng.normal(size=(4, p)), rng.normal(size=(p, 4))
    config = PLANTED.replace(p=p, task=task, modulus="any", inputs="tied", d_mlp=4)
    model = PairMLP(jnp.asarray(W_a), jnp.asarray(W_out), None, "quadratic")
    figure = FIGURES[name](result_of(config, model, (1,)))
    assert title_fits(figure)
    if name == "fit":
        formula = {"subtract": "a-b", "multiply": "ab"}[task]
        assert f"1 cosine of {formula}-c explains" in figure.get_suptitle()


@pytest.mark.parametrize("name", FIGURES)
def test_a_trained_run_and_sweep_have_every_figure(name: str) -> None:
    found = trained_sweep()
    figure = FIGURES[name](found)
    assert title_fits(figure)
    assert figure.get_label()


@functools.cache
def trained_sweep() -> ModularResult:
    """A short training of two sizes, once for all tests."""
    return sweep(modular.run, TRAINED, 0)


def test_the_command_lines_subject_finds_what_it_asks_for() -> None:
    from toylab.subjects import SUBJECTS

    subject = SUBJECTS["modular"]
    assert set(subject.run_drawings()) == {"story", "spectrum", "neurons", "logits"}
    found = trained_sweep()
    lines = list(subject.summary(found))
    assert len(lines) == 2
    assert lines[0].startswith("network 0: test accuracy ")


def test_neurons_are_replaced_by_their_polynomials_and_projected() -> None:
    """A quadratic network is its polynomials; on its keys' directions it loses nothing."""
    n = np.arange(P)
    phases = 2 * np.pi * np.arange(3) / 3
    W = np.stack([np.cos(2 * np.pi * 2 * n / P + phase) for phase in phases])
    out = np.stack([np.cos(2 * np.pi * 2 * n / P + 2 * phase) for phase in phases], axis=1)
    model = PairMLP(jnp.asarray(W), jnp.asarray(out), jnp.asarray(W), "quadratic")
    config = PLANTED.replace(d_mlp=3)
    [cell] = cells(result_of(config, model, (2,)))
    scores = neuron_scores(cell)
    assert list(scores) == ["intact", "polynomials", "keys' directions", "all others"]
    # Squares hold the double frequency too, which the polynomial of degree 2 in k = 2 leaves out.
    assert float(scores["keys' directions"].loss) == pytest.approx(
        float(scores["intact"].loss), rel=1e-5
    )
    assert float(scores["all others"].loss) == pytest.approx(math.log(P), rel=1e-5)
    figure = neuron_ablations(result_of(config, model, (2,)))
    assert title_fits(figure)
    left, _ = figure.axes
    assert [text.get_text() for text in left.get_yticklabels()] == list(scores)
    assert points(left)[:, 0] == pytest.approx(five([float(s.loss) for s in scores.values()]))
