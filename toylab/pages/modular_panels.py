"""Two panels of the modular-addition page: the network's answers and their waves, its neurons."""

from __future__ import annotations

from typing import Any

import streamlit as st

from toylab.analysis.progress_measures import Score
from toylab.figures.palette import BLUE
from toylab.pages import modular_charts as charts
from toylab.pages import modular_neuron_charts as neuron_charts
from toylab.pages import modular_text as text
from toylab.pages.modular_inside import (
    REST,
    Answer,
    Scores,
    ablated,
    answer,
    busiest,
    logits_at,
    neuron,
    neurons_at,
)
from toylab.pages.modular_marks import Picture, colours
from toylab.pages.modular_model import View

__all__ = ["inside", "picture"]


def inside(view: View, record: int) -> None:
    """What is inside the network at that record."""
    panel = st.segmented_control(
        "Look at",
        PANELS,
        default=next(iter(PANELS)),
        key="panel",
        required=True,
        label_visibility="collapsed",
        width="stretch",
    )
    PANELS[panel](view, record)


def picture(place: Any, title: str, caption: str, drawn: Picture) -> None:
    """A chart between its title and its caption."""
    with place:
        st.header(title, anchor=False)
        st.vega_lite_chart(spec=drawn.whole, width="stretch")
        st.caption(caption)


def _answers(view: View, record: int) -> None:
    """The logits of one pair, and how all pairs do, without some of the waves."""
    first, second, third = st.columns([1, 1, 2], gap="medium")
    a = first.slider("a", 0, view.p - 1, view.p // 3, key=f"a {view.p}")
    b = second.slider("b", 0, view.p - 1, view.p // 2, key=f"b {view.p}")
    removed = third.pills(
        "Take out of the logits",
        [*sorted(view.keys), REST],
        selection_mode="multi",
        format_func=text.take_out,
        help=text.TAKE_OUT,
        key=f"removed {view.name}",
    )
    logits = logits_at(view, record)
    seen = answer(view, logits, a, b, removed)
    _scores(a, b, seen, ablated(view, logits, ()), ablated(view, logits, removed))
    left, right = st.columns(2, gap="medium")
    picture(left, f"Logits of {a} + {b}", text.OUTPUTS, charts.outputs(seen))
    if view.keys:
        picture(right, "Their waves", text.NEAR_RIGHT, charts.waves(seen, view.keys))
    else:
        right.info(text.NO_WAVES)


def _scores(a: int, b: int, seen: Answer, before: Scores, after: Scores) -> None:
    """What the network says of one pair and of all, and what the missing waves have changed."""

    def points(was: Score, now: Score) -> str | None:
        change = 100 * (float(now.accuracy) - float(was.accuracy))
        return f"{change:+.1f} points" if change else None

    numbers = (
        (f"{a} + {b} (right: {seen.right})", f"{seen.said}", None),
        ("Lead over the next", f"{seen.lead:.3g}", None),
        (
            "Test pairs right",
            text.percent(float(after.test.accuracy)),
            points(before.test, after.test),
        ),
        (
            "Training pairs right",
            text.percent(float(after.train.accuracy)),
            points(before.train, after.train),
        ),
        ("Test loss", f"{float(after.test.loss):.2g}", None),
    )
    with st.container(horizontal=True, gap="small"):
        for label, value, change in numbers:
            st.metric(label, value, change, border=True, height="stretch")


def _neurons(view: View, record: int) -> None:
    """All neurons, and one of them."""
    neurons = neurons_at(view, record)
    key = f"neuron {view.name}"
    if key not in st.session_state:
        st.session_state[key] = busiest(view, neurons)
    first, second, third = st.columns(3, gap="medium")
    with first:
        st.header("Neurons", anchor=False)
        picked = st.container()
        with st.container(horizontal=True, vertical_alignment="bottom"):
            number = st.number_input("Neuron", 0, len(neurons.share) - 1, key=key, width=150)
            ordered = st.toggle("Order numbers by k·a mod p", key="ordered", help=text.ORDERED)
    with picked:
        st.vega_lite_chart(
            spec=neuron_charts.neuron_strip(view, neurons, number).whole,
            width="stretch",
            key="strip",
            on_select=lambda: _pick(key),
            selection_mode="pick",
        )
        st.caption(text.STRIP)
    seen = neuron(neurons, number)
    colour = colours(view.keys).get(seen.frequency, BLUE)
    picture(second, "Activation", text.activation(seen), neuron_charts.activations(seen, ordered))
    picture(third, "Reads", text.reads(seen), neuron_charts.wave_in(seen, colour, ordered))
    picture(third, "Writes", text.writes(seen), neuron_charts.wave_out(seen, colour, ordered))


PANELS = {"Answers and their waves": _answers, "Neurons": _neurons}


def _pick(key: str) -> None:
    if picked := st.session_state["strip"].selection.get("pick"):
        st.session_state[key] = int(picked[0]["neuron"])
