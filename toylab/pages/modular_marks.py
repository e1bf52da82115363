"""The vocabulary of the modular-addition page's pictures, in Vega-Lite.

A picture is a spec and its data apart: while a training runs or its history is dragged through, the
spec stays the same and the browser moves the marks. A row of the data belongs to the layers that
are named in its field `part`. A key frequency has one colour in every picture.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from toylab.figures.palette import BLUE, GREEN, ORANGE, PURPLE, SKY, YELLOW
from toylab.pages.charts import THEME, Spec

__all__ = ["PAINT", "Picture", "Row", "across", "chart", "colours", "framed", "layer", "tip", "up"]

Row = dict[str, Any]
KEYS = (BLUE, ORANGE, GREEN, PURPLE, SKY, YELLOW)  # of the strongest frequencies
EDGE = 34  # pixels for the labels of a vertical axis, so that pictures do not jump
PAINT: Spec = {"field": "colour", "type": "nominal", "scale": None}


class Picture(NamedTuple):
    """A chart: `spec` depends on the training alone, `rows` on the moment that is shown."""

    spec: Spec
    rows: list[Row]

    @property
    def whole(self) -> Spec:
        """Spec and rows together, for `st.vega_lite_chart`."""
        names = dict.fromkeys(name for row in self.rows for name in row)
        columns = {name: [row.get(name) for row in self.rows] for name in names}
        return {**self.spec, "data": {"name": "rows"}, "datasets": {"rows": columns}}


def colours(keys: Iterable[int]) -> dict[int, str]:
    """The colour of each key frequency, strongest first; after six, that of the text."""
    return {k: KEYS[i] if i < len(KEYS) else THEME for i, k in enumerate(keys)}


def across(field: str, title: str, low: float, high: float, **axis: Any) -> Spec:
    """A number from low to high along the horizontal axis."""
    return {
        "field": field,
        "type": "quantitative",
        "scale": {"domain": [low, high], "nice": False},
        "axis": {"title": title, "grid": False, **axis},
    }


def up(field: str, scale: Spec, **axis: Any) -> Spec:
    """A number along the vertical axis, whose name is the title of the picture."""
    return {
        "field": field,
        "type": "quantitative",
        "scale": scale,
        "axis": {"title": None, "minExtent": EDGE, **axis},
    }


def tip(field: str, title: str = "", form: str = "") -> Spec:
    """A line of a tooltip."""
    return {"field": field, "title": title or field, **({"format": form} if form else {})}


def chart(description: str, height: int, layers: Sequence[Spec]) -> Spec:
    """Layers on each other, described in words for those who do not see them."""
    return framed({"description": description, "layer": list(layers)}, height)


def framed(spec: Spec, height: int) -> Spec:
    """As wide as its column; SVG, since a canvas knows no `currentColor`."""
    return {
        **spec,
        "height": height,
        "padding": {"left": 2, "right": 8, "top": 4, "bottom": 2},
        "usermeta": {"embedOptions": {"renderer": "svg", "actions": False}},
    }


def layer(part: str, kind: str, encoding: Spec, **mark: Any) -> Spec:
    """Marks for the rows of one part; the picture's description speaks for them."""
    return {
        "transform": [{"filter": f"datum.part === '{part}'"}],
        "mark": {"type": kind, "aria": False, **mark},
        "encoding": encoding,
    }
