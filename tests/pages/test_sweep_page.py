"""The sweep page: its maps, what it draws and hands out, and the page as Streamlit runs it."""

from __future__ import annotations

import contextlib
import csv
import functools
import io
import json
import runpy
import shlex
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

import toylab
from toylab.errors import ConfigError
from toylab.figures.style import read_metadata
from toylab.pages import downloads
from toylab.pages import sweep_exports as exports
from toylab.pages.sweep_charts import heat
from toylab.pages.sweep_model import CONTROLS, MEASURES, Map, map_of, plan_of, values_along
from toylab.pages.sweep_text import address, open_model, progress
from toylab.training.sweep import cell_key

DEFAULTS: dict[str, Any] = {control.name: control.default for control in CONTROLS}
SMALL = DEFAULTS | {"cells": 3, "n_features": 4, "n_hidden": 2, "n_starts": 2}


def finished(found: Map) -> Map:
    found.job.future.result(timeout=300)
    return found


@pytest.fixture(scope="module")
def small() -> Map:
    """Two sizes by three sparsities."""
    return finished(Map(plan_of(SMALL), 2, 5))


def test_axes_end_where_the_controls_say() -> None:
    assert values_along("sparsity", DEFAULTS | {"cells": 3}) == [0.0, 0.9, 0.99]
    assert values_along("n_hidden", DEFAULTS | {"cells": 3, "n_hidden": 8}) == [1, 4, 8]
    assert values_along("n_features", DEFAULTS | {"cells": 24, "n_features": 5}) == [2, 3, 4, 5]


def test_a_plan_holds_what_is_no_axis() -> None:
    plan = plan_of(SMALL)
    assert plan.axes == (("n_hidden", (1, 2)), ("sparsity", (0.0, 0.9, 0.99)))
    assert plan.config.n_features == 4
    with pytest.raises(ConfigError, match=r"^across='n_hidden': must differ from up$"):
        plan_of(SMALL | {"across": "n_hidden"})


def test_a_map_has_the_numbers_of_the_library(small: Map) -> None:
    assert len(small.spots) == small.total == 6
    for spot in small.spots:
        key = cell_key(5, spot.config)
        alone = toylab.superposition.solve(spot.config, key, n_starts=2)
        assert spot.values["loss"] == float(alone.loss)
        norms = np.linalg.norm(np.asarray(alone.model.W[...]), axis=0)
        assert spot.values["n_represented"] == (norms > 0.5).sum()
        assert spot.values["dims_per_feature"] == pytest.approx(
            spot.config.n_hidden / (norms**2).sum(), rel=1e-5
        )
        assert (spot.across, spot.up) == (spot.config.sparsity, spot.config.n_hidden)
    dense = next(spot for spot in small.spots if (spot.across, spot.up) == (0.0, 2))
    sparse = next(spot for spot in small.spots if (spot.across, spot.up) == (0.99, 2))
    # Dense features do not share; sparse ones do: two digons in two dimensions.
    assert (dense.values["n_represented"], sparse.values["n_represented"]) == (2, 4)


@pytest.mark.parametrize("measure", MEASURES)
def test_the_browser_and_the_print_have_the_same_numbers(small: Map, measure: str) -> None:
    drawn = {
        (row["across"], row["up"]): row["value"] for row in heat(small, small.spots, measure).rows
    }
    printed = np.asarray(exports.draw(small, measure).axes[0].images[0].get_array())
    for y, up in enumerate((1, 2)):
        for x, across in enumerate((0.0, 0.9, 0.99)):
            assert drawn[f"{across:g}", f"{up:g}"] == pytest.approx(printed[y, x], rel=1e-4)


def test_a_growing_map_says_how_far_it_is(small: Map) -> None:
    some = heat(small, small.spots[:2], "loss")
    assert "2 of 6 models are there" in some.spec["description"]
    assert some.spec["encoding"]["x"]["scale"]["domain"] == ["0", "0.9", "0.99"]
    assert heat(small, [], "loss").rows == []
    assert progress(0, 6, False) == "Waiting for another training to end"
    assert progress(2, 6, True) == "2 of 6 models"
    endless = small.spots[0]._replace(values=dict.fromkeys(MEASURES, float("inf")))
    [row] = heat(small, [endless], "dims_per_feature").rows
    assert row["value"] is None
    json.dumps(heat(small, [endless], "dims_per_feature").whole, allow_nan=False)


def test_the_code_makes_the_same_map_to_the_last_bit(small: Map, tmp_path: Path) -> None:
    file = tmp_path / "map.py"
    file.write_text(exports.script(small))
    with contextlib.redirect_stdout(io.StringIO()):
        swept = runpy.run_path(str(file))["swept"]
    result = small.job.future.result()
    assert np.array_equal(swept.model.W[...], result.model.W[...])
    assert np.array_equal(swept.loss, result.loss)


