"""The gallery: one HTML page that holds its figures, follows the theme and fits a phone."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, NamedTuple

import numpy as np

from toylab.figures.entry import Entry, Outcome
from toylab.figures.palette import INK, MUTED, PAPER, RULE

__all__ = ["Plate", "gallery_page", "inline_svg"]

MAX_LISTED = 6


class Plate(NamedTuple):
    """One figure of the page.

    Attributes:
        entry: what it is.
        outcome: how its statement fared.
        svg: the figure as `save_figure` wrote it.
        command: what makes this one figure.
        parameters: of the experiment, as plain JSON values.
    """

    entry: Entry
    outcome: Outcome
    svg: str
    command: str
    parameters: Any


STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --muted: #5b6470; --rule: #cfd4da;
  --paper: #ffffff; --page: #f4f5f7; --pass: #006b4e; --fail: #b03a00; --link: #00588a; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8eaed; --muted: #a3abb6; --rule: #3b424b;
  --paper: #1a1d21; --page: #111315; --pass: #5cd6ad; --fail: #ff9a5c; --link: #7cc4f2; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 46rem; padding: 1.5rem 1rem 4rem; background: var(--page);
  color: var(--ink); font: 1rem/1.55 system-ui, sans-serif; overflow-wrap: break-word; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .25rem; }
h2 { font-size: 1.2rem; line-height: 1.3; margin: 0 0 .5rem; }
h3 { font-size: 1.3rem; margin: 2.5rem 0 1rem; }
a { color: var(--link); }
nav ul { list-style: none; padding: 0; }
nav li { margin: .2rem 0; }
article { background: var(--paper); border: 1px solid var(--rule); border-radius: .5rem;
  padding: 1rem; margin: 1.5rem 0; }
figure { margin: 0; }
figure svg { display: block; width: 100%; height: auto; }
figcaption { margin: .75rem 0; }
.pass { color: var(--pass); } .fail { color: var(--fail); }
.mark { font-weight: 700; }
.statement { border-left: .25rem solid currentColor; padding-left: .75rem; margin: .75rem 0; }
.statement span.text { color: var(--ink); }
.quiet { color: var(--muted); font-size: .875rem; margin: .4rem 0; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .875rem; width: 100%; }
th, td { text-align: left; padding: .25rem .6rem .25rem 0; border-bottom: 1px solid var(--rule);
  vertical-align: top; }
td.number { font-variant-numeric: tabular-nums; }
pre { overflow-x: auto; margin: .5rem 0; padding: .5rem .75rem; background: var(--page);
  border-radius: .3rem; }
code { font: .875rem/1.4 ui-monospace, monospace; }
summary { cursor: pointer; }
@media (max-width: 30rem) { body { padding: 1rem .4rem 3rem; } article { padding: .75rem .5rem; }
  th, td { padding-right: .4rem; } }
"""


def gallery_page(plates: Sequence[Plate]) -> str:
    """The page as HTML: a summary, then each figure with all that belongs to it.

    It holds every picture as inline SVG, loads nothing, and depends on nothing but the plates.
    Marks are words and signs, not only colours.
    """
    holding = sum(plate.outcome.holds for plate in plates)
    items = "\n".join(
        f'<li><span class="{_class(p)}" aria-label="{_word(p)}">{_sign(p)}</span> '
        f'<a href="#{escape(p.entry.id)}">{escape(p.entry.title)}</a></li>' for p in plates)
    chapters = {plate.entry.chapter: None for plate in plates}
    parts = "\n".join(
        f"<section><h3>{escape(chapter.capitalize())}</h3>\n" + "\n".join(
            _article(p) for p in plates if p.entry.chapter == chapter) + "</section>"
        for chapter in chapters)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>toylab: the book of figures</title>
