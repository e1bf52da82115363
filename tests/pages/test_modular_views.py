"""What the modular-addition page computes, draws and hands out."""

from __future__ import annotations

import base64
import contextlib
import csv
import io
import json
import math
import runpy
import shlex
import zlib
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import toylab
from toylab.experiments import modular
from toylab.experiments.modular_config import LIVE
from toylab.figures.style import read_metadata
from toylab.pages import modular_charts, modular_neuron_charts
from toylab.pages import modular_exports as exports
from toylab.pages import modular_text as text
from toylab.pages.modular_inside import (
    REST,
    ablated,
    answer,
    busiest,
    logits_at,
    neuron,
    neurons_at,
)
from toylab.pages.modular_marks import Picture, colours
from toylab.pages.modular_model import View, view_of

SMALL = LIVE.replace(p=17, train_fraction=0.6, d_model=48, n_heads=2, d_mlp=128, n_steps=200)
SEED, HALFWAY = 2, 6  # this seed forms its circuit within 200 steps; record 6 is step 60


@pytest.fixture(scope="module")
def view() -> View:
    """A network with waves of a few frequencies that is right on most test pairs."""
    found = view_of(modular.run(SMALL, SEED), SEED)
    assert found.keys
    share = found.moments[-1].share
    assert sorted(found.keys, key=lambda k: -share[k - 1]) == list(found.keys)
    return found


def removed_by_hand(cube: np.ndarray, keys: tuple[int, ...]) -> np.ndarray:
    """The key part of logits [p, p, p] by least squares on cos and sin of w_k (a + b)."""
    p = len(cube)
    total = np.add.outer(np.arange(p), np.arange(p)).ravel()
    terms = [wave(2 * np.pi * k * total / p) for k in keys for wave in (np.cos, np.sin)]
    if not terms:
        return np.zeros_like(cube)
    basis = np.stack(terms, axis=1)
    return (basis @ np.linalg.lstsq(basis, cube.reshape(p * p, p))[0]).reshape(cube.shape)


@pytest.mark.parametrize("rest", [(), (REST,)])
@pytest.mark.parametrize("n_keys", [0, 1, None])
def test_scores_without_some_waves(view: View, n_keys: int | None, rest: tuple[int, ...]) -> None:
    removed = view.keys[:n_keys] + rest
    found = ablated(view, logits_at(view, HALFWAY), removed)
    snapshot = view.result.snapshots
    cube = np.asarray(modular.logits(_at(snapshot, HALFWAY)), np.float64)
    left = cube
    if REST in removed:
        left = removed_by_hand(cube, view.keys) + cube.mean((0, 1))
    left = (left - removed_by_hand(cube, tuple(k for k in removed if k != REST))).reshape(-1, 17)
    right = np.add.outer(np.arange(17), np.arange(17)).ravel() % 17
    train = np.isin(np.arange(289), view.result.train_pairs)
    loss = np.log(np.exp(left).sum(1)) - left[np.arange(289), right]
    for score, pairs in ((found.train, train), (found.test, ~train)):
        assert float(score.loss) == pytest.approx(loss[pairs].mean(), rel=1e-4)
        hits = left[pairs].argmax(1) == right[pairs]
        assert float(score.accuracy) == pytest.approx(hits.mean(), abs=1.01 / pairs.sum())


def test_scores_agree_with_what_the_training_recorded(view: View) -> None:
    logits, result = logits_at(view, HALFWAY), view.result
    whole = ablated(view, logits, ())
    assert float(whole.test.loss) == pytest.approx(view.moments[HALFWAY].test_loss, rel=1e-5)
    without = ablated(view, logits, view.keys)
    assert float(without.train.loss) == pytest.approx(
        float(result.progress.excluded_loss[HALFWAY]), rel=1e-4
    )
    alone, n = ablated(view, logits, (REST,)), len(result.train_pairs)
    both = (n * float(alone.train.loss) + (289 - n) * float(alone.test.loss)) / 289
    assert both == pytest.approx(float(result.progress.restricted_loss[HALFWAY]), rel=1e-4)


