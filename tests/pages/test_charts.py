"""The page's pictures: plain JSON with the model's numbers, as the printed figures draw them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from matplotlib.collections import PathCollection
from matplotlib.patches import Rectangle

from toylab.pages import charts
from toylab.pages.superposition_exports import draw
from toylab.pages.superposition_model import View

VIEWS = ("pentagon", "square", "solid", "sampled")


@pytest.fixture(params=VIEWS)
def view(request: pytest.FixtureRequest) -> View:
    return request.getfixturevalue(request.param)


def specs(view: View) -> dict[str, charts.Spec]:
    return {"geometry": charts.geometry(view.seen, view.result.config.importances),
            **{name: getattr(charts, name)(view.seen)
               for name in ("heat_map", "interference", "coherence", "dimensionality")}}


def rows(spec: charts.Spec, mark: str) -> list[dict[str, Any]]:
    """The data of the first layer with such a mark."""
    return next(layer["data"]["values"] for layer in spec["layer"] if layer["mark"]["type"] == mark)


def column(spec: charts.Spec, mark: str, field: str) -> np.ndarray:
    return np.array([row[field] for row in rows(spec, mark)])


def by_hand(view: View) -> dict[str, np.ndarray]:
    """The measures of each feature from their definitions, in loops."""
    W = np.asarray(view.result.model.W[...], np.float64)
    n = W.shape[1]
    norm = [np.sqrt(W[:, i] @ W[:, i]) for i in range(n)]
    cosine = [[abs(W[:, i] @ W[:, j]) / (norm[i] * norm[j]) for j in range(n)] for i in range(n)]
    kept = [i for i in range(n) if norm[i] > 0.5]
    onto = [[(W[:, i] @ W[:, j] / norm[i]) ** 2 for j in range(n)] for i in range(n)]
    return {
        "interference": np.array([np.sqrt(sum(onto[i]) - onto[i][i]) for i in range(n)]),
        "|cos|": np.array([max((cosine[i][j] for j in kept if j != i), default=0.0)
                           if i in kept else 0.0 for i in range(n)]),
        "dimensionality": np.array([norm[i] ** 2 / sum(onto[i]) for i in range(n)]),
    }


def test_every_spec_is_json_without_nan_and_says_in_words_what_it_shows(view: View) -> None:
    for name, spec in specs(view).items():
        text = json.dumps(spec, allow_nan=False)
        assert json.loads(text) == spec
        assert len(text) < 60_000, name
        assert len(spec["description"]) > 40
        assert all(layer["data"]["values"] for layer in spec["layer"]), "Vega warns of empty data"


def test_the_bars_are_the_measures(view: View) -> None:
    drawn, expected = specs(view), by_hand(view)
    for chart, field in (("interference", "interference"), ("coherence", "|cos|"),
                         ("dimensionality", "dimensionality")):
        assert column(drawn[chart], "bar", field) == pytest.approx(expected[field], abs=1e-4)
    norm = np.linalg.norm(view.result.model.W[...], axis=0)
    assert column(drawn["coherence"], "bar", "represented").tolist() == (norm > 0.5).tolist()


def test_the_heat_map_is_the_product_and_the_bias(view: View) -> None:
    W, b = (np.asarray(part[...]) for part in (view.result.model.W, view.result.model.b))
    cells = {(row["output"], row["input"]): row["value"] for row in rows(
        charts.heat_map(view.seen), "rect")}
    n = len(b)
    assert len(cells) == n * (n + 1)
    found = np.array([[cells[i + 1, str(j + 1)] for j in range(n)] for i in range(n)])
    assert found == pytest.approx(W.T @ W, abs=3e-4)  # five digits of W, of five of the product
    assert [cells[i + 1, "b"] for i in range(n)] == pytest.approx(b, abs=1e-4)


def test_the_bounds_of_the_pentagon(pentagon: View) -> None:
    # Welch: √((5-2) / (2·4)) = √(3/8); five vectors of one length in the plane: √((5-2)/2) of it.
    drawn = specs(pentagon)
    shortest = np.linalg.norm(np.asarray(pentagon.result.model.W), axis=0).min()
    welch = column(drawn["coherence"], "rule", "|cos|")
    floor = column(drawn["interference"], "rule", "interference")
    assert [*welch, *floor] == pytest.approx([0.61237, 1.22474 * shortest], abs=2e-4)


def test_the_plane_is_drawn_as_it_is_and_its_hull_is_closed(pentagon: View) -> None:
    spec, W = specs(pentagon)["geometry"], np.asarray(pentagon.result.model.W[...])
    assert column(spec, "point", "x") == pytest.approx(W[0], abs=1e-4)
    assert column(spec, "point", "y") == pytest.approx(W[1], abs=1e-4)
    hull = rows(spec, "rule")
    assert len(hull) == 5
    starts = {(edge["x"], edge["y"]) for edge in hull}
    assert starts == {(edge["x2"], edge["y2"]) for edge in hull}
    # Neighbours of a regular pentagon of radius r lie 2 r sin 36° apart.
    radius = np.linalg.norm(W, axis=0).mean()
    lengths = [np.hypot(edge["x2"] - edge["x"], edge["y2"] - edge["y"]) for edge in hull]
    assert lengths == pytest.approx([2 * radius * np.sin(np.pi / 5)] * 5, rel=0.03)


def test_every_tip_has_its_number_once(view: View) -> None:
    spec = specs(view)["geometry"]
    named = ", ".join(row["names"] for row in rows(spec, "text")).split(", ")
    assert len(set(named)) == len(named)
    kept = {str(i + 1) for i in np.flatnonzero(view.seen.represented)}
    assert kept <= set(named) or view.result.config.n_hidden > 3  # a projection can hide one


def test_colour_tells_importance_when_it_differs(pentagon: View, square: View) -> None:
    def colour(view: View) -> dict[str, Any]:
        layers = specs(view)["geometry"]["layer"]
        return next(x["encoding"]["color"] for x in layers if x["mark"]["type"] == "point")

    assert colour(pentagon) == {"value": "#0072B2"}
    assert colour(square)["scale"] == {"scheme": "cividis", "domain": [0.6561, 1.0]}  # 0.9⁴, 0.9⁰
    assert column(specs(square)["geometry"], "point", "importance") == pytest.approx(
        [1, 0.9, 0.81, 0.729, 0.6561])


def test_the_printed_figures_draw_the_same_numbers(view: View) -> None:
    drawn = specs(view)
    tips = next(artist for artist in draw(view, "geometry").axes[0].collections
                if isinstance(artist, PathCollection))
    points = np.column_stack([column(drawn["geometry"], "point", axis) for axis in "xy"])
    assert np.array_equal(tips.get_offsets(), points)

    names = (("interference", "interference"), ("coherence", "|cos|"),
             ("dimensionality", "dimensionality"))
    for axes, (chart, field) in zip(draw(view, "features").axes, names, strict=True):
        bars = [bar.get_height() for bar in axes.patches if isinstance(bar, Rectangle)]
        assert np.array_equal(bars, column(drawn[chart], "bar", field))

    image = draw(view, "gram").axes[0].get_images()[0].get_array()
    n = len(view.seen.bias)
    cells = column(drawn["heat_map"], "rect", "value")[:n * n].reshape(n, n)
    assert np.array_equal(np.asarray(image), cells)
