"""What a measured row says, its JSON file, and the table of the README made from those files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

RESULTS = Path(__file__).parent / "results"
README = Path(__file__).parent / "README.md"
START, END = "<!-- measured: start -->", "<!-- measured: end -->"


class Bar(NamedTuple):
    """One number to reach.

    Attributes:
        statement: what is measured.
        at_most: whether `limit` is an upper limit (otherwise a lower one).
        limit: the number to reach.
        measured: the number reached.
    """

    statement: str
    at_most: bool
    limit: float
    measured: float

    @property
    def passed(self) -> bool:
        """Whether the measured number keeps the limit; NaN does not."""
        return self.measured <= self.limit if self.at_most else self.measured >= self.limit


class Row(NamedTuple):
    """One row of the table.

    Attributes:
        name: as on the command line.
        work: what was computed, in words.
        bars: the numbers to reach.
        cpu_seconds: median CPU seconds of toylab, compiled.
        compile_seconds: CPU seconds that the first call took above that.
        machine: see `timing.machine`.
        facts: the numbers behind the bars (densities, losses of both sides, seconds of each
            repeat).
    """

    name: str
    work: str
    bars: tuple[Bar, ...]
    cpu_seconds: float
    compile_seconds: float
    machine: dict[str, str]
    facts: dict[str, Any]


def write(row: Row, folder: Path = RESULTS) -> Path:
    """Writes NAME.json into `folder`, numbers to six digits, and returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{row.name}.json"
    content = row._asdict() | {"bars": [bar._asdict() for bar in row.bars]}
    path.write_text(json.dumps(_plain(content), indent=1) + "\n")
    return path


def read(path: Path) -> Row:
    """The row that `write` wrote."""
    content = json.loads(path.read_text())
    return Row(**content | {"bars": tuple(Bar(**bar) for bar in content["bars"])})


def _plain(value: Any) -> Any:
    """Arrays as lists, numbers to six digits, for a file that can be read and compared."""
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


def tables(rows: list[Row]) -> str:
    """The README's generated part: one table of bars, one of seconds, the facts, the machine."""
    lines = ["| row | measured quantity | bar | measured | |", "|---|---|---|---|---|"]
    for row in rows:
        for bar in row.bars:
            sign = "≤" if bar.at_most else "≥"
            verdict = "reached" if bar.passed else "**missed**"
            numbers = f"{sign} {bar.limit:g} | {bar.measured:.4g} | {verdict}"
            lines.append(f"| {row.name} | {bar.statement} | {numbers} |")
    lines += ["", "| row | work | toylab, CPU s | compile, CPU s | baseline, CPU s | command |"]
    lines.append("|---|---|---|---|---|---|")
    for row in rows:
        baseline = row.facts.get("baseline_cpu_seconds")
        theirs = f"{baseline:.4g}" if baseline else "-"
        command = f"`python -m benchmarks.superposition {row.name}`"
        seconds = f"{row.cpu_seconds:.3g} | {row.compile_seconds:.3g} | {theirs}"
        lines.append(f"| {row.name} | {row.work} | {seconds} | {command} |")
    for row in rows:
        lines += _cells(row)
    machines = {json.dumps(row.machine, sort_keys=True): row.machine for row in rows}
    for machine in machines.values():
        lines += ["", "Machine: " + "; ".join(f"{k} {v}" for k, v in machine.items()) + "."]
    return "\n".join(lines)


def _cells(row: Row) -> list[str]:
    """Losses by density and the notes, for the rows beside the baseline."""
    if "density" not in row.facts:
        return []
    facts = row.facts
    title = f"{row.name}: loss by density, {facts['scorer']}."
    lines = ["", title, "", "| density | toylab | baseline | ratio | error of the ratio |"]
    lines.append("|---|---|---|---|---|")
    columns = zip(
        facts["density"],
        facts["ours"],
        facts["theirs"],
        facts["ratio"],
        facts["ratio_error"],
        strict=True,
    )
    for density, ours, theirs, ratio, error in columns:
        shown = f"± {error:.4f}" if error else "exact"
        lines.append(f"| {density:.3f} | {ours:.6f} | {theirs:.6f} | {ratio:.4f} | {shown} |")
    return [*lines, "", *facts["notes"]]


def report(names: list[str], folder: Path = RESULTS, readme: Path = README) -> str:
    """The README's text, its measured part made anew from the JSON files present."""
    paths = [folder / f"{name}.json" for name in names]
    body = tables([read(path) for path in paths if path.exists()])
    before, rest = readme.read_text().split(START)
    after = rest.split(END)[1]
    return f"{before}{START}\n{body}\n{END}{after}"
