"""What a reader takes along from the modular-addition page: code, numbers and printed figures."""

from __future__ import annotations

import csv
import io
import json
import shlex
from importlib import metadata
from typing import TYPE_CHECKING, Any

import numpy as np

from toylab.experiments.modular import ModularConfig
from toylab.experiments.storage import save
from toylab.figures.palette import rounded
from toylab.pages import downloads
from toylab.pages.modular_model import View

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["FIGURES", "archive", "command", "draw", "figure", "script", "table"]

FIGURES = ("story", "spectrum", "neurons", "logits")


def command(view: View) -> str:
    """The command line that trains the same network and draws its figures."""
    words = [f"{name}={value}" for name, value in _fields(view).items()]
    return shlex.join(
        ["toylab", "run", "modular", *words, "--seed", str(view.seed), "--out", "view"]
    )


def script(view: View) -> str:
    """A Python program that makes the same numbers with the public API."""
    fields = "".join(f"    {name}={value!r},\n" for name, value in _fields(view).items())
    return f'''"""Addition modulo {view.p}, as in the toylab app."""

import toylab
import toylab.environment

toylab.environment.pin()  # the app's settings, for the same bits

config = toylab.ModularConfig(
{fields})
result = toylab.modular.run(config, {view.seed})

print("test accuracy", float(result.test_accuracy[-1]))
print("test loss", float(result.test_loss[-1]))
print("key frequencies", result.key_frequencies.tolist())
print("share of the logits in their waves", float(result.progress.explained[-1]))
logits = toylab.modular.logits(result.model)  # [a, b, c]
neurons = toylab.modular.neurons(result.model)  # [a, b, neuron]
'''


def table(view: View) -> str:
    """CSV, one line for each record: losses, accuracies, progress, and each frequency's share."""
    result, progress = view.result, view.result.progress
    columns = {
        "train_loss": result.train_loss,
        "test_loss": result.test_loss,
        "train_accuracy": result.train_accuracy,
        "test_accuracy": result.test_accuracy,
        "restricted_loss": progress.restricted_loss,
        "excluded_loss": progress.excluded_loss,
        "explained": progress.explained,
        "gini_in": progress.gini_in,
        "gini_out": progress.gini_out,
        "weight_norm": progress.weight_norm,
        **{f"share_{k + 1}": column for k, column in enumerate(np.asarray(progress.share).T)},
    }
    rows = np.column_stack([rounded(values, 7) for values in columns.values()])
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["step", *columns])
    writer.writerows(
        [seen.step, *(f"{value:.7g}" for value in row)]
        for seen, row in zip(view.moments, rows, strict=True)
    )
    return text.getvalue()


def archive(view: View) -> bytes:
    """The result, with the network at every record, as the npz file that `toylab.load` reads."""
    return downloads.file_bytes(lambda path: save(view.result, path, command=command(view)), "npz")


def draw(view: View, name: str) -> Figure:
    """One of `FIGURES`, as printed."""
    from toylab.figures import fourier  # matplotlib: slow, and rarely needed

    functions = dict(
        zip(
            FIGURES,
            (fourier.training_story, fourier.spectrum, fourier.neuron_waves, fourier.logit_fit),
            strict=True,
        )
    )
    return functions[name](view.result)  # type: ignore[index]


def figure(view: View, name: str, form: str) -> bytes:
    """One of `FIGURES` as a PNG, SVG or PDF file, with what makes it again inside."""
    facts = {
        "toylab": metadata.version("toylab"),
        "command": command(view),
        "config": json.loads(view.result.config.to_json()),
    }
    return downloads.figure_bytes(draw(view, name), form, facts)


def _fields(view: View) -> dict[str, Any]:
    """The fields of the config that differ from its defaults, and the modulus."""
    config, default = view.result.config, ModularConfig()
    return {
        name: getattr(config, name)
        for name in config.rules()
        if name == "p" or getattr(config, name) != getattr(default, name)
    }