def test_the_command_spells_the_same_sweep(small: Map) -> None:
    words = shlex.split(exports.command(small))
    assert words[:3] == ["toylab", "sweep", "superposition"]
    assert words[3:6] == ["n_hidden=1,2", "sparsity=0,0.9,0.99", "n_features=4"]
    assert words[6] == "importance_decay=0.85"
    assert words[7:] == ["--method", "solve", "--starts", "2", "--seed", "5", "--out", "map"]


def test_the_table_has_a_line_for_each_model(small: Map) -> None:
    lines = list(csv.DictReader(io.StringIO(exports.table(small))))
    assert len(lines) == 6
    assert {line["n_hidden"] for line in lines} == {"1", "2"}
    found = [float(line["loss"]) for line in lines]
    assert found == pytest.approx([spot.values["loss"] for spot in small.spots], rel=1e-6)


def test_the_printed_map_says_how_to_make_it_again(small: Map, tmp_path: Path) -> None:
    facts = {"command": exports.command(small)}
    file = tmp_path / "map.svg"
    file.write_bytes(downloads.figure_bytes(exports.draw(small, "loss"), "svg", facts))
    assert read_metadata(file)["command"] == exports.command(small)


def test_a_cell_opens_as_its_own_model(small: Map) -> None:
    spot = next(spot for spot in small.spots if (spot.across, spot.up) == (0.9, 2))
    found = {"sparsity": "0.9", "n_features": "4", "n_starts": "2", "seed": "5"}
    found |= {"importance_decay": "0.85"}
    assert address(spot, small) == found  # two dimensions are the page's own default
    assert open_model(spot) == "Open 4 features in 2 dimensions, sparsity 0.9"


def test_a_stopped_map_ends_and_begins_again(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_of(SMALL | {"n_features": 3, "cells": 5})
    found = map_of(plan, 1, 6)
    found.stopped = True
    with contextlib.suppress(RuntimeError):
        found.job.future.result(timeout=300)
    assert found.error is None
    assert len(found.spots) < found.total
    again = map_of(plan, 1, 6)
    assert again is not found
    assert len(finished(again).spots) == again.total
    assert map_of(plan, 1, 6) is again


def page(**values: str) -> AppTest:
    """The page alone, after its first run at an address."""

    def script() -> None:
        from toylab.pages import sweep

        sweep.show()

    app = AppTest.from_function(script, default_timeout=120)
    for name, text in values.items():
        app.query_params[name] = text
    return app.run()


def whole(app: AppTest) -> AppTest:
    end = time.monotonic() + 120
    while any(button.key == "stop" for button in app.button):
        assert time.monotonic() < end
        time.sleep(0.2)
        app.run()
    return app


ADDRESS = {"cells": "3", "n_features": "4", "n_hidden": "2", "n_starts": "2", "seed": "5"}


def test_the_page_fills_its_map() -> None:
    app = whole(page(**ADDRESS))
    assert not app.exception
    assert not app.error
    assert app.title[0].value == "When does a model begin to crowd its features?"
    [chart] = app.get("vega_lite_chart")
    spec = json.loads(chart.proto.spec)  # type: ignore[union-attr]
    assert "6 of 6 models are there" in spec["description"]
    assert any("Click a cell" in text.value for text in app.markdown)
    assert exports.command(finished(map_of(plan_of(SMALL), 2, 5))) == app.code[1].value
    app.session_state["the cell that was clicked"] = (0.99, 2.0)
    app.run()
    shown = {metric.label: metric.value for metric in app.metric}
    assert shown["Features represented"] == "4"
    [link] = [block.proto.body for block in app.get("html")]  # type: ignore[union-attr]
    assert "Open 4 features in 2 dimensions, sparsity 0.99</a>" in link
    assert 'href="./?sparsity=0.99&amp;n_features=4' in link


def test_one_axis_twice_is_refused_in_words() -> None:
    app = page(**ADDRESS, up="sparsity")
    assert not app.exception
    assert [error.value for error in app.error] == [r"across='sparsity'\: must differ from up"]


def test_each_is_told_of_every_cell() -> None:
    plan = plan_of(SMALL)
    seen: list[int] = []
    run = functools.partial(toylab.superposition.solve, n_starts=1)
    result = toylab.sweep(run, plan, 0, each=lambda index, cell: seen.append(index))
    assert sorted(seen) == list(range(6))
    assert result.loss.shape == (2, 3)
