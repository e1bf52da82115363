"""The modular-addition page without a browser: settings, phases, words, and who watches."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

import toylab
from toylab.analysis.training_phases import Phases
from toylab.experiments import modular
from toylab.experiments.modular_config import LIVE
from toylab.pages import modular_model
from toylab.pages import modular_text as text
from toylab.pages.controls import refusals
from toylab.pages.modular_model import Moment, Training, View, name_phase, training_of, view_of
from toylab.pages.modular_settings import CONTROLS, PRESETS, PRIMES, config_of

SMALL = LIVE.replace(p=17, train_fraction=0.6, d_model=48, n_heads=2, d_mlp=128, n_steps=200)
SEED = 1
DEFAULTS = {control.name: control.default for control in CONTROLS}


@pytest.fixture(scope="module")
def view() -> View:
    """A network with waves of a few frequencies that is right on most test pairs."""
    found = view_of(modular.run(SMALL, SEED), SEED)
    assert found.keys
    share = found.moments[-1].share
    assert sorted(found.keys, key=lambda k: -share[k - 1]) == list(found.keys)
    return found


# Settings


def test_the_page_begins_with_the_live_setting() -> None:
    assert config_of(DEFAULTS) == LIVE
    assert PRESETS["Watch it grok"].items() <= DEFAULTS.items()


@pytest.mark.parametrize(
    ("n_steps", "every"), [(50, 10), (400, 10), (500, 10), (550, 20), (2000, 40)]
)
def test_a_longer_training_has_no_more_records(n_steps: int, every: int) -> None:
    config = config_of({**DEFAULTS, "n_steps": n_steps})
    assert config.record_every == every
    assert len(config.record_steps) <= 51


@pytest.mark.parametrize("name", PRESETS)
def test_the_controls_can_show_every_preset(name: str) -> None:
    preset = PRESETS[name]
    assert refusals(CONTROLS, {field: [str(value)] for field, value in preset.items()}) == {}
    assert preset["p"] in PRIMES
    config_of({**DEFAULTS, **preset})


@pytest.mark.parametrize(
    ("name", "word", "reason"),
    [
        (
            "p",
            "58",
            "p=58: must be a prime, since frequencies that share a factor with p cannot tell "
            'all answers apart; write modulus="any" to study that',
        ),
        (
            "p",
            "127",
            "p=127: must be an integer in 23..113; more take longer than a page should make "
            "you wait; use toylab.modular.run",
        ),
        ("p", "2", "p=2: must be an integer in 3..512"),
        ("weight_decay", "7", "weight_decay=7.0: must be in [0, 6]; the page ends there"),
        (
            "learning_rate",
            "0.004",
            "learning_rate=0.004: must be one of 0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.03; "
            "the page has no others",
        ),
        ("n_steps", "1e9", "n_steps='1e9': must be an int"),
    ],
)
def test_the_address_is_refused_in_the_librarys_words(name: str, word: str, reason: str) -> None:
    assert refusals(CONTROLS, {name: [word]}) == {name: reason}


def test_primes() -> None:
    assert len(PRIMES) == 22  # 30 primes to 113, less 2 3 5 7 11 13 17 19
    assert all(math.gcd(p, math.factorial(p - 1)) == 1 for p in PRIMES)


# Phases and words


def moment(step: int, train: float, test: float, loss: float, *share: float) -> Moment:
    return Moment(step, 0.1, loss, train, test, np.array(share or (0.0, 0.0, 0.0)))


@pytest.mark.parametrize(
    ("seen", "phase"),
    [
        (moment(0, 0.02, 0.02, 4.1), "Memorising"),
        (moment(10, 0.98, 0.02, 1.0), "Memorising"),
        (moment(20, 0.99, 0.1, 6.0), "Circuit forming"),
        (moment(30, 1.0, 0.5, 1.9), "Cleaning up"),
        (moment(40, 1.0, 0.99, 0.1), "Grokked"),
    ],
)
def test_phases_of_a_running_training(seen: Moment, phase: str) -> None:
    assert name_phase(seen, 7) == phase  # ln 7 = 1.95


def test_phases_in_the_end_go_by_the_borders(view: View) -> None:
    done = view._replace(phases=Phases(np.int64(20), np.int64(50), np.int64(90)))
    names = [name_phase(seen, 17, done) for seen in done.moments[:11]]
    assert names == 3 * ["Memorising"] + 3 * ["Circuit forming"] + 3 * ["Cleaning up"] + 2 * [
        "Grokked"
    ]
    never = view._replace(phases=Phases(np.int64(20), np.int64(-1), np.int64(-1)))
    assert name_phase(view.moments[-1], 17, never) == "Circuit forming"
    assert name_phase(view.moments[-1], 17, never._replace(keys=())) == "Memorising"


def test_the_story_is_told_in_measured_numbers(view: View) -> None:
    assert text.story(moment(0, 0.5, 0.0234, 4.1), 7) == (
        ":gray-badge[Memorising] 50\u00a0% of the training pairs are right, and 2.3\u00a0% of the "
        "others. Guessing gives 14\u00a0%."
    )
    assert text.story(moment(20, 0.9999, 0.1, 6.04, 0.005, 0.25, 0.1), 7) == (
        ":blue-badge[Circuit forming] 99.9\u00a0% of the training pairs are right. Loss on the "
        "others: 6 (guessing: 1.95). Frequencies 2 and 3 hold 35\u00a0% of the logits."
    )
    assert text.story(moment(30, 1.0, 0.5, 1.9, 0.2, 0.0, 0.0), 7) == (
        ":violet-badge[Cleaning up] 50\u00a0% of the pairs that it never saw are right. Frequency "
        "1 holds 20\u00a0% of the logits."
    )
    assert text.story(moment(30, 1.0, 1.0, 0.1), 7) == (
        ":green-badge[Grokked] 100\u00a0% of the pairs that it never saw are right. No frequency "
        "holds 1\u00a0% of the logits."
    )
    never = view._replace(phases=Phases(np.int64(20), np.int64(50), np.int64(-1)))
    assert text.story(view.moments[-1], 17, never).endswith("It has not grokked within 200 steps.")
    assert "grokked" not in text.story(view.moments[-2], 17, never)


def test_the_caption_says_where_phases_end(view: View) -> None:
    assert text.loss(None, 17) == (
        "A blind guess has ln 17 = 2.83. Dashed curves follow at the end."
    )
    formed = view._replace(phases=Phases(np.int64(20), np.int64(50), np.int64(-1)))
    assert text.loss(formed, 17) == (
        "Grey: circuit formation, from the least excluded loss (step 20) to the last test loss "
        "above ln 17 (50)."
    )
    done = view._replace(phases=Phases(np.int64(20), np.int64(20), np.int64(90)))
    assert text.loss(done, 17) == (
        "The excluded loss is least at step 20. Test accuracy stays at 99\u00a0% from step 90."
    )
    none = view._replace(phases=Phases(np.int64(-1), np.int64(-1), np.int64(-1)))
    assert text.loss(none, 17) == "No phase of the training has ended."


# A training that is watched


def test_a_training_is_shared_and_its_moments_are_its_records(view: View) -> None:
    first, second = training_of(SMALL, SEED), training_of(SMALL, SEED)
    assert first is second
    assert training_of(SMALL, SEED, held=first) is first
    assert training_of(SMALL, SEED + 1, held=first) is not first
    assert first.view.keys == view.keys
    for live, later in zip(first.moments, view.moments, strict=True):
        assert live[:5] == pytest.approx(later[:5], rel=1e-6)
        assert live.share == pytest.approx(later.share, abs=1e-6)


def test_a_training_that_nobody_watches_stops_and_begins_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(modular_model, "PATIENCE", 0.0)
    abandoned = training_of(SMALL, 77)
    with pytest.raises(RuntimeError):
        _ = abandoned.view
    assert abandoned.moments
    monkeypatch.undo()
    again = training_of(SMALL, 77, held=abandoned)
    assert again is not abandoned
    assert again.view.seed == 77


def test_a_refused_training_says_why_and_may_be_asked_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TOYLAB_MAX_GB", "0.001")
    refused = training_of(SMALL, 78)
    with pytest.raises(toylab.BudgetError, match=r"more than the limit of 0\.001 GB"):
        _ = refused.view
    assert training_of(SMALL, 78, held=refused).error is not None
    monkeypatch.undo()
    assert training_of(SMALL, 78).view.seed == 78


# The page as Streamlit runs it


def script() -> None:
    from toylab.pages import modular as page

    page.show()


def trained(app: AppTest) -> AppTest:
    """The app when its training has ended."""
    end = time.monotonic() + 120
    while not app.exception and time.monotonic() < end:
        if app.error or any(slider.label == "Training step" for slider in app.select_slider):
            return app
        time.sleep(0.2)
        app.run()
    raise AssertionError(f"no end of the training: {app.exception}")


def page(**address: str) -> AppTest:
    app = AppTest.from_function(script, default_timeout=120)
    for name, word in address.items():
        app.query_params[name] = word
    return app.run()


@pytest.fixture(scope="module")
def small_app() -> AppTest:
    """The page of a short training; a test leaves it as it likes."""
    return trained(page(p="23", train_fraction="0.6", n_steps="100"))


def numbers(app: AppTest) -> dict[str, str]:
    assert not app.exception
    return {metric.label: metric.value for metric in app.metric}


def test_a_training_is_shown_while_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Training, "done", False)
    app = page(p="23", train_fraction="0.6", n_steps="100", seed="9")
    end = time.monotonic() + 60
    while not app.metric and time.monotonic() < end:
        time.sleep(0.1)
        app.run()
    assert app.title[0].value == "How does a network add modulo 23?"
    assert list(numbers(app)) == list(text.NUMBERS)
    assert len(app.get("vega_lite_chart")) == 3
    assert not any(slider.label == "Training step" for slider in app.select_slider)


def test_the_history_can_be_walked(small_app: AppTest) -> None:
    app = small_app
    last = numbers(app)
    assert (last["Step"], last["Training pairs right"]) == ("100", "100\u00a0%")
    slider = next(s for s in app.select_slider if s.label == "Training step")
    assert slider.options == [str(step) for step in range(0, 101, 10)]
    slider.set_value(0).run()
    first = numbers(app)
    assert first["Step"] == "0"
    assert float(first["Logits in waves"].rstrip("%")) < 2
    next(s for s in app.select_slider if s.label == "Training step").set_value(100).run()


def test_waves_can_be_taken_out_at_once(small_app: AppTest) -> None:
    app = small_app
    pills = next(g for g in app.get("button_group") if str(g.key).startswith("removed"))
    assert pills.options[-1] == "everything else"
    keys = [int(option.removeprefix("k = ")) for option in pills.options[:-1]]
    before = numbers(app)
    began = time.monotonic()
    pills.set_value(keys).run()
    assert time.monotonic() - began < 2.0  # 0.1 s on an idle machine
    after = numbers(app)
    assert float(after["Test pairs right"][:-2]) < float(before["Test pairs right"][:-2]) / 2
    assert [m.delta for m in app.metric if m.delta.endswith(" points")]
    next(g for g in app.get("button_group") if str(g.key).startswith("removed")).set_value([]).run()


def test_a_neuron_can_be_chosen(small_app: AppTest) -> None:
    app = small_app
    next(g for g in app.get("button_group") if g.key == "panel").set_value("Neurons").run()
    assert not app.exception
    assert len(app.get("vega_lite_chart")) == 7
    field = next(f for f in app.number_input if f.label == "Neuron")
    field.set_value(17).run()
    app.toggle(key="ordered").set_value(True).run()
    assert not app.exception
    assert next(f for f in app.number_input if f.label == "Neuron").value == 17
    next(g for g in app.get("button_group") if g.key == "panel").set_value(
        "Answers and their waves"
    ).run()


def test_a_change_waits_for_the_button(small_app: AppTest) -> None:
    app = small_app
    before = numbers(app)
    app.slider(key="weight_decay").set_value(1.0).run()
    assert numbers(app) == before
    assert "The settings have changed. What you see is the training before." in [
        caption.value for caption in app.caption
    ]
    app.slider(key="weight_decay").set_value(3.0).run()
    assert not [c for c in app.caption if c.value.startswith("The settings")]
    app.slider(key="n_steps").set_value(50).run()
    app.button(key="train").click().run()
    assert numbers(trained(app))["Step"] == "50"


def test_the_code_of_the_view(small_app: AppTest) -> None:
    assert any(
        code.value.startswith("toylab run modular p=23 train_fraction=0.6")
        for code in small_app.code
    )


def test_a_bad_address_is_refused_and_the_default_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Training, "done", False)
    monkeypatch.setattr(Training, "_work", lambda self, progress: None)
    app = page(p="58", n_stepps="3", weight_decay="nan")
    assert not app.exception
    said = app.error[0].value
    for reason in (
        r"p=58\: must be a prime",
        r"weight\_decay=nan\: must be finite",
        r"n\_stepps\: unknown control; did you mean 'n\_steps'?",
    ):
        assert reason in said
    assert app.title[0].value == "How does a network add modulo 59?"
    assert not app.query_params
    modular_model._training.clear()  # type: ignore[attr-defined]  # that of the default is a stub


def test_a_refused_training_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOYLAB_MAX_GB", "0.001")
    app = trained(page(p="29", n_steps="50"))
    assert not app.exception
    assert app.error[0].value.endswith(
        "more than the limit of 0\\.001 GB; reduce it, or set TOYLAB\\_MAX\\_GB"
    )


def test_a_diverged_training_is_explained_and_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def diverge(*args: Any, **options: Any) -> None:
        calls.append(args)
        raise toylab.DivergedError("learning_rate=0.03: the loss stopped being finite at step 7")

    monkeypatch.setattr(modular_model.modular, "run", diverge)
    app = trained(page(p="31", n_steps="50", seed="5"))
    app.run()
    assert [error.value for error in app.error] == [
        r"learning\_rate=0\.03\: the loss stopped being finite at step 7"
    ]
    assert len(calls) == 1