def test_an_answer_is_the_sum_of_its_waves(view: View) -> None:
    logits = logits_at(view, HALFWAY)
    seen = answer(view, logits, 12, 9, ())
    assert (seen.right, seen.said) == (4, int(np.argmax(logits.cube[12, 9])))
    assert seen.logits == pytest.approx(np.asarray(logits.cube[12, 9]), abs=1e-5)
    ordered = sorted(seen.logits)
    assert seen.lead == pytest.approx(ordered[-1] - ordered[-2])
    alone = answer(view, logits, 12, 9, (REST,))
    assert alone.logits == pytest.approx(seen.waves.sum(0) + np.asarray(logits.mean), abs=1e-5)
    part = answer(view, logits, 12, 9, view.keys[:1])
    assert part.logits == pytest.approx(seen.logits - seen.waves[0], abs=1e-5)
    assert not part.waves[0].any()
    assert part.size[0] == 0
    # The drawn cosine is what the wave has of its own frequency.
    c = np.arange(17)
    for k, size, phase, wave in zip(view.keys, seen.size, seen.phase, seen.waves, strict=True):
        basis = np.stack([np.cos(2 * np.pi * k * c / 17), np.sin(2 * np.pi * k * c / 17)], axis=1)
        x, y = np.linalg.lstsq(basis, wave)[0]
        assert (size * np.cos(phase), -size * np.sin(phase)) == pytest.approx((x, y), abs=1e-4)


def test_a_network_without_key_frequencies_has_answers_too(view: View) -> None:
    bare = view._replace(keys=(), seed=1000)
    seen = answer(bare, logits_at(bare, 0), 1, 2, (REST,))
    assert seen.waves.shape == (0, 17)
    assert np.isfinite(seen.logits).all()
    assert ablated(bare, logits_at(bare, 0), (REST,)).test.accuracy <= 0.2


def test_a_neuron_and_its_waves(view: View) -> None:
    neurons = neurons_at(view, len(view.moments) - 1)
    number = busiest(view, neurons)
    assert neurons.frequency[number] == view.keys[0]
    assert neurons.share[number] == max(neurons.share[neurons.frequency == view.keys[0]])
    seen = neuron(neurons, number)
    model: Any = view.result.model
    table = np.asarray(modular.neurons(model))[:, :, number]
    assert seen.table == pytest.approx(table, abs=1e-5)
    writes = np.asarray(model.W_U[:, :-1]).T @ np.asarray(model.W_out[0]).T[:, number]
    assert seen.writes == pytest.approx(writes - writes.mean(), abs=1e-4)
    rows = (table.mean(1), table.mean(0), writes)
    for row, size, phase in zip(rows, seen.size, seen.phase, strict=True):
        z = 2 / 17 * np.fft.fft(row)[seen.frequency]
        assert size * np.exp(1j * phase) == pytest.approx(z, abs=1e-4)
    # Single-frequency neurons write the sum of the phases that they read (He et al. 2026): random
    # phases would make the mean of the cosines 0 ± 0.7/√n.
    assert seen.share > 0.85
    single = [neuron(neurons, int(i)).phase for i in np.flatnonzero(neurons.share > 0.85)]
    cosines = [math.cos(phase[0] + phase[1] - phase[2]) for phase in single]
    assert np.mean(cosines) > 2 * 0.7 / len(cosines) ** 0.5


def _at(snapshots: Any, record: int) -> Any:
    return jax.tree.map(lambda leaf: leaf[record], snapshots)


# Pictures


def pictures(view: View) -> dict[str, Picture]:
    neurons, record = neurons_at(view, HALFWAY), HALFWAY
    one = neuron(neurons, busiest(view, neurons))
    seen = answer(view, logits_at(view, record), 3, 4, ())
    found = {
        "losses": modular_charts.losses(view.moments, 200, view, 60),
        "live losses": modular_charts.losses(view.moments[:2], 200),
        "accuracies": modular_charts.accuracies(view.moments, 200, view, 60),
        "spectrum": modular_charts.spectrum(view.moments[record], view),
        "live spectrum": modular_charts.spectrum(view.moments[record]),
        "outputs": modular_charts.outputs(seen),
        "waves": modular_charts.waves(seen, view.keys),
        "neurons": modular_neuron_charts.neuron_strip(view, neurons, 5),
    }
    for ordered in (False, True):
        found[f"activations {ordered}"] = modular_neuron_charts.activations(one, ordered)
        found[f"wave in {ordered}"] = modular_neuron_charts.wave_in(one, "#000", ordered)
        found[f"wave out {ordered}"] = modular_neuron_charts.wave_out(one, "#000", ordered)
    return found


