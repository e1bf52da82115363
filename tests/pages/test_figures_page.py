"""The page of the book: what a figure claims, and the figure made on demand."""

from __future__ import annotations

from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from toylab.figures.book import BOOK
from toylab.pages import figures_model
from toylab.pages.figures_model import entries, lines, make

CHEAP = "random-directions"


def page(**address: str) -> AppTest:
    """The page alone, after its first run at an address."""

    def script() -> None:
        from toylab.pages import figures

        figures.show()

    app = AppTest.from_function(script, default_timeout=120)
    for name, text in address.items():
        app.query_params[name] = text
    return app.run()


def test_the_page_offers_the_whole_book() -> None:
    app = page()
    assert not app.exception
    assert list(entries()) == [entry.id for entry in BOOK]
    assert len(app.selectbox(key="entry").options) == len(BOOK)
    assert app.header[0].value == BOOK[0].title
    assert app.query_params["figure"] == BOOK[0].id
    assert not app.table  # nothing is computed before it is asked for


def test_an_address_opens_a_figure_and_a_bad_one_is_refused() -> None:
    app = page(figure=CHEAP, seed="3")
    assert app.header[0].value == entries()[CHEAP].title
    assert app.number_input(key="seed").value == 3
    bad = page(figure="penta")
    assert [error.value for error in bad.error] == ["figure='penta'\\: no figure of the book"]
    assert not bad.exception


def test_a_figure_is_made_and_judged() -> None:
    app = page(figure=CHEAP)
    app.button(key="make").click().run()
    assert not app.exception
    made = make(CHEAP, 0)
    assert made is make(CHEAP, 0)  # computed once
    assert made.svg.startswith(b"<?xml")
    assert made.files["png"].startswith(b"\x89PNG")
    [shown] = app.table
    assert list(shown.value["Measured"]) == [check.name for check in entries()[CHEAP].checks]
    assert made.holds == all(shown.value[""] == "✓")
    [picture] = [block.proto.body for block in app.get("html")]  # type: ignore[union-attr]
    assert f'alt="{made.alt[:20]}' in picture


def test_a_number_outside_its_interval_is_said_to_be() -> None:
    entry = entries()[CHEAP]
    check = entry.checks[0]._replace(measure=lambda data: float(data), lower=0.0, upper=1.0)
    [inside] = lines(entry._replace(checks=(check,)), 0.5)
    [outside] = lines(entry._replace(checks=(check,)), 2.0)
    assert (inside.holds, outside.holds) == (True, False)
    assert inside.allowed == "0 to 1"
    [open_end] = lines(entry._replace(checks=(check._replace(upper=float("inf")),)), 2.0)
    assert (open_end.allowed, open_end.holds) == ("at least 0", True)


def test_a_failure_is_explained_and_can_be_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(config: Any, key: Any) -> Any:
        raise ValueError("no data")

    book = {CHEAP: entries()[CHEAP]._replace(compute=broken)}
    monkeypatch.setattr(figures_model, "entries", lambda: book)
    with pytest.raises(ValueError, match="no data"):
        make(CHEAP, 77)
    monkeypatch.undo()
    assert make(CHEAP, 77).lines
