"""Controls: a table of what can be set, drawn as widgets whose values live in the address bar.

Streamlit ignores what it cannot read in the address and says nothing. So the address is read here
first, by the library's own rules, and what they refuse is shown in their own words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import streamlit as st

from toylab.config import Rule, did_you_mean
from toylab.errors import ConfigError, shown

__all__ = ["Control", "draw", "plain", "refusals", "show_refusals"]

MAX_POSITIONS = 1000  # a range with more values is typed, not dragged
_REFUSED = "refused by the address"


class Control(NamedTuple):
    """One thing to set.

    Attributes:
        name: of the config's field; also the key of the widget and its name in the address.
        label: what the reader sees.
        field: the rule of the library.
        limits: what this page offers, a part of what the library takes.
        default: the value that the address need not mention.
        step: between two positions of a slider.
        help: one sentence behind the question mark.
        words: of a choice, how each option is shown; by default as it is.
    """

    name: str
    label: str
    field: Rule
    limits: Rule
    default: Any
    step: float = 1
    help: str = ""
    words: Mapping[str, str] = {}

    def refusal(self, text: str) -> str | None:
        """Why `text` cannot be the value, in the library's words; None when it can."""
        try:
            value = self.limits.parse(self.name, text)
        except ConfigError as error:
            return str(error)
        for rule in (self.field, self.limits):
            if found := rule.complaint(value):
                return f"{self.name}={shown(value)}: {found[0]}"
        return None


def refusals(controls: Sequence[Control], address: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """What an address asks for in vain.

    Args:
        controls: of the page.
        address: the values of each parameter.

    Returns:
        For each parameter that is refused, the reason.
    """
    known = {control.name: control for control in controls}
    found: dict[str, str] = {}
    for name, texts in address.items():
        if name not in known:
            found[name] = (f"{shown(name)[1:-1]}: unknown control; {did_you_mean(name, known)}"
                           f"controls: {', '.join(known)}")
        elif len(texts) > 1:
            found[name] = f"{name}={shown(texts[-1])}: {name} is given twice"
        elif text := known[name].refusal(texts[0]):
            found[name] = text
    return found


def show_refusals(controls: Sequence[Control]) -> None:
    """Strike what is refused from the address and say so until a control is changed."""
    address = {name: st.query_params.get_all(name) for name in st.query_params}
    if found := refusals(controls, address):
        for name in found:
            del st.query_params[name]
        st.session_state[_REFUSED] = list(found.values())
    if texts := st.session_state.get(_REFUSED):
        st.error("\n\n".join(map(plain, texts)), icon=":material/link_off:")


def draw(control: Control) -> Any:
    """The control as a slider, a field for a number or a row of options; returns its value."""
    limits = control.limits
    common: dict[str, Any] = {"key": control.name, "help": control.help or None,
                              "bind": "query-params", "on_change": _forget_refusals}
    if limits.kind == "choice":
        return _draw_choice(control)
    number = int if limits.kind == "int" else float
    low, high, step = number(limits.low), number(limits.high), number(control.step)
    if (high - low) / step > MAX_POSITIONS:
        return number(st.number_input(control.label, low, high, number(control.default), step,
                                      **common))
    return number(st.slider(control.label, low, high, number(control.default), step, **common))


def _draw_choice(control: Control) -> str:
    """A row of options. Streamlit would put what is shown into the address, not what is meant."""
    name, options = control.name, control.limits.options
    if name not in st.session_state:
        st.session_state[name] = st.query_params.get(name, control.default)
    value = st.radio(control.label, options, key=name, help=control.help or None, horizontal=True,
                     format_func=lambda word: control.words.get(word, word),
                     on_change=_forget_refusals)
    if value != control.default:
        st.query_params[name] = value
    elif name in st.query_params:
        del st.query_params[name]
    return value


def _forget_refusals() -> None:
    st.session_state.pop(_REFUSED, None)


def plain(text: str) -> str:
    """Text of the library without meaning for Markdown."""
    return "".join(f"\\{letter}" if letter in r"\`*_{}[]()#+-.!|<>$~:" else letter
                   for letter in text)
