"""What the modular benchmark counts, keeps and writes, on hand-made numbers."""

from __future__ import annotations

import math
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import modular, modular_runs, records
from benchmarks.modular_measures import TRANSFORMER, Measure, Range, compare, measure, table
from benchmarks.modular_proofs import energy_difference
from benchmarks.modular_runs import Seed, Timed, campaign, load_transformer, resumed, summary
from benchmarks.modular_setting import Setting
from benchmarks.modular_toylab import arrays_of, load, write_start
from benchmarks.modular_training import sooner
from benchmarks.records import Row, at_least, at_most
from toylab import ModularConfig, ModularResult
from toylab.experiments.modular import Progress
from toylab.models.mlp import random_pair_mlp
from toylab.models.transformer import Sizes, random_transformer

TINY = ModularConfig(p=5, d_model=8, n_heads=2, d_mlp=6, n_steps=40, record_every=10)
LOSS = Measure("loss", "final loss", {"fast": Range("0.10", "0.20")}, "less")
WAVES = Measure("waves", "each wave", {"fast": Range("0.5", "0.9")}, "more")


def setting(folder: Path, *, fresh: bool = False, smoke: bool = False) -> Setting:
    return Setting("python", folder, folder, 2, None, 1, fresh, smoke)


def seed(number: int, cleaned: int, seconds: float, n_steps: int = 1000) -> Seed:
    phases = [10, 20, cleaned]
    return Seed(number, "", seconds, seconds, n_steps, phases, seconds, True, 1.0, [1], {})


@pytest.mark.parametrize(
    ("limits", "value", "side"),
    [
        (("0.93", "0.99"), 0.9949, 0),
        (("0.93", "0.99"), 0.9951, 1),
        (("0.93", "0.99"), 0.9249, -1),
        (("1.5e-7", "2.8e-7"), 1.46e-7, 0),
        (("1.5e-7", "2.8e-7"), 1.4e-7, -1),
        (("3.61e3", "3.66e3"), 3664.0, 0),
        (("3.61e3", "3.66e3"), 3666.0, 1),
        (("3", "4"), 5.0, 1),
        (("3", "4"), math.nan, 1),
    ],
)
def test_a_range_is_as_exact_as_its_digits(
    limits: tuple[str, str], value: float, side: int
) -> None:
    assert Range(*limits).side(value) == side


def test_a_range_says_itself() -> None:
    assert str(Range("0.90", "0.94")) == "0.90 to 0.94"
    assert str(Range("200", "200")) == "200"
    assert str(Range("8.8e2", "1.00e3")) == "880 to 1000"


def test_counting_asks_for_every_value_of_a_seed() -> None:
    seeds = [
        {"loss": [0.15], "waves": [0.5, 0.9]},
        {"loss": [0.05], "waves": [0.6, 0.99]},
        {"loss": [0.25], "waves": [0.3, 0.99]},
        {},
    ]
    loss, waves = compare([LOSS, WAVES], seeds, "fast")
    assert loss.within == [True, False, False, False]
    assert loss.no_worse == [True, True, False, False]
    assert waves.within == [True, False, False, False]
    assert waves.no_worse == [True, True, False, False]
    assert (waves.low, waves.high) == (0.3, 0.99)
    assert compare([LOSS], seeds, "published") == []
    cells = table([loss], "fast", "measures")["rows"]
    assert cells == [["final loss", "0.10 to 0.20", 1, "1, 2, 3", 2, 0.05, 0.25]]


def test_every_column_has_the_measures_of_its_figures() -> None:
    assert len({each.name for each in TRANSFORMER}) == len(TRANSFORMER)
    for each in TRANSFORMER:
        for limits in each.ranges.values():
            assert float(limits.low) <= float(limits.high)


def handmade(test_accuracy: list[float]) -> ModularResult:
    """A random network with curves over 5 records whose borders are 10, 20 and, at best, 30."""
    model = random_transformer(Sizes(6, 3, 8, 2, 4, 6), jax.random.key(0))
    half = math.log(5) / 2
    progress = Progress(
        restricted_loss=jnp.array([1.6, half + 0.1, half - 0.1, 0.2, 0.1]),
        excluded_loss=jnp.array([1.6, 0.5, 2.0, 3.0, 4.0]),
        explained=jnp.zeros(5),
        share=jnp.zeros((5, 2)),
        gini_in=jnp.linspace(0.1, 0.5, 5),
        gini_out=jnp.linspace(0.2, 0.6, 5),
        weight_norm=jnp.array([100.0, 200.0, 150.0, 100.0, 50.0]),
    )
    return ModularResult(
        config=TINY,
        model=model,
        step=jnp.arange(0, 50, 10),
        train_loss=jnp.array([1.6, 0.5, 0.1, 0.1, 0.1]),
        test_loss=jnp.array([1.6, 3.0, 2.0, 0.5, 0.1]),
        train_accuracy=jnp.array([0.2, 1.0, 0.9, 1.0, 1.0]),
        test_accuracy=jnp.array(test_accuracy),
        key_frequencies=jnp.array([1, 2]),
        train_pairs=jnp.arange(7),
        progress=progress,
        snapshots=model,
        first_bad_step=jnp.int32(-1),
    )


