"""Vega-Lite specs of a training: its curves, the frequencies in the logits, one pair's logits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from toylab.figures.palette import BLUE, GREEN, PURPLE, VERMILLION, rounded
from toylab.pages.charts import SMALL, THEME, Spec
from toylab.pages.modular_inside import Answer
from toylab.pages.modular_marks import (
    PAINT,
    Picture,
    Row,
    across,
    chart,
    colours,
    layer,
    tip,
    up,
)
from toylab.pages.modular_model import Moment, View

__all__ = ["accuracies", "losses", "outputs", "spectrum", "waves"]

HEIGHT, TALL = 230, 260  # pixels
CURVES = {
    "train": (THEME, [1, 0]),
    "test": (VERMILLION, [1, 0]),
    "restricted": (GREEN, [5, 3]),
    "excluded": (PURPLE, [2, 2]),
}
FLOOR = 1e-9  # of a loss on a logarithmic axis
NEAR = 10  # answers on either side of the right one whose waves are drawn
FINE = 6  # points of a wave between two answers
QUARTERS = (0, 0.25, 0.5, 0.75, 1)


def losses(
    moments: Sequence[Moment], n_steps: int, view: View | None = None, at: int | None = None
) -> Picture:
    """Losses over the training, on a logarithmic axis; circuit formation and a step behind them."""
    curves = {"train": [m.train_loss for m in moments], "test": [m.test_loss for m in moments]}
    if view is not None:
        progress = view.result.progress
        curves["restricted"] = np.asarray(progress.restricted_loss).tolist()
        curves["excluded"] = np.asarray(progress.excluded_loss).tolist()
    decades = [10.0**e for e in range(-9, 3)]
    y = up("value", {"type": "log", "nice": False}, format="~g", values=decades, labelOverlap=True)
    description = (
        "Curves of the loss over training steps, on a logarithmic axis: of the training pairs, of "
        "the test pairs, restricted and excluded."
    )
    rows = _curve_rows(moments, {name: np.maximum(ys, FLOOR) for name, ys in curves.items()})
    return Picture(_curves(description, tuple(CURVES), n_steps, y), rows + _behind(view, at))


def accuracies(
    moments: Sequence[Moment], n_steps: int, view: View | None = None, at: int | None = None
) -> Picture:
    """Accuracies over the training; circuit formation and a step behind them."""
    curves = {
        "train": np.array([m.train_accuracy for m in moments]),
        "test": np.array([m.test_accuracy for m in moments]),
    }
    y = up("value", {"domain": [0, 1]}, format="%", values=QUARTERS)
    description = (
        "Curves of the accuracy over training steps, of the training pairs and of the test pairs."
    )
    rows = _curve_rows(moments, curves)
    return Picture(_curves(description, tuple(curves), n_steps, y), rows + _behind(view, at))


def _curve_rows(moments: Sequence[Moment], curves: Mapping[str, np.ndarray]) -> list[Row]:
    return [
        {"part": "curve", "step": seen.step, "value": value, "curve": name}
        for name, values in curves.items()
        for seen, value in zip(moments, rounded(values).tolist(), strict=True)
    ]


def _behind(view: View | None, at: int | None) -> list[Row]:
    """The second phase, if it has two ends in this order, and the chosen step before the end."""
    rows: list[Row] = []
    if view is not None and 0 <= view.phases.memorised < view.phases.formed:
        ends = int(view.phases.memorised), int(view.phases.formed)
        rows.append({"part": "band", "step": ends[0], "until": ends[1]})
    if view is not None and at is not None and at < view.moments[-1].step:
        rows.append({"part": "now", "step": at})
    return rows


def _curves(description: str, names: Sequence[str], n_steps: int, y: Spec) -> Spec:
    x = across("step", "step", 0, n_steps, tickCount=4)
    paint, dash = (
        {
            "field": "curve",
            "type": "nominal",
            "scale": {"domain": names, "range": [CURVES[name][i] for name in names]},
        }
        for i in (0, 1)
    )
    paint["legend"] = {
        "title": None,
        "orient": "top",
        "symbolType": "stroke",
        "columns": 2,
        "columnPadding": 16,
        "rowPadding": 0,
        "offset": 4,
    }
    tooltip = [tip("curve"), tip("step"), tip("value", form=".3~g")]
    lines = {"x": x, "y": y, "color": paint, "strokeDash": dash}
    layers = (
        layer("band", "rect", {"x": x, "x2": {"field": "until"}}, color=THEME, opacity=0.09),
        layer("now", "rule", {"x": x}, color=THEME, strokeWidth=1.5),
        layer("curve", "line", lines, strokeWidth=2),
        layer("curve", "point", {"x": x, "y": y, "tooltip": tooltip}, size=60, opacity=0),
    )
    return chart(description, HEIGHT, layers)


def spectrum(now: Moment, view: View | None = None) -> Picture:
    """How much of the logits' variance is in each frequency; ticks where the training ends."""
    keys = () if view is None else view.keys
    K, colour, other = len(now.share), colours(keys), BLUE if view is None else THEME
    rows: list[Row] = [
        {"part": "bar", "k": k, "share": share, "colour": colour.get(k, other)}
        for k, share in enumerate(rounded(now.share).tolist(), start=1)
    ]
    moments = (now,) if view is None else view.moments
    rows += [
        {"part": "end", "k": k, "share": share, "name": str(k), "colour": colour[k]}
        for k, share in enumerate(rounded(moments[-1].share).tolist(), start=1)
        if k in keys
    ]
    largest = max(float(seen.share.max(initial=0.0)) for seen in moments)
    top = next((level for level in (0.5, 0.75) if 1.15 * largest <= level), 1.0)
    every = 5 if K < 30 else 10
    x = {
        "field": "k",
        "type": "ordinal",
        "scale": {"domain": list(range(1, K + 1))},
        "axis": {
            "title": "frequency k",
            "labelAngle": 0,
            "ticks": False,
            "values": [1, *range(every, K + 1, every)],
        },
    }
    y = up("share", {"domain": [0, top]}, format="%", values=QUARTERS)
    tooltip = [tip("k", "frequency"), tip("share", "share of variance", ".2%")]
    bar, end = {"x": x, "y": y, "color": PAINT, "tooltip": tooltip}, {"x": x, "y": y}
    layers = (
        layer("bar", "bar", bar),
        layer("end", "tick", {**end, "color": PAINT}, thickness=2),
        layer("end", "text", {**end, "text": {"field": "name"}}, **_label(-9)),
    )
    description = (
        "Bars: the share of the logits' variance that each frequency holds at the chosen step; "
        "ticks mark the end of the training."
    )
    return Picture(chart(description, HEIGHT, layers), rows)


