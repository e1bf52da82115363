"""The page as Streamlit runs it, without a browser."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

APP = Path(__file__).parents[2] / "app.py"


def page(**address: str) -> AppTest:
    """The app after its first run at an address."""
    app = AppTest.from_file(APP, default_timeout=120)
    for name, text in address.items():
        app.query_params[name] = text
    return app.run()


def numbers(app: AppTest) -> dict[str, str]:
    return {metric.label: metric.value for metric in app.metric}


def test_the_default_view_is_the_pentagon() -> None:
    app = page()
    assert not app.exception
    assert not app.error
    assert app.title[0].value == "How many features fit into two dimensions?"
    shown = numbers(app)
    # Five equal features at density 0.05 form a regular pentagon, with loss 0.00178 (measured by
    # Monte Carlo: 0.0017759 ± 0.0000066).
    assert [shown[name] for name in ("Represented", "Shape", "Loss")] == [
        "5 of 5", "pentagon", "0.00178"]
    assert len(app.get("vega_lite_chart")) == 5


def test_a_slider_changes_the_numbers() -> None:
    app = page()
    app.slider(key="sparsity").set_value(0.7).run()
    assert not app.exception
    shown = numbers(app)
    # Above density 0.225 the square with one feature dropped has the lower loss.
    assert (shown["Represented"], shown["Shape"]) == ("4 of 5", "square")


def test_the_title_follows_the_hidden_dimensions_and_a_useless_one_is_noticed() -> None:
    app = page(n_features="2", n_hidden="3")
    assert app.title[0].value == "How many features fit into three dimensions?"
    assert [info.value for info in app.info] == [
        r"n\_hidden=3\: exceeds n\_features=2; no superposition is possible"]
    assert numbers(app)["Represented"] == "2 of 2"


def test_the_address_sets_the_controls() -> None:
    app = page(sparsity="0.7", n_features="4", seed="7", activation="linear")
    assert app.slider(key="sparsity").value == 0.7
    assert app.slider(key="n_features").value == 4
    assert app.number_input(key="seed").value == 7
    assert app.radio(key="activation").value == "linear"
    assert not app.error
    assert app.code[1].value == (
        "toylab run superposition sparsity=0.7 n_features=4 n_hidden=2 importance_decay=1.0 "
        "activation=linear --method solve --starts 8 --seed 7 --out view")


def test_a_choice_is_in_the_address_as_the_library_writes_it() -> None:
    app = page(activation="gelu", n_features="3")
    assert not app.error
    assert app.radio(key="activation").value == "gelu"
    app.radio(key="activation").set_value("relu").run()
    assert "activation" not in app.query_params
    app.radio(key="activation").set_value("gelu").run()
    assert app.query_params["activation"] == "gelu"
    assert not app.run().error


@pytest.mark.parametrize(("name", "text", "reason"), [
    ("n_features", "abc", r"n\_features='abc'\: must be an int"),
    ("n_features", "1000000000", r"n\_features=1000000000\: must be an integer in 1\.\.4096"),
    ("sparsity", "1.5",
     r"sparsity=1\.5\: must be in \[0, 1\); 1 means no feature is ever active"),
    ("sparsity", "nan", r"sparsity=nan\: must be finite and in \[0, 1\)"),
    ("n_hidden", "../../etc/passwd", r"n\_hidden='\.\./\.\./etc/passwd'\: must be an int"),
    ("activation", "rellu",
     r"activation='rellu'\: did you mean 'relu'? must be one of \['relu', 'gelu', 'linear'\]"),
    ("n_featurs", "5",
     r"n\_featurs\: unknown control; did you mean 'n\_features'? controls\: sparsity, n\_features, "
     r"n\_hidden, importance\_decay, activation, n\_starts, seed"),
])
def test_a_bad_address_is_refused_in_the_librarys_words(name: str, text: str, reason: str) -> None:
    app = page(**{name: text})
    assert not app.exception
    assert [error.value for error in app.error] == [reason]
    assert numbers(app)["Shape"] == "pentagon"
    assert name not in app.query_params


def test_the_refusal_stays_until_a_control_is_changed() -> None:
    app = page(seed="-1")
    assert [e.value for e in app.run().error] == [
        r"seed=\-1\: must be an integer in 0\.\.4294967295"]
    assert not app.slider(key="sparsity").set_value(0.9).run().error


def test_a_refused_training_is_explained_and_can_be_asked_for_again(
        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOYLAB_MAX_GB", "0.001")
    app = page(n_features="3", seed="11")
    assert not app.exception
    assert app.error[0].value.endswith(
        "more than the limit of 0\\.001 GB; reduce it, or set TOYLAB\\_MAX\\_GB")
    assert not app.metric
    monkeypatch.delenv("TOYLAB_MAX_GB")
    assert numbers(app.run())["Represented"].endswith("of 3")
