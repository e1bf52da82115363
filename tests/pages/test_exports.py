"""What the page hands out: code that makes the same numbers, tables, files."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import runpy
import shlex
from pathlib import Path

import numpy as np
import pytest

import toylab
from toylab.figures.style import read_metadata
from toylab.pages import superposition_exports as exports
from toylab.pages.superposition_model import View


@pytest.mark.parametrize("name", ["pentagon", "square"])
def test_the_code_makes_the_same_model_to_the_last_bit(
        name: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    view: View = request.getfixturevalue(name)
    file = tmp_path / "view.py"
    file.write_text(exports.script(view))
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        names = runpy.run_path(str(file))
    result = names["result"]
    assert np.array_equal(result.model.W[...], view.result.model.W[...])
    assert np.array_equal(result.model.b[...], view.result.model.b[...])
    assert np.array_equal(result.start_losses, view.result.start_losses)
    assert result.config.to_json() == view.result.config.to_json()
    lines = printed.getvalue().splitlines()
    assert lines[0] == f"loss {float(view.result.loss)}"
    assert lines[1] == f"represented {view.seen.n_represented}"


def test_a_sampled_model_gets_code_that_samples(sampled: View) -> None:
    assert "toylab.superposition.run(config, 3, n_starts=2)" in exports.script(sampled)
    assert "--method train --starts 2 --seed 3" in exports.command(sampled)


def test_the_command_spells_the_same_config(square: View) -> None:
    words = shlex.split(exports.command(square))
    fields = dict(word.split("=") for word in words if "=" in word)
    assert toylab.SuperpositionConfig.from_strings(fields) == square.result.config
    assert words[:3] == ["toylab", "run", "superposition"]
    assert words[-8:] == ["--method", "solve", "--starts", "2", "--seed", "3", "--out", "view"]


def test_the_table_has_a_line_for_each_feature(square: View) -> None:
    lines = list(csv.DictReader(io.StringIO(exports.table(square))))
    W = np.asarray(square.result.model.W[...])
    assert [line["feature"] for line in lines] == ["1", "2", "3", "4", "5"]
    found = np.array([[float(line[f"W_{k}"]) for line in lines] for k in (1, 2)])
    assert found == pytest.approx(W, rel=1e-6)
    norm = np.linalg.norm(W, axis=0)
    assert [float(line["norm"]) for line in lines] == pytest.approx(norm, abs=1e-4)
    assert [line["represented"] for line in lines] == [str(int(x > 0.5)) for x in norm]
    assert float(lines[1]["WtW_3"]) == pytest.approx(W[:, 1] @ W[:, 2], abs=3e-4)


def test_the_archive_loads_as_the_same_result(pentagon: View, tmp_path: Path) -> None:
    file = tmp_path / "result.npz"
    file.write_bytes(exports.archive(pentagon))
    loaded = toylab.load(file)
    assert loaded.config == pentagon.result.config
    assert np.array_equal(loaded.model.W[...], pentagon.result.model.W[...])


@pytest.mark.parametrize("form", ["png", "svg", "pdf"])
@pytest.mark.parametrize("name", exports.FIGURES)
def test_a_figure_says_how_to_make_it_again(
        name: str, form: str, pentagon: View, tmp_path: Path) -> None:
    file = tmp_path / f"{name}.{form}"
    file.write_bytes(exports.figure(pentagon, name, form))
    facts = read_metadata(file)
    assert facts["command"] == exports.command(pentagon)
    assert facts["config"] == json.loads(pentagon.result.config.to_json())
