"""Vega-Lite specs of the neurons: all of them, and what one of them reads and writes."""

from __future__ import annotations

import base64
import struct
import zlib

import numpy as np

from toylab.figures.palette import BLUE, rounded
from toylab.pages.charts import THEME
from toylab.pages.modular_inside import Neuron, Neurons
from toylab.pages.modular_marks import (
    PAINT,
    Picture,
    Row,
    across,
    chart,
    colours,
    framed,
    layer,
    tip,
    up,
)
from toylab.pages.modular_model import View

__all__ = ["activations", "neuron_strip", "wave_in", "wave_out"]

SQUARE, WAVE = 360, 125  # heights in pixels
FINE = 6  # points of a wave between two numbers


def neuron_strip(view: View, neurons: Neurons, chosen: int) -> Picture:
    """Every neuron as a dot: its frequency across, how much of it that explains up."""
    colour, K = colours(view.keys), (view.p - 1) // 2
    rows: list[Row] = [
        {
            "neuron": m,
            "frequency": int(k),
            "share": share,
            "x": round(int(k) + 0.7 * (0.618 * m % 1 - 0.5), 3),  # apart from others of its kind
            "colour": colour.get(int(k), THEME),
            "chosen": int(m == chosen),
        }
        for m, (k, share) in enumerate(
            zip(neurons.frequency, rounded(neurons.share).tolist(), strict=True)
        )
    ]
    rows.sort(key=lambda row: row["chosen"])  # the last is drawn on top
    spec = {
        "description": (
            "A dot for each neuron: its frequency across, the share of its variance that this "
            "frequency explains up. A click chooses a neuron."
        ),
        "mark": {"type": "circle", "cursor": "pointer", "aria": False},
        "params": [
            {
                "name": "pick",
                "select": {
                    "type": "point",
                    "fields": ["neuron"],
                    "nearest": True,
                    "toggle": False,
                    "clear": False,
                },
            }
        ],
        "encoding": {
            "x": across("x", "frequency k", -0.5, K + 0.5, tickMinStep=1),
            "y": up("share", {"domain": [0, 1.02]}, format="%", values=[0, 0.25, 0.5, 0.85, 1]),
            "color": PAINT,
            "size": _if_chosen(190, 34),
            "opacity": _if_chosen(1, 0.5),
            "stroke": _if_chosen(THEME, None),
            "strokeWidth": _if_chosen(2.5, 0),
            "tooltip": [tip("neuron"), tip("frequency"), tip("share", form=".1%")],
        },
    }
    return Picture(framed(spec, SQUARE), rows)


def _if_chosen(value: object, otherwise: object) -> dict[str, object]:
    return {"condition": {"test": "datum.chosen === 1", "value": value}, "value": otherwise}


def activations(seen: Neuron, ordered: bool) -> Picture:
    """A neuron on all pairs: a across, b up, the more colour the more active."""
    p, k = len(seen.table), _order(seen, ordered)
    places, table = k * np.arange(p) % p, np.empty_like(seen.table)
    table[np.ix_(places, places)] = seen.table
    corner = {
        axis: across(axis, _named(number, k, p), -0.5, p - 0.5, tickCount=5, tickMinStep=1)
        for axis, number in (("x", "a"), ("y", "b"))
    }
    image = {"x": {"value": 0}, "y": {"value": 0}, "url": {"field": "url", "type": "nominal"}}
    size = {"width": {"expr": "width"}, "height": {"expr": "height"}, "aspect": False}
    layers = (
        layer("image", "image", image, **size, align="left", baseline="top", smooth=False),
        layer("corner", "point", corner, opacity=0),
    )
    description = "Heat map of the chosen neuron's activation for every pair, a across and b up."
    rows: list[Row] = [{"part": "image", "url": _png(table)}, {"part": "corner", "x": 0, "y": 0}]
    return Picture(chart(description, SQUARE, layers), rows)


def wave_in(seen: Neuron, colour: str, ordered: bool) -> Picture:
    """A neuron's mean activation for each a (dots), and the wave of its frequency (line)."""
    return _wave(seen, seen.reads[0], 0, "a", colour, ordered)


def wave_out(seen: Neuron, colour: str, ordered: bool) -> Picture:
    """A neuron's weight on each logit (dots), and the wave of its frequency (line)."""
    return _wave(seen, seen.writes, 2, "c", colour, ordered)


def _wave(
    seen: Neuron, values: np.ndarray, which: int, number: str, colour: str, ordered: bool
) -> Picture:
    p, k = len(values), _order(seen, ordered)
    places = np.linspace(0, p - 1, FINE * (p - 1) + 1)
    turns = 2 * np.pi / p * places * (seen.frequency if k == 1 else 1)
    wave = values.mean() + seen.size[which] * np.cos(turns + seen.phase[which])
    rows: list[Row] = [
        {"part": "line", "x": x, "y": y, "colour": colour}
        for x, y in zip(places.round(3).tolist(), rounded(wave).tolist(), strict=True)
    ]
    rows += [
        {"part": "dot", "x": k * i % p, "y": y, "number": i}
        for i, y in enumerate(rounded(values).tolist())
    ]
    y = up("y", {"zero": False}, tickCount=3, format="~g")
    place = {"x": across("x", _named(number, k, p), 0, p - 1), "y": y}
    tooltip = [tip("number", number), tip("y", "value", ".3~g")]
    layers = (
        layer("line", "line", {**place, "color": PAINT}, strokeWidth=2),
        layer("dot", "circle", {**place, "tooltip": tooltip}, size=28, color=THEME, opacity=0.9),
    )
    what = {"a": "mean activation for each number a", "c": "weight on the logit of each answer c"}
    return Picture(chart(f"The chosen neuron's {what[number]}, and its wave.", WAVE, layers), rows)


def _order(seen: Neuron, ordered: bool) -> int:
    """The k by whose multiples the numbers are placed: a stands at k a mod p."""
    return seen.frequency if ordered and seen.frequency else 1


def _named(number: str, k: int, p: int) -> str:
    return number if k == 1 else f"{k} {number} mod {p}"


def _png(table: np.ndarray) -> str:
    """A table [a, b] >= 0 as a picture, b upwards: the palette's blue, clear where it is 0."""
    levels = np.rint(255 * table / max(float(table.max()), 1e-30)).astype(np.uint8)
    pixels = np.zeros((*levels.T.shape, 4), np.uint8)
    pixels[..., :3] = [int(BLUE[i : i + 2], 16) for i in (1, 3, 5)]
    pixels[..., 3] = levels.T[::-1]
    lines = b"".join(b"\0" + line.tobytes() for line in pixels)
    head = struct.pack(">IIBBBBB", *table.shape, 8, 6, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(lines)), (b"IEND", b""))
    file = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )
    return "data:image/png;base64," + base64.b64encode(file).decode()