def outputs(seen: Answer) -> Picture:
    """The logits of one pair, a bar for each possible answer; the right one marked."""
    named = dict.fromkeys((seen.right, seen.said))
    peak = max(float(seen.logits.max()), 0.0)
    rows: list[Row] = [
        {
            "part": "bar",
            "c": c,
            "logit": logit,
            "strong": 1 if c in named else 0.4,
            "colour": GREEN if c == seen.right else VERMILLION if c == seen.said else THEME,
        }
        for c, logit in enumerate(rounded(seen.logits).tolist())
    ]
    rows += [{"part": "mark", "c": c, "logit": peak, "name": str(c)} for c in named]
    x, y = across("c", "answer c", -1, len(seen.logits)), up("logit", {}, tickCount=5)
    strong = {"field": "strong", "type": "quantitative", "scale": None}
    tooltip = [tip("c", "answer"), tip("logit")]
    bar = {"x": x, "y": y, "color": PAINT, "opacity": strong, "tooltip": tooltip}
    layers = (
        layer("bar", "bar", bar),
        layer("mark", "text", {"x": x, "y": y, "text": {"field": "name"}}, **_label(-8)),
    )
    description = "Bars: the logit of each possible answer to the chosen pair of numbers."
    return Picture(chart(description, TALL, layers), rows)


def waves(seen: Answer, keys: Sequence[int]) -> Picture:
    """What each key frequency adds to the logits near the right answer, and their sum."""
    p, colour = len(seen.logits), colours(keys)
    away, near = np.linspace(-NEAR, NEAR, 2 * NEAR * FINE + 1), np.arange(-NEAR, NEAR + 1)
    turns = 2 * np.pi / p * np.array(keys)[:, None] * (seen.right + away)[None]
    lines = seen.size[:, None] * np.cos(turns + seen.phase[:, None])
    total = seen.waves.sum(0)[(seen.right + near) % p]
    drawn: list[tuple[str, str, str, np.ndarray, np.ndarray]] = [
        *(("wave", str(k), colour[k], away, line) for k, line in zip(keys, lines, strict=True)),
        ("sum", "sum", THEME, away, lines.sum(0)),
        ("dot", "sum", THEME, near, total),
    ]
    rows: list[Row] = [
        {"part": part, "k": name, "colour": paint, "s": s, "y": y}
        for part, name, paint, places, values in drawn
        for s, y in zip(places.round(3).tolist(), rounded(values).tolist(), strict=True)
    ]
    rows.append({"part": "right", "s": 0})
    x, y = across("s", "answer c − (a + b)", -NEAR, NEAR), up("y", {}, tickCount=5)
    place = {"x": x, "y": y}
    layers = (
        layer("right", "rule", {"x": x}, color=GREEN, strokeWidth=8, opacity=0.3),
        layer("wave", "line", {**place, "color": PAINT, "detail": {"field": "k"}}, strokeWidth=1.8),
        layer("sum", "line", place, color=THEME, strokeWidth=2.2),
        layer("dot", "circle", place, color=THEME, size=45, opacity=1),
    )
    description = (
        "Lines: what each key frequency adds to the logits of the answers near the right one, and "
        "their sum."
    )
    return Picture(chart(description, TALL, layers), rows)


def _label(above: int) -> Spec:
    return {"dy": above, "fontSize": SMALL + 1, "color": THEME}
