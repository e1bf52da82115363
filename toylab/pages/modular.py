"""The modular-addition page: a training to watch, its history, and what is inside the network."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import streamlit as st

from toylab.errors import ConfigError, DivergedError
from toylab.pages import controls, downloads
from toylab.pages import modular_charts as charts
from toylab.pages import modular_exports as exports
from toylab.pages import modular_text as text
from toylab.pages.modular_model import Moment, Training, View, training_of
from toylab.pages.modular_panels import inside, picture
from toylab.pages.modular_settings import CHOICES, CONTROLS, PRESETS, config_of

__all__ = ["NAME", "PATH", "show"]

NAME, PATH = "Modular addition", "modular-addition"
REDRAW = 0.4  # seconds between two pictures of a running training
OWN = "Own settings"
_TRAINED, _HELD = "settings of the modular training", "the modular training"


def show() -> None:
    """Draw the page."""
    head = st.container()
    controls.show_refusals(CONTROLS)
    left, right = st.columns([1, 3], gap="medium")
    with left:
        values = _read_controls()
    with right:
        training = _training()
        view = None if training is None else _watch_or_view(training)
        record = None if view is None else _history(view)
    p = values["p"] if training is None else training.config.p
    head.title(text.question(p), anchor=False)
    if training is not None:
        head.markdown(text.introduction(p, training.config.n_train))
    if view is not None and record is not None:
        inside(view, record)
    _explain()
    if view is not None:
        _take_along(view)


def _read_controls() -> dict[str, Any]:
    if "p" not in st.session_state:  # the page has just been opened
        st.session_state.pop(_TRAINED, None)
    preset = st.container()
    values = {control.name: _draw(control) for control in CONTROLS[:3]}
    with st.expander("Rate, steps and seed"):
        values |= {control.name: _draw(control) for control in CONTROLS[3:]}
    trained = st.session_state.setdefault(_TRAINED, values)
    fits = (name for name, preset in PRESETS.items() if preset.items() <= values.items())
    st.session_state["preset"] = next(fits, OWN)
    preset.selectbox("Settings", [*PRESETS, OWN], key="preset", on_change=_take_preset)
    st.button(
        "Train",
        key="train",
        on_click=_train,
        width="stretch",
        icon=":material/play_arrow:",
        type="secondary" if values == trained else "primary",
    )
    if values != trained:
        st.caption("The settings have changed. What you see is the training before.")
    return values


def _draw(control: controls.Control) -> Any:
    if control.name not in CHOICES:
        return controls.draw(control)
    return st.select_slider(
        control.label,
        CHOICES[control.name],
        control.default,
        key=control.name,
        help=control.help,
        bind="query-params",
    )


def _take_preset() -> None:
    values = PRESETS.get(st.session_state["preset"])
    if values is not None:
        st.session_state.update(values)
        _train()


def _train() -> None:
    st.session_state.pop(_TRAINED, None)


def _training() -> Training | None:
    """The training that the reader has asked for; None, with the reason on the page."""
    trained, held = st.session_state[_TRAINED], st.session_state.get(_HELD)
    try:
        training = training_of(config_of(trained), trained["seed"], held)
    except ConfigError as error:
        st.error(controls.plain(str(error)))
        return None
    st.session_state[_HELD] = training  # the shared store may drop it
    return training


def _watch_or_view(training: Training) -> View | None:
    if not training.done:
        _live(training)
        return None
    try:
        return training.view
    except (ConfigError, DivergedError) as error:
        st.error(controls.plain(str(error)))
        return None


@st.fragment(run_every=REDRAW)
def _live(training: Training) -> None:
    """A running training, drawn again and again until it ends."""
    training.looked_at = time.monotonic()
    if training.done:
        st.rerun()
    moments, n_steps, p = list(training.moments), training.config.n_steps, training.config.p
    if not moments:
        st.progress(0.0, text.waiting(training.job.future.running()))
        return
    now = moments[-1]
    st.markdown(text.story(now, p))
    _numbers(now, sum(share for share in now.share if share > text.WAVES))
    _curves(moments, n_steps)
    st.progress(now.step / n_steps, f"Training: step {now.step} of {n_steps}")


def _history(view: View) -> int:
    """A finished training, at a step of its history; returns the number of the record."""
    above = st.container()
    steps = [seen.step for seen in view.moments]
    step = st.select_slider(
        "Training step",
        steps,
        steps[-1],
        key=f"step {view.name}",
        help="Drag it back through the training.",
    )
    record = steps.index(step)
    with above:
        st.markdown(text.story(view.moments[record], view.p, view))
        _numbers(view.moments[record], float(view.result.progress.explained[record]))
        _curves(view.moments, view.result.config.n_steps, view, record)
    return record


def _numbers(now: Moment, explained: float) -> None:
    values = (
        f"{now.step:,}",
        text.percent(now.train_accuracy),
        text.percent(now.test_accuracy),
        text.percent(explained),
    )
    with st.container(horizontal=True, gap="small"):
        for (label, note), value in zip(text.NUMBERS.items(), values, strict=True):
            st.metric(label, value, help=note, border=True)


def _curves(
    moments: Sequence[Moment], n_steps: int, view: View | None = None, record: int = -1
) -> None:
    at, p = None if view is None else moments[record].step, 2 * len(moments[-1].share) + 1
    left, middle, right = st.columns(3, gap="medium")
    picture(left, "Loss", text.loss(view, p), charts.losses(moments, n_steps, view, at))
    picture(middle, "Accuracy", text.ACCURACY, charts.accuracies(moments, n_steps, view, at))
    picture(right, "Frequencies", text.spectrum(view), charts.spectrum(moments[record], view))


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
            downloads.button(
                form.upper(), f"{name}.{form}", lambda form=form: exports.figure(view, name, form)
            )
        downloads.button("CSV", "training.csv", lambda: exports.table(view))
        downloads.button("NPZ", "result.npz", lambda: exports.archive(view))
        downloads.button("Python", "view.py", lambda: exports.script(view))
    with st.expander("The code of this view"):
        st.code(exports.script(view), language="python")
        st.markdown("On the command line, with figures and data in the folder `view`:")
        st.code(exports.command(view), language="bash", wrap_lines=True)
