"""The map of a sweep as a Vega-Lite spec: a cell for each model, its colour one measure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from toylab.figures.palette import SEQUENTIAL, rounded
from toylab.pages.charts import THEME, Spec
from toylab.pages.modular_marks import Picture, framed, tip
from toylab.pages.sweep_model import AXES, MEASURES, Map, Spot

__all__ = ["PICK", "heat"]

HEIGHT = 420
PICK = "cell"


def heat(found: Map, spots: Sequence[Spot], measure: str) -> Picture:
    """Every model so far; those to come leave their place empty.

    Args:
        found: the map. spots: its models so far. measure: a key of `MEASURES`.
    """
    (up, rows), (across, columns) = found.plan.axes
    shown = MEASURES[measure]

    def finite(spot: Spot) -> bool:
        return bool(np.isfinite(spot.values[measure]))  # JSON has no infinity

    data = [
        {
            "across": f"{spot.across:g}",
            "up": f"{spot.up:g}",
            "value": float(rounded(spot.values[measure])) if finite(spot) else None,
            "shape": spot.shape,
        }
        for spot in spots
    ]
    values = [row["value"] for row in data if row["value"] is not None]
    top = max(values, default=1.0) or 1.0
    description = (
        f"Map of {shown.label.lower()}, {len(columns)} values of {AXES[across].lower()} across, "
        f"{len(rows)} of {AXES[up].lower()} up; {len(data)} of {found.total} models are there"
        + (f", from {min(values):.3g} to {max(values):.3g}." if values else ".")
    )
    spec = framed({"description": description, **_cells(across, up, columns, rows)}, HEIGHT)
    spec["encoding"]["color"] = {
        "field": "value",
        "type": "quantitative",
        "scale": {"scheme": SEQUENTIAL, "domain": [0, top]},
        "legend": {"title": shown.label, "orient": "top", "gradientLength": 200,
                   "gradientThickness": 10, "format": ".3~g",
                   "values": [0, round(top / 2, 4), round(top, 4)]},
    }  # fmt: skip
    spec["encoding"]["tooltip"] = [
        tip("across", AXES[across]),
        tip("up", AXES[up]),
        tip("value", shown.label, ".4~g"),
        tip("shape", "Shape"),
    ]
    return Picture(spec, data)


def _cells(across: str, up: str, columns: Sequence[Any], rows: Sequence[Any]) -> Spec:
    """Rectangles on two axes, a click on which picks one."""
    names = [f"{value:g}" for value in columns]
    return {
        "params": [{"name": PICK, "select": {"type": "point", "fields": ["across", "up"]}}],
        "mark": {"type": "rect", "cursor": "pointer", "stroke": THEME},
        "encoding": {
            "x": {
                "field": "across",
                "type": "ordinal",
                "scale": {"domain": names, "padding": 0.03},
                "axis": {"title": AXES[across], "labelAngle": 0, "labelOverlap": "greedy"},
            },
            "y": {
                "field": "up",
                "type": "ordinal",
                "scale": {"domain": [f"{value:g}" for value in reversed(rows)], "padding": 0.03},
                "axis": {"title": AXES[up]},
            },
            "strokeWidth": {"condition": {"param": PICK, "empty": False, "value": 2}, "value": 0},
        },
    }