def column(picture: Picture, part: str, field: str) -> list[Any]:
    return [row[field] for row in picture.rows if row.get("part") == part]


def test_every_picture_is_json_without_nan_and_says_in_words_what_it_shows(view: View) -> None:
    for name, picture in pictures(view).items():
        whole = json.dumps(picture.whole, allow_nan=False)
        assert len(whole) < 100_000, name
        assert len(picture.spec["description"]) > 40, name
        columns = picture.whole["datasets"]["rows"]
        assert {len(values) for values in columns.values()} == {len(picture.rows)}


def test_the_spec_stays_while_the_moment_changes(view: View) -> None:
    weak = [seen for seen in view.moments if seen.share.max() < 0.4]
    one, other = (
        (modular_charts.losses(view.moments[:n], 200), modular_charts.spectrum(weak[n]))
        for n in (1, 2)
    )
    assert [picture.spec for picture in one] == [picture.spec for picture in other]
    one, other = (
        (
            modular_charts.losses(view.moments, 200, view, step),
            modular_charts.accuracies(view.moments, 200, view, step),
            modular_charts.spectrum(view.moments[step // 10], view),
        )
        for step in (20, 90)
    )
    assert [picture.spec for picture in one] == [picture.spec for picture in other]


def test_curves_and_bars_are_the_records(view: View) -> None:
    drawn = pictures(view)
    result, losses = view.result, drawn["losses"]
    expected = [
        *np.asarray(result.train_loss),
        *np.asarray(result.test_loss),
        *np.asarray(result.progress.restricted_loss),
        *np.asarray(result.progress.excluded_loss),
    ]
    assert column(losses, "curve", "value") == pytest.approx(expected, rel=1e-4)
    phases = view.phases
    assert 0 <= phases.memorised < phases.formed
    assert column(losses, "band", "step") == [phases.memorised]
    assert column(losses, "band", "until") == [phases.formed]
    assert column(losses, "now", "step") == [60]
    assert not column(drawn["live losses"], "band", "step")
    bars = drawn["spectrum"]
    assert column(bars, "bar", "k") == list(range(1, 9))
    assert column(bars, "bar", "share") == pytest.approx(
        np.asarray(result.progress.share)[HALFWAY], rel=1e-4
    )
    assert column(bars, "end", "k") == sorted(view.keys)
    assert colours((9, 4)) == {9: "#0072B2", 4: "#E69F00"}  # the stronger one is blue


def decoded(url: str, p: int) -> np.ndarray:
    """The opacity of each pixel of our own picture files, as [a, b]."""
    file = base64.b64decode(url.removeprefix("data:image/png;base64,"))
    start = file.index(b"IDAT") + 4
    length = int.from_bytes(file[start - 8 : start - 4], "big")
    lines = np.frombuffer(zlib.decompress(file[start : start + length]), np.uint8)
    return lines.reshape(p, 1 + 4 * p)[:, 4::4][::-1].T


def test_the_heat_map_is_the_neuron_and_can_be_ordered(view: View) -> None:
    neurons, drawn = neurons_at(view, HALFWAY), pictures(view)
    one = neuron(neurons, busiest(view, neurons))
    shades = decoded(column(drawn["activations False"], "image", "url")[0], 17)
    assert shades == pytest.approx(255 * one.table / one.table.max(), abs=0.51)
    ordered = decoded(column(drawn["activations True"], "image", "url")[0], 17)
    k = one.frequency
    for a, b in ((0, 0), (1, 0), (2, 5), (16, 3)):
        assert ordered[k * a % 17, k * b % 17] == shades[a, b]
    assert column(drawn["wave in True"], "dot", "x") == [k * a % 17 for a in range(17)]
    assert column(drawn["wave in True"], "dot", "y") == pytest.approx(one.reads[0], rel=1e-4)


def test_a_dot_for_each_neuron_and_the_chosen_one_on_top(view: View) -> None:
    rows = pictures(view)["neurons"].rows
    neurons = neurons_at(view, HALFWAY)
    assert sorted(row["neuron"] for row in rows) == list(range(128))
    assert (rows[-1]["neuron"], rows[-1]["chosen"]) == (5, 1)
    for row in rows[::9]:
        assert row["frequency"] == neurons.frequency[row["neuron"]]
        assert row["share"] == pytest.approx(neurons.share[row["neuron"]], rel=1e-4)
        assert abs(row["x"] - row["frequency"]) <= 0.36


def test_a_silent_neuron_is_said_to_be_silent(view: View) -> None:
    neurons = neurons_at(view, HALFWAY)
    dead = neurons._replace(
        tables=0 * neurons.tables, frequency=0 * neurons.frequency, share=0 * neurons.share
    )
    seen = neuron(dead, 3)
    assert text.activation(seen) == "This neuron has the same activation for every pair."
    assert (text.reads(seen), text.writes(seen)) == (
        "Its mean activation for each a.",
        "Its weight on each logit.",
    )
    for picture in (
        modular_neuron_charts.activations(seen, True),
        modular_neuron_charts.wave_in(seen, "#000", True),
    ):
        json.dumps(picture.whole, allow_nan=False)


def test_waves_meet_at_the_right_answer(view: View) -> None:
    drawn = pictures(view)["waves"]
    seen = answer(view, logits_at(view, HALFWAY), 3, 4, ())
    at_right = [row["y"] for row in drawn.rows if row["part"] == "dot" and row["s"] == 0]
    assert at_right == pytest.approx([seen.waves.sum(0)[7]], rel=1e-4)
    crests = [row["y"] for row in drawn.rows if row["part"] == "wave" and row["s"] == 0]
    assert crests == pytest.approx(
        seen.size * np.cos(2 * np.pi * np.array(view.keys) * 7 / 17 + seen.phase), rel=1e-4
    )


# What is taken along


def test_the_code_makes_the_same_network(view: View, tmp_path: Path) -> None:
    file = tmp_path / "view.py"
    file.write_text(exports.script(view))
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        names = runpy.run_path(str(file))
    assert names["result"].config == view.result.config
    assert np.array_equal(names["result"].model.W_E[...], view.result.model.W_E[...])
    assert printed.getvalue().splitlines()[2] == f"key frequencies {sorted(view.keys)}"


def test_the_command_spells_the_same_config(view: View) -> None:
    words = shlex.split(exports.command(view))
    assert words[:3] == ["toylab", "run", "modular"]
    assert words[-4:] == ["--seed", str(SEED), "--out", "view"]
    fields = dict(word.split("=") for word in words if "=" in word)
    assert toylab.ModularConfig.from_strings(fields) == view.result.config


def test_the_table_has_a_line_for_each_record(view: View) -> None:
    lines = list(csv.DictReader(io.StringIO(exports.table(view))))
    assert [int(line["step"]) for line in lines] == list(range(0, 201, 10))
    last, progress = lines[-1], view.result.progress
    assert float(last["excluded_loss"]) == pytest.approx(float(progress.excluded_loss[-1]))
    assert float(last["share_6"]) == pytest.approx(float(progress.share[-1, 5]), rel=1e-6)


def test_the_archive_loads_as_the_same_result(view: View, tmp_path: Path) -> None:
    file = tmp_path / "result.npz"
    file.write_bytes(exports.archive(view))
    loaded: Any = toylab.load(file)
    assert loaded.config == view.result.config
    assert np.array_equal(loaded.snapshots.W_E[...], view.result.snapshots.W_E[...])


@pytest.mark.parametrize(
    ("name", "form"),
    [("story", "png"), ("spectrum", "svg"), ("neurons", "pdf"), ("logits", "svg")],
)
def test_a_figure_says_how_to_make_it_again(
    name: str, form: str, view: View, tmp_path: Path
) -> None:
    file = tmp_path / f"{name}.{form}"
    file.write_bytes(exports.figure(view, name, form))
    facts = read_metadata(file)
    assert facts["command"] == exports.command(view)
    assert facts["config"] == json.loads(view.result.config.to_json())
