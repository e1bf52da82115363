"""The sweep page: two axes, a map that fills while it is computed, and a way into every cell."""

from __future__ import annotations

import html
import time
from typing import Any
from urllib.parse import urlencode

import streamlit as st

from toylab.errors import ConfigError
from toylab.pages import controls
from toylab.pages import sweep_text as text
from toylab.pages.sweep_charts import PICK, heat
from toylab.pages.sweep_exports import show as take_along
from toylab.pages.sweep_model import CONTROLS, MEASURES, Map, Spot, map_of, plan_of

__all__ = ["NAME", "PATH", "show"]

NAME, PATH = "Sweep", "sweep"
REDRAW = 0.5  # seconds between two pictures of a map that is being computed
_PICKED = "the cell that was clicked"


def show() -> None:
    """Draw the page."""
    head = st.container()
    controls.show_refusals(CONTROLS)
    left, right = st.columns([1, 3], gap="medium")
    with left:
        values = _read_controls()
    head.title(text.QUESTION, anchor=False)
    head.markdown(text.INTRODUCTION)
    with right:
        found = _map(values)
        if found is None:
            return
        measure = st.radio(
            "Colour",
            list(MEASURES),
            key="colour",
            format_func=lambda name: MEASURES[name].label,
            horizontal=True,
        )
        if found.done or found.stopped:
            _whole(found, measure)
        else:
            _growing(found, measure)
        st.caption(MEASURES[measure].note)
        _picked(found)
    _explain()
    if found.result is not None:
        take_along(found, measure)


def _read_controls() -> dict[str, Any]:
    first, rest = CONTROLS[:3], CONTROLS[3:]
    values = {control.name: controls.draw(control) for control in first}
    axes = (values["across"], values["up"])
    values |= {c.name: controls.draw(c) for c in rest[:3] if c.name != "sparsity"}
    if "sparsity" not in axes:
        values["sparsity"] = controls.draw(rest[2])
    values.setdefault("sparsity", rest[2].default)
    with st.expander("Importance, starts and seed"):
        return values | {control.name: controls.draw(control) for control in rest[3:]}


def _map(values: dict[str, Any]) -> Map | None:
    """The map that the controls ask for; None, and the reason on the page, if there is none."""
    try:
        found = map_of(plan_of(values), values["n_starts"], values["seed"])
    except ConfigError as error:
        st.error(controls.plain(str(error)))
        return None
    if found.error is not None:
        st.error(controls.plain(str(found.error)))
        return None
    return found


@st.fragment(run_every=REDRAW)
def _growing(found: Map, measure: str) -> None:
    """A map that is being computed, drawn again and again until it is whole."""
    found.looked_at = time.monotonic()
    if found.done:
        st.rerun()
    spots = list(found.spots)
    _draw(found, spots, measure)
    with st.container(horizontal=True, vertical_alignment="center"):
        doing = text.progress(len(spots), found.total, found.job.future.running())
        st.progress(len(spots) / found.total, doing)
        if st.button("Stop", key="stop", icon=":material/stop:"):
            found.stopped = True
            st.rerun()


def _whole(found: Map, measure: str) -> None:
    """A map that has ended: every cell of it, or those until it was stopped."""
    _draw(found, found.spots, measure)
    if len(found.spots) < found.total:
        st.info(text.stopped(len(found.spots), found.total), icon=":material/stop_circle:")
        st.button("Begin again", key="again")


def _draw(found: Map, spots: list[Spot], measure: str) -> None:
    st.vega_lite_chart(
        spec=heat(found, spots, measure).whole,
        width="stretch",
        key="map",
        on_select=_pick,
        selection_mode=PICK,
    )


def _pick() -> None:
    if picked := st.session_state["map"].selection.get(PICK):
        st.session_state[_PICKED] = (float(picked[0]["across"]), float(picked[0]["up"]))


def _picked(found: Map) -> None:
    """The cell that was clicked: its numbers, and the way to its own page."""
    place = st.session_state.get(_PICKED)
    spot = next((spot for spot in list(found.spots) if (spot.across, spot.up) == place), None)
    if spot is None:
        st.markdown(text.CLICK)
        return
    with st.container(horizontal=True, gap="small"):
        st.metric("Shape", spot.shape, border=True)
        for name, measure in MEASURES.items():
            st.metric(measure.label, f"{spot.values[name]:.3g}", border=True)
    # A link, not `st.switch_page`: that may not set what widgets of this page are bound to.
    address = html.escape(f"./?{urlencode(text.address(spot, found))}")
    st.html(f'<a href="{address}" target="_self">{html.escape(text.open_model(spot))}</a>')


def _explain() -> None:
    left, right = st.columns(2, gap="medium")
    left.header("What you should see", anchor=False)
    left.markdown(text.SEE)
    right.header("What this does not show", anchor=False)
    right.markdown(text.NOT_SHOWN)
    st.caption(text.SOURCE)
