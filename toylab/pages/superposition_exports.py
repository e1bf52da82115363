"""What a reader takes along from the superposition page: code, numbers and printed figures."""

from __future__ import annotations

import csv
import io
import json
import shlex
from importlib import metadata
from typing import TYPE_CHECKING, Any

import numpy as np

from toylab.experiments.storage import save
from toylab.figures.palette import rounded
from toylab.pages import downloads
from toylab.pages.superposition_model import CONTROLS, View, exact

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["FIGURES", "archive", "command", "draw", "figure", "script", "table"]

FIGURES = ("geometry", "gram", "features")


def command(view: View) -> str:
    """The command line that makes the same model and its figures."""
    method = "solve" if exact(view.result.config) else "train"
    words = [f"{name}={value}" for name, value in _fields(view).items()]
    return shlex.join(["toylab", "run", "superposition", *words, "--method", method, "--starts",
                       str(view.n_starts), "--seed", str(view.seed), "--out", "view"])


def script(view: View) -> str:
    """A Python program that makes the same numbers with the public API."""
    config = view.result.config
    n, m = config.n_features, config.n_hidden
    method = "solve" if exact(config) else "run"
    fields = "".join(f"    {name}={value!r},\n" for name, value in _fields(view).items())
    return f'''"""{n} features in {m} dimensions, as in the toylab app."""

import numpy as np

import toylab
import toylab.environment

toylab.environment.pin()  # the app's settings, for the same bits

config = toylab.SuperpositionConfig(
{fields})
result = toylab.superposition.{method}(config, {view.seed}, n_starts={view.n_starts})

W = np.asarray(result.model.W)
norm = np.linalg.norm(W, axis=0)
print("loss", float(result.loss))
print("represented", int((norm > 0.5).sum()))
print("dimensionality", np.asarray(toylab.feature_dimensionality(W)))
print("Welch bound", toylab.welch_bound(config.n_features, config.n_hidden))
'''


def table(view: View) -> str:
    """CSV, one line for each feature: its measures, bias, column of W and row of WᵀW."""
    seen, W = view.seen, np.asarray(view.result.model.W)
    columns = {
        "norm": seen.norm, "represented": seen.represented, "interference": seen.interference,
        "largest_cosine": seen.coherence, "dimensionality": seen.dimensionality,
        "bias": seen.bias, **{f"W_{k + 1}": row for k, row in enumerate(W)},
        **{f"WtW_{j + 1}": column for j, column in enumerate(seen.gram.T)},
    }
    rows = np.column_stack([rounded(values, 7) for values in columns.values()])
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["feature", *columns])
    writer.writerows([i + 1, *(f"{value:.7g}" for value in row)] for i, row in enumerate(rows))
    return text.getvalue()


def archive(view: View) -> bytes:
    """The result as the npz file that `toylab.load` reads."""
    return downloads.file_bytes(
        lambda path: save(view.result, path, command=command(view)), "npz")


def draw(view: View, name: str) -> Figure:
    """One of `FIGURES`, as printed."""
    from toylab.figures.geometry import hidden_geometry  # matplotlib: slow, and rarely needed
    from toylab.figures.superposition import feature_bars, gram_and_bias

    functions = dict(zip(FIGURES, (hidden_geometry, gram_and_bias, feature_bars), strict=True))
    return functions[name](view.result)  # type: ignore[index]


def figure(view: View, name: str, form: str) -> bytes:
    """One of `FIGURES` as a PNG, SVG or PDF file, with what makes it again inside."""
    facts = {"toylab": metadata.version("toylab"), "command": command(view),
             "config": json.loads(view.result.config.to_json())}
    return downloads.figure_bytes(draw(view, name), form, facts)


def _fields(view: View) -> dict[str, Any]:
    """The fields of the config that the page sets."""
    config = view.result.config
    return {c.name: getattr(config, c.name) for c in CONTROLS if c.name in config.rules()}