def test_measures_are_those_of_the_curves_and_none_is_missing() -> None:
    found = measure(handmade([0.2, 0.3, 0.5, 1.0, 1.0]))
    assert {each.name for each in TRANSFORMER} <= set(found)
    expected = {
        "train_99": 10,
        "restricted_sees": 20,
        "restricted_at_90": 0.2,
        "excluded_least": 0.5,
        "excluded_end": 4.0,
        "gini_in": 0.5,
        "gini_out": 0.6,
        "norm_peak": 200,
        "norm_end": 50,
        "norm_fall": 0.75,
        "memorised": 10,
        "formed": 20,
        "cleaned": 30,
        "n_keys": 2,
    }
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], [value], rtol=1e-6)
    assert len(found["without_one"]) == len(found["attention_keys"]) == 2
    assert len(found["readout_explained"]) == 4


def test_a_summary_times_the_end_of_the_cleanup() -> None:
    stamps = [1.0, 2.0, 3.0, 4.0, 5.0]
    kept = summary(3, Timed(handmade([0.2, 0.3, 0.5, 1.0, 1.0]), "", 6.0, 7.0, stamps))
    assert (kept.seed, kept.phases, kept.seconds_to_cleaned) == (3, [10, 20, 30], 4.0)
    assert kept.held
    assert kept.grokked
    lost = summary(3, Timed(handmade([0.2, 0.3, 1.0, 1.0, 0.9]), "", 6.0, 7.0, stamps))
    assert (lost.phases[2], lost.seconds_to_cleaned, lost.grokked) == (-1, 6.0, False)
    assert "cleaned" not in lost.values


def test_a_training_that_diverged_is_a_row() -> None:
    kept = summary(1, Timed(None, "learning_rate=9: ...", 2.0, 3.0, []))
    assert (kept.complaint, kept.held, kept.values) == ("learning_rate=9: ...", False, {})
    assert not any(line.within[0] for line in compare(TRANSFORMER, [kept.values], "published"))


def test_sooner_compares_means_and_quotes_the_spread() -> None:
    slow = [seed(0, 1000, 30.0), seed(1, 3000, 90.0)]
    quick = [seed(0, 100, 2.0), seed(1, 300, 6.0), seed(2, 200, 4.0)]
    found = sooner(slow, quick, epoch_seconds=0.5)
    assert found.trainer == pytest.approx(1000 / 4)
    assert found.trainer_by_seed == pytest.approx([250, 250])
    assert (found.least, found.greatest) == pytest.approx((500 / 6, 1500 / 2))
    assert (found.toylab, found.steps) == pytest.approx((15, 10))
    # A seed that never got there counts with all of its steps.
    assert sooner([seed(0, -1, 30.0)], quick[:1], 0.5).trainer == pytest.approx(250)


def test_finished_numbers_are_not_measured_again(tmp_path: Path) -> None:
    calls: list[int] = []

    def measured() -> dict[str, float]:
        calls.append(len(calls))
        return {"loss": 0.123456789}

    path = tmp_path / "published-0.json"
    identity = {"threads": 2, "rates": (1, 2)}
    first = resumed(path, identity, measured)
    assert first == resumed(path, identity, measured) == {"loss": 0.123457}
    assert calls == [0]
    resumed(path, identity | {"threads": 1}, measured)
    assert calls == [0, 1]


def test_an_interrupted_campaign_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = handmade([0.2, 0.3, 0.5, 1.0, 1.0])
    trained: list[int] = []

    def timed(config: ModularConfig) -> Timed:
        if config.seed == 1 and len(trained) == 1:
            raise KeyboardInterrupt
        trained.append(config.seed)
        return Timed(result, "", 6.0, 7.0, [1.0, 2.0, 3.0, 4.0, 5.0])

    monkeypatch.setattr(modular_runs, "timed", timed)
    with pytest.raises(KeyboardInterrupt):
        campaign("published", TINY, [0, 1, 2], setting(tmp_path))
    trained.append(-1)
    seeds = campaign("published", TINY, [0, 1, 2], setting(tmp_path))
    assert trained == [0, -1, 1, 2]
    assert [each.seed for each in seeds] == [0, 1, 2]
    kept = load_transformer(tmp_path / "published-2.npz")
    np.testing.assert_array_equal(kept.W_in[...], result.model.W_in[...])
    campaign("published", TINY, [0], setting(tmp_path, fresh=True))
    (tmp_path / "published-1.npz").unlink()
    campaign("published", TINY.replace(weight_decay=3.0), [2], setting(tmp_path))
    campaign("published", TINY, [1], setting(tmp_path))
    assert trained == [0, -1, 1, 2, 0, 2, 1]