<style>{STYLE}</style>
</head>
<body>
<header>
<h1>The book of figures</h1>
<p>{holding} of {len(plates)} statements hold.</p>
</header>
<nav aria-label="Figures"><ul>
{items}
</ul></nav>
<main>
{parts}
</main>
</body>
</html>
"""


def _class(plate: Plate) -> str:
    return "pass mark" if plate.outcome.holds else "fail mark"


def _sign(plate: Plate) -> str:
    return "✓" if plate.outcome.holds else "✗"


def _word(plate: Plate) -> str:
    return "holds" if plate.outcome.holds else "fails"


def _article(plate: Plate) -> str:
    entry, outcome = plate.entry, plate.outcome
    kind = "pass" if outcome.holds else "fail"
    links = " · ".join(f'<a href="{escape(file.name)}">{escape(file.suffix[1:])}</a>'
                       for file in outcome.files)
    return f"""<article id="{escape(entry.id)}">
<h2>{escape(entry.title)}</h2>
<figure>
{inline_svg(plate.svg, entry.id)}
<figcaption>{escape(entry.caption)}
<span class="quiet">Source: {escape(entry.source)}.</span></figcaption>
</figure>
<div class="statement {kind}"><span class="mark">{_sign(plate)} {_word(plate)}, \
{outcome.rate}:</span>
<span class="text">{escape(entry.statement)}</span></div>
<div class="scroll"><table>
<thead><tr><th scope="col">Measured</th><th scope="col">allowed</th><th scope="col">median</th>\
<th scope="col">range</th></tr></thead>
<tbody>
{_rows(plate)}
</tbody></table></div>
<details><summary class="quiet">Parameters</summary><p class="quiet">\
<code>{escape(_flat(plate.parameters))}</code></p></details>
<pre tabindex="0"><code>{escape(plate.command)}</code></pre>
<p class="quiet">Files: {links}</p>
</article>"""


def _rows(plate: Plate) -> str:
    rows = []
    for check, column in zip(plate.entry.checks, plate.outcome.values.T, strict=True):
        kind = "" if all(check.holds(v) for v in column) else ' class="fail"'
        low, middle, high = np.min(column), np.median(column), np.max(column)
        rows.append(f'<tr{kind}><td>{escape(check.name)}</td>'
                    f'<td class="number">{check.lower:g} to {check.upper:g}</td>'
                    f'<td class="number">{middle:.4g}</td>'
                    f'<td class="number">{low:.4g} to {high:.4g}</td></tr>')
    return "\n".join(rows)


def _flat(value: Any) -> str:
    """Parameters in one line; a long list by its ends and length."""
    if isinstance(value, Mapping):
        return " ".join(f"{name}={_flat(item)}" for name, item in value.items())
    if isinstance(value, list):
        shown = [_flat(item) for item in value]
        if len(shown) > MAX_LISTED:
            shown = [*shown[:2], "…", shown[-1]]
            return f"[{', '.join(shown)}; {len(value)} values]"
        return f"[{', '.join(shown)}]"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def inline_svg(svg: str, prefix: str) -> str:
    """An SVG file as an element of a page: its colours follow the theme, its ids carry `prefix`.

    The text alternative moves from <title> and <desc>, which browsers show as a tooltip, to
    aria-label.
    """
    body = svg[svg.index("<svg "):]
    spoken = re.search(r"<title>(.*?)</title><desc>(.*?)</desc>", body, re.DOTALL)
    label = f"{spoken[1]}. {spoken[2]}" if spoken else prefix
    body = re.sub(r"<title>.*?</desc>|<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = re.sub(r' (width|height)="[\d.]+pt"', "", body, count=2)
    body = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{prefix}-", body)
    for colour, name in ((INK, "ink"), (MUTED, "muted"), (RULE, "rule"), (PAPER, "paper")):
        body = body.replace(colour.lower(), f"var(--{name})")
    spoken_label = label.replace('"', "&quot;")
    return body.replace('role="img"', f'role="img" aria-label="{spoken_label}"', 1)
