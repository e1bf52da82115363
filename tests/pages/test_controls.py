"""What an address may ask for, and what it is told otherwise."""

from __future__ import annotations

import pytest

from toylab.config import Rule
from toylab.pages.controls import Control, plain, refusals

WHOLE = Control("n", "N", Rule("int", 1, 4096), Rule("int", 2, 32, note="larger ones are slow"), 5)
REAL = Control("s", "S", Rule("items", 0, 1, high_open=True), Rule("float", 0, 0.99), 0.5, 0.01)
WORD = Control("f", "F", Rule("choice", options=("relu", "gelu")),
               Rule("choice", options=("relu",)), "relu")
CONTROLS = (WHOLE, REAL, WORD)


@pytest.mark.parametrize("address", [{}, {"n": ["32"]}, {"s": ["0"], "f": ["relu"]}])
def test_what_the_page_offers_is_taken(address: dict[str, list[str]]) -> None:
    assert refusals(CONTROLS, address) == {}


@pytest.mark.parametrize(("name", "texts", "reason"), [
    ("n", ["5.0"], "n='5.0': must be an int"),
    ("n", ["5:6"], "n='5:6': must be a single value"),
    ("n", [""], "n='': must be an int"),
    ("n", ["0"], "n=0: must be an integer in 1..4096"),
    ("n", ["33"], "n=33: must be an integer in 2..32; larger ones are slow"),
    ("n", ["5", "6"], "n='6': n is given twice"),
    ("n", ["9" * 5000], "n='" + "9" * 76 + "...: must be an int"),
    ("n", ["x" * 100_000], "n='" + "x" * 76 + "...: must be an int"),
    ("s", ["1"], "s=1.0: must be in [0, 1)"),
    ("s", ["0.995"], "s=0.995: must be in [0, 0.99]"),
    ("s", ["inf"], "s=inf: must be finite and in [0, 1)"),
    ("f", ["rellu"], "f='rellu': did you mean 'relu'? must be one of ['relu', 'gelu']"),
    ("f", ["gelu"], "f='gelu': did you mean 'relu'? must be one of ['relu']"),
    ("m", ["1"], "m: unknown control; controls: n, s, f"),
    ("y" * 200, ["1"], "y" * 76 + "..: unknown control; controls: n, s, f"),
])
def test_a_refusal_says_what_is_allowed(name: str, texts: list[str], reason: str) -> None:
    assert refusals(CONTROLS, {name: texts}) == {name: reason}


def test_all_refusals_come_at_once() -> None:
    assert list(refusals(CONTROLS, {"n": ["0"], "s": ["0.5"], "f": ["no"]})) == ["n", "f"]


def test_text_means_nothing_to_markdown() -> None:
    assert plain("a_b [x](y) <i>*") == r"a\_b \[x\]\(y\) \<i\>\*"
