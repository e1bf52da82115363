"""What a reader takes along from the sweep page: code, numbers and the printed map."""

from __future__ import annotations

import csv
import io
import json
import shlex
from importlib import metadata
from typing import TYPE_CHECKING

import streamlit as st

from toylab.figures.palette import rounded
from toylab.pages import downloads
from toylab.pages.sweep_model import AXES, MEASURES, SETTINGS, Map

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["command", "draw", "script", "show", "table"]


def command(found: Map) -> str:
    """The command line that makes the same sweep and its figures."""
    fixed = found.plan.config
    axes = dict(found.plan.axes)
    words = [f"{name}={','.join(f'{value:g}' for value in values)}"
             for name, values in axes.items()]  # fmt: skip
    words += [f"{name}={getattr(fixed, name):g}" for name in SETTINGS if name not in axes]
    method = "solve" if found.exact else "train"
    return shlex.join(["toylab", "sweep", "superposition", *words, "--method", method, "--starts",
                       str(found.n_starts), "--seed", str(found.seed), "--out", "map"])  # fmt: skip


def script(found: Map) -> str:
    """A Python program that makes the same numbers with the public API."""
    fixed, axes = found.plan.config, dict(found.plan.axes)
    fields = ", ".join(f"{name}={getattr(fixed, name)!r}" for name in SETTINGS if name not in axes)
    values = "".join(f"    {name}={list(column)!r},\n" for name, column in axes.items())
    method = "solve" if found.exact else "run"
    return f'''"""A map of superposition, as in the toylab app."""

import functools

import numpy as np

import toylab
import toylab.environment

toylab.environment.pin()  # the app's settings, for the same bits

cells = toylab.grid(
    toylab.SuperpositionConfig({fields}),
{values})
run = functools.partial(toylab.superposition.{method}, n_starts={found.n_starts})
swept = toylab.sweep(run, cells, {found.seed})

norms = np.linalg.norm(np.asarray(swept.model.W), axis=-2)
print("loss", np.asarray(swept.loss))
print("represented", (norms > 0.5).sum(-1))
'''


def table(found: Map) -> str:
    """CSV, one line for each model: the axes, its sizes, its measures and its shape."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*AXES, *MEASURES, "shape"])
    for spot in found.spots:
        sizes = [f"{getattr(spot.config, name):g}" for name in AXES]
        numbers = [f"{float(rounded(spot.values[name], 7)):.7g}" for name in MEASURES]
        writer.writerow([*sizes, *numbers, spot.shape])
    return text.getvalue()


def draw(found: Map, measure: str) -> Figure:
    """The map as printed; the sweep must have ended."""
    from toylab.figures.maps import sweep_map  # matplotlib: slow, and rarely needed

    (up, _), (across, _) = found.plan.axes
    return sweep_map(found.job.future.result(), measure, across, up)  # type: ignore[arg-type]


def show(found: Map, measure: str) -> None:
    """The downloads and the code of the page."""
    st.header("Take it along", anchor=False)
    facts = {"toylab": metadata.version("toylab"), "command": command(found),
             "config": json.loads(found.plan.to_json())}  # fmt: skip
    with st.container(horizontal=True, vertical_alignment="bottom"):
        for form in ("png", "svg", "pdf"):
            downloads.button(
                form.upper(), f"map.{form}",
                lambda form=form: downloads.figure_bytes(draw(found, measure), form, facts),
            )  # fmt: skip
        downloads.button("CSV", "map.csv", lambda: table(found))
        downloads.button("Python", "map.py", lambda: script(found))
    with st.expander("The code of this view"):
        st.code(script(found), language="python")
        st.markdown("On the command line, with figures and data in the folder `map`:")
        st.code(command(found), language="bash", wrap_lines=True)
