"""The superposition page: sliders, the model that they ask for, and five pictures of it."""

from __future__ import annotations

from typing import Any

import streamlit as st

from toylab.errors import ConfigError, DivergedError
from toylab.pages import charts, controls, downloads
from toylab.pages import superposition_exports as exports
from toylab.pages import superposition_text as text
from toylab.pages.superposition_model import CONTROLS, View, config_of, exact, look

__all__ = ["NAME", "PATH", "show"]

NAME, PATH = "Superposition", "superposition"


def show() -> None:
    """Draw the page."""
    head = st.container()
    controls.show_refusals(CONTROLS)
    left, right = st.columns([1, 3], gap="medium")
    with left:
        values = _read_controls()
    head.title(text.question(values["n_hidden"]), anchor=False)
    head.markdown(text.INTRODUCTION)
    with right:
        view = _view(values)
        if view is None:
            return
        _headline(view)
        _pictures(view)
    _explain()
    _take_along(view)


def _read_controls() -> dict[str, Any]:
    values = {control.name: controls.draw(control) for control in CONTROLS[:4]}
    with st.expander("Output, starts and seed"):
        return values | {control.name: controls.draw(control) for control in CONTROLS[4:]}


def _view(values: dict[str, Any]) -> View | None:
    """The model that the controls ask for; None, and the reason on the page, if there is none."""
    try:
        config = config_of(values)
        for notice in config.notices():
            st.info(controls.plain(notice))
        return look(config, values["seed"], values["n_starts"])
    except (ConfigError, DivergedError) as error:
        st.error(controls.plain(str(error)))
        return None


def _headline(view: View) -> None:
    seen, config = view.seen, view.result.config
    measure = "exact expectation" if exact(config) else "65,536 fresh examples"
    numbers = (
        ("Represented", f"{seen.n_represented} of {config.n_features}",
         "Features whose vector is longer than 0.5."),
        ("Shape", seen.polytope.name,
         f"The nearest shape is {seen.polytope.nearest}; the largest error of a cosine is "
         f"{seen.polytope.deviation:.2g}."),
        ("Loss", f"{float(view.result.loss):.3g}",
         f"Importance × squared error, mean over examples and features ({measure})."),
        ("Starts at the best", f"{view.n_near} of {view.n_starts}",
         "Random starts that ended within 1 % of the lowest loss."),
    )
    with st.container(horizontal=True, gap="small"):
        for label, value, note in numbers:
            st.metric(label, value, help=note, border=True)


def _pictures(view: View) -> None:
    seen, m = view.seen, view.result.config.n_hidden
    above, below = st.columns(2, gap="medium"), st.columns(3, gap="medium")
    _picture(above[0], "Feature geometry", text.projection(m),
             charts.geometry(seen, view.result.config.importances))
    _picture(above[1], "WᵀW and bias", text.GRAM, charts.heat_map(seen))
    _picture(below[0], "Interference", text.crowding(seen, m), charts.interference(seen))
    _picture(below[1], "Closest neighbour", text.closeness(seen, m), charts.coherence(seen))
    _picture(below[2], "Dimensionality", text.DIMENSIONALITY, charts.dimensionality(seen))


def _picture(place: Any, title: str, caption: str, spec: charts.Spec) -> None:
    with place:
        st.header(title, anchor=False)
        st.vega_lite_chart(spec=spec, width="stretch")
        st.caption(caption)


def _explain() -> None:
    left, right = st.columns(2, gap="medium")
    left.header("What you should see", anchor=False)
    left.markdown(text.SEE)
    right.header("What this does not show", anchor=False)
    right.markdown(text.NOT_SHOWN)
    st.caption(text.SOURCE)


def _take_along(view: View) -> None:
    st.header("Take it along", anchor=False)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = st.selectbox("Figure", exports.FIGURES, width=220, key="figure")
        for form in ("png", "svg", "pdf"):
            downloads.button(form.upper(), f"{name}.{form}",
                             lambda form=form: exports.figure(view, name, form))
        downloads.button("CSV", "features.csv", lambda: exports.table(view))
        downloads.button("NPZ", "result.npz", lambda: exports.archive(view))
        downloads.button("Python", "view.py", lambda: exports.script(view))
    with st.expander("The code of this view"):
        st.code(exports.script(view), language="python")
        st.markdown("On the command line, with figures and data in the folder `view`:")
        st.code(exports.command(view), language="bash", wrap_lines=True)
