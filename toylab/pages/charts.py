"""Vega-Lite specs of one model's pictures: a portrait in, plain JSON out, drawn by the browser.

Marks that must follow the theme are painted in `currentColor`, the text colour around the picture;
all others have the colours of the printed figures. Numbers are rounded as there. Every spec carries
a description in words for readers who do not see it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from toylab.analysis.portrait import FRACTIONS, Portrait
from toylab.figures.palette import BLUE, ORANGE, SEQUENTIAL, VERMILLION, rounded

__all__ = ["coherence", "dimensionality", "geometry", "heat_map", "interference", "tips"]

Spec = dict[str, Any]
THEME = "currentColor"
MUTE: Spec = {"aria": False}  # a reader hears of each feature once, from its point, cell or bar
SQUARE, BARS = 340, 230  # heights in pixels
MAX_WRITTEN = 6  # features up to which the heat map writes its numbers
MAX_NUMBERED = 16  # features up to which the tips of the vectors are numbered
SMALL = 12  # pixels, of text inside a picture


def geometry(seen: Portrait, importances: ArrayLike) -> Spec:
    """The features as vectors from the origin, their neighbours joined, beside the unit circle.

    Args:
        seen: the model.
        importances: [n]; the points' colour unless they are all equal.
    """
    dropped = ", ".join(str(i + 1) for i in np.flatnonzero(~seen.represented))
    description = (f"{len(seen.norm)} feature vectors, shape: {seen.polytope.name}. Lengths "
                   f"{_listed(seen.norm)}." + (f" Dropped: {dropped}." if dropped else ""))
    x, y, depth = rounded(seen.points).T
    reach = 1.3 * max(1.0, float(np.abs(seen.points).max(initial=0.0)))
    weight = rounded(importances)
    vectors = [{"feature": i + 1, "x": x[i], "y": y[i], "depth": depth[i], "norm": norm,
                "importance": weight[i], "size": round(110 * (1 + 0.3 * float(depth[i])), 1)}
               for i, norm in enumerate(rounded(seen.norm))]
    hull = [{"x": x[i], "y": y[i], "x2": x[j], "y2": y[j], "pair": f"{i + 1} and {j + 1}"}
            for i, j in seen.edges]
    turn = np.linspace(0, 2 * np.pi, 73)
    circle = [{"x": u, "y": v, "step": k} for k, (u, v) in enumerate(
        zip(rounded(np.cos(turn)), rounded(np.sin(turn)), strict=True))]
    along = {"x": _span("x", "width", reach), "y": _span("y", "height", reach)}
    to = {"x2": {"field": "x2"}, "y2": {"field": "y2"}}
    colour = ({"value": BLUE} if np.ptp(weight) == 0 else {
        "field": "importance", "type": "quantitative",
        "scale": {"scheme": SEQUENTIAL, "domain": [float(weight.min()), float(weight.max())]},
        "legend": {"title": "importance", "titleOrient": "left", "orient": "bottom",
                   "gradientLength": 160, "gradientThickness": 10}})
    return _chart(description, SQUARE, [
        _layer(circle, {"type": "line", "color": THEME, "opacity": 0.25, "strokeWidth": 1, **MUTE},
               {**along, "order": {"field": "step"}}),
        _layer(hull, {"type": "rule", "color": THEME, "opacity": 0.45, "strokeDash": [4, 3],
                      **MUTE},
               {**along, **to}),
        _layer([{**vector, "x2": 0, "y2": 0} for vector in vectors],
               {"type": "rule", "color": THEME, "opacity": 0.75, "strokeWidth": 1.5, **MUTE},
               {**along, **to}),
        _layer(vectors, {"type": "point", "filled": True, "opacity": 1, "stroke": THEME,
                         "strokeWidth": 1},
               {**along, "color": colour, "size": {"field": "size", "type": "quantitative",
                                                   "scale": None},
                "tooltip": _tooltip("feature", "norm", "importance")}),
        _layer(tips(seen, reach),
               {"type": "text", "color": THEME, "fontSize": SMALL + 1, **MUTE},
               {**along, "text": {"field": "names"}}),
    ])


def tips(seen: Portrait, reach: float) -> list[Spec]:
    """Where the numbers of the features stand: outside the tips, those of one place together."""
    points = seen.points[:, :2]
    on_a_line = not points[:, 1].any()
    left = [i for i, point in enumerate(points) if np.linalg.norm(point) > 0.15 * reach]
    found: list[Spec] = []
    while left and len(points) <= MAX_NUMBERED:
        here = points[left[0]]
        together = [i for i in left if np.linalg.norm(points[i] - here) < 0.09 * reach]
        left = [i for i in left if i not in together]
        away = here / max(float(np.linalg.norm(here)), 1e-9)
        spot = rounded(here + 0.13 * reach * (np.array([0.0, 1.0]) if on_a_line else away))
        found.append({"x": spot[0], "y": spot[1], "names": ", ".join(str(i + 1) for i in together)})
    return found


def heat_map(seen: Portrait) -> Spec:
    """WᵀW, output by input, and the bias as a column of its own; zero is transparent."""
    n, others = len(seen.bias), seen.gram - np.diag(np.diag(seen.gram))
    description = (
        f"Heat map of WᵀW for {n} features. Diagonal {_listed(np.diag(seen.gram))}; other entries "
        f"from {others.min():.2f} to {others.max():.2f}. Bias {_listed(seen.bias)}.")
    products, bias = rounded(seen.gram), rounded(seen.bias)
    cells = [{"output": i + 1, "input": str(j + 1), "value": products[i, j]}
             for i in range(n) for j in range(n)]
    cells += [{"output": i + 1, "input": "b", "value": bias[i]} for i in range(n)]
    top = max(1.0, float(np.abs(products).max()), float(np.abs(bias).max()))
    inputs = [*(str(j + 1) for j in range(n)), " ", "b"]
    place = {
        "x": {"field": "input", "type": "ordinal", "scale": {"domain": inputs, "padding": 0.04},
              "axis": {"title": "input feature", "orient": "top", "labelAngle": 0}},
        "y": {"field": "output", "type": "ordinal", "scale": {"padding": 0.04},
              "axis": {"title": "output feature"}},
    }
    colour = {"field": "value", "type": "quantitative",
              "scale": {"domain": [-top, 0, 0, top], "range": _through_transparent()},
              "legend": {"title": None, "orient": "bottom", "format": ".1f", "tickCount": 5,
                         "gradientLength": 200, "gradientThickness": 10}}
    layers = [_layer(cells, {"type": "rect", "stroke": THEME, "strokeOpacity": 0.12},
                     {**place, "color": colour, "tooltip": _tooltip("output", "input", "value")})]
    if n <= MAX_WRITTEN:
        strong = {"test": f"abs(datum.value) > {0.6 * top:.4g}", "value": "white"}
        layers.append(_layer(cells, {"type": "text", "fontSize": SMALL, **MUTE},
                             {**place, "text": {"field": "value", "type": "quantitative",
                                                "format": ".2f"},
                              "color": {"condition": strong, "value": THEME}}))
    return _chart(description, SQUARE, layers)


def interference(seen: Portrait) -> Spec:
    """A bar for each feature, and the least that their root mean square can be."""
    description = (f"Bars, interference of each feature: {_listed(seen.interference)}. Line: lower "
                   f"bound of their root mean square, {seen.interference_floor:.3g}.")
    return _bars(seen, "interference", seen.interference, seen.interference_floor, description)


def coherence(seen: Portrait) -> Spec:
    """The largest |cos| of each feature with another, and the least that their maximum can be."""
    description = (f"Bars, largest |cos| of each feature with another: {_listed(seen.coherence)}. "
                   f"Line: Welch bound, {seen.welch:.3g}.")
    return _bars(seen, "|cos|", seen.coherence, seen.welch, description)


def dimensionality(seen: Portrait) -> Spec:
    """The share of a dimension that each feature has; grid lines at the regular arrangements."""
    description = (f"Bars, dimensionality of each feature: {_listed(seen.dimensionality)}. Lines "
                   "at 2/5, 1/2, 2/3, 3/4 and 1.")
    shown = [(value, text) for value, text, _ in FRACTIONS if value != 3 / 8]
    label = " : ".join(f"datum.value == {value} ? '{text}'" for value, text in shown)
    axis = {"title": None, "values": [value for value, _ in shown], "labelExpr": f"{label} : ''",
            "labelOverlap": False, "gridColor": ORANGE, "gridOpacity": 1, "zindex": 1}
    spec = _bars(seen, "dimensionality", seen.dimensionality, None, description)
    for layer in spec["layer"]:
        layer["encoding"]["y"].update(axis=axis, scale={"domain": [0, 1.05]})
    return spec


def _bars(seen: Portrait, name: str, values: ArrayLike, bound: float | None,
          description: str) -> Spec:
    numbers = rounded(values)
    rows = [{"feature": i + 1, name: number, "represented": bool(kept)}
            for i, (number, kept) in enumerate(zip(numbers, seen.represented, strict=True))]
    top = 1.12 * max(0.9, bound or 0.0, float(numbers.max(initial=0.0)))
    y = {"field": name, "type": "quantitative", "scale": {"domain": [0, round(top, 3)]},
         "axis": {"title": None, "tickCount": 5}}
    x = {"field": "feature", "type": "ordinal", "axis": {"title": "feature", "labelAngle": 0}}
    faded = {"condition": {"test": "datum.represented", "value": 1}, "value": 0.35}
    layers = [_layer(rows, {"type": "bar", "color": BLUE},
                     {"x": x, "y": y, "opacity": faded, "tooltip": _tooltip("feature", name)})]
    if bound is not None:
        line = {"type": "rule", "color": VERMILLION, "strokeWidth": 2, "strokeDash": [6, 4]}
        layers.append(_layer([{name: float(rounded(bound))}], line,
                             {"y": y, "tooltip": _tooltip(name)}))
    return _chart(description, BARS, layers)


def _chart(description: str, height: int, layers: list[Spec]) -> Spec:
    """A picture as wide as its column; SVG, since a canvas knows no `currentColor`."""
    drawn = [layer for layer in layers if layer["data"]["values"]]  # Vega warns of empty ones
    return {"description": description, "height": height, "layer": drawn,
            "padding": {"left": 2, "right": 2, "top": 4, "bottom": 2},
            "usermeta": {"embedOptions": {"renderer": "svg", "actions": False}}}


def _layer(rows: list[Spec], mark: Spec, encoding: Spec) -> Spec:
    plain = [{key: value.item() if isinstance(value, np.generic) else value
              for key, value in row.items()} for row in rows]
    return {"data": {"values": plain}, "mark": mark,
            "encoding": {channel: dict(value) if isinstance(value, dict) else value
                         for channel, value in encoding.items()}}


def _span(field: str, side: str, reach: float) -> Spec:
    """A position without an axis, at the same scale across and up whatever the picture's shape."""
    half = f"{reach:.4g} * {side} / min(width, height)"
    return {"field": field, "type": "quantitative", "axis": None,
            "scale": {"domainMin": {"expr": f"-{half}"}, "domainMax": {"expr": half},
                      "nice": False, "zero": False}}


def _tooltip(*fields: str) -> list[Spec]:
    return [{"field": field, "format": ".4~g"} if field not in ("feature", "output", "input")
            else {"field": field} for field in fields]


def _listed(values: ArrayLike) -> str:
    return ", ".join(f"{value:.2f}" for value in np.asarray(values))


def _through_transparent() -> list[str]:
    """From the colour of -1 through nothing to the colour of +1."""
    return [VERMILLION, f"{_rgb(VERMILLION)}, 0)", f"{_rgb(BLUE)}, 0)", BLUE]


def _rgb(colour: str) -> str:
    red, green, blue = (int(colour[k:k + 2], 16) for k in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}"