def test_missing_weights_name_the_row_that_makes_them(tmp_path: Path) -> None:
    path = tmp_path / "published-3.npz"
    with pytest.raises(FileNotFoundError) as error:
        load_transformer(path)
    assert str(error.value) == f"{path}: run `python -m benchmarks.modular published` first"


@pytest.mark.parametrize("config", [TINY, TINY.replace(architecture="mlp")])
def test_both_sides_start_from_the_same_file(config: ModularConfig, tmp_path: Path) -> None:
    write_start(tmp_path / "start.npz", config)
    with np.load(tmp_path / "start.npz") as file:
        arrays = dict(file)
    assert arrays["train_pairs"].shape == (7, 2)
    assert arrays["test_pairs"].shape == (18, 2)
    problem, (training, parts) = load(tmp_path / "start.npz", config)
    assert problem.config.p == 5
    for name, W in arrays_of(training.params).items():
        np.testing.assert_array_equal(W, arrays[name])
    assert sorted([*parts.train.tolist(), *parts.test.tolist()]) == list(range(25))
    a, b = arrays["train_pairs"].T
    np.testing.assert_array_equal(parts.train, 5 * a + b)
    assert int(training.step) == 0


def test_energy_by_weights_is_that_of_all_pairs() -> None:
    model = random_pair_mlp(7, 9, jax.random.key(1), tied=False, scale=1.0)
    assert energy_difference(model) < 1e-12


def test_rows_survive_json_and_show_their_tables(tmp_path: Path) -> None:
    facts = {
        "tables": [{"title": "seeds", "header": ["seed", "s"], "rows": [[0, 1.23456], [1, "-"]]}],
        "notes": ["One.", "Two."],
        "nothing": math.nan,
    }
    bars = (at_most("seconds", 5.0, 1.5), at_least("share", 0.9, math.nan))
    row = Row("live", "a training", bars, 1.5, 2.0, {"cores": "2"}, facts)
    records.write(row, tmp_path / "modular")
    back = records.read(tmp_path / "modular" / "live.json")
    assert back.bars[0] == bars[0]
    assert [bar.passed for bar in back.bars] == [True, False]
    assert not records.announce(back)
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{records.START}\nold\n{records.END}\nafter\n")
    text = records.report(tmp_path, readme)
    assert text.startswith(f"before\n{records.START}\n### Modular addition\n")
    assert text.endswith(f"\n{records.END}\nafter\n")
    assert "| live | seconds | ≤ 5 | 1.5 | reached |\n| live | share | ≥ 0.9 | nan |" in text
    assert "live: seeds.\n\n| seed | s |\n|---|---|\n| 0 | 1.235 |\n| 1 | - |\n" in text
    assert "\nlive: One. Two.\n" in text
    assert "`python -m benchmarks.modular live`" in text


def test_the_command_refuses_what_it_does_not_know(capsys: pytest.CaptureFixture[str]) -> None:
    for words, text in (
        (["fats"], "no row 'fats'; choose from step, published, fast, live, two-layer, lottery, "),
        (["--seeds", "0"], "--seeds 0: must be at least 1"),
    ):
        with pytest.raises(SystemExit):
            modular.parse(words)
        assert text in capsys.readouterr().err


def test_a_smoke_run_is_tiny_and_apart(tmp_path: Path) -> None:
    options = modular.parse(["--smoke"])
    assert options.results == options.work == Path("build/benchmarks/smoke")
    tiny = setting(tmp_path, smoke=True).scaled(ModularConfig())
    assert (tiny.p, tiny.n_steps, tiny.d_mlp) == (13, 200, 32)
    assert setting(tmp_path).scaled(TINY) is TINY
    assert setting(tmp_path).seeds(3) == [0, 1, 2]
    assert setting(tmp_path)._replace(n_seeds=1).seeds(3) == [0]


def test_the_names_of_the_rows_are_those_of_the_chapter() -> None:
    from benchmarks.modular_rows import ROWS

    assert tuple(ROWS) == modular.NAMES
