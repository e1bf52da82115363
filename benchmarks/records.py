"""What a measured row says, its JSON file, and the tables of the README made from those files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

RESULTS = Path(__file__).parent / "results"
README = Path(__file__).parent / "README.md"
START, END = "<!-- measured: start -->", "<!-- measured: end -->"


class Chapter(NamedTuple):
    """The rows of one command.

    Attributes:
        title: the heading in the README. module: run by `python -m MODULE`.
        folder: where the JSON files are, below the folder of all results.
        rows: the names, in the order of the tables.
    """

    title: str
    module: str
    folder: str
    rows: tuple[str, ...]


SUPERPOSITION = Chapter(
    "Superposition",
    "benchmarks.superposition",
    "",
    ("5-2", "phase-2-1", "phase-3-2", "20-5", "200-20", "slider"),
)
MODULAR = Chapter(
    "Modular addition",
    "benchmarks.modular",
    "modular",
    (
        "step",
        "published",
        "fast",
        "live",
        "two-layer",
        "lottery",
        "eight-seeds",
        "certificates",
    ),
)
CHAPTERS = (SUPERPOSITION, MODULAR)


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


def at_most(statement: str, limit: float, measured: float) -> Bar:
    """A bar with an upper limit."""
    return Bar(statement, True, limit, measured)


def at_least(statement: str, limit: float, measured: float) -> Bar:
    """A bar with a lower limit."""
    return Bar(statement, False, limit, measured)


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
            repeat). The README shows three of them: `notes`, sentences; `tables`, each with a
            title, a header and rows; `baseline_cpu_seconds`.
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
    path.write_text(json.dumps(plain(content), indent=1) + "\n")
    return path


def announce(row: Row) -> bool:
    """Prints each bar of a row; whether all were reached."""
    print(f"{row.name}: {row.cpu_seconds:.4g} CPU s, compile {row.compile_seconds:.3g} CPU s")
    for bar in row.bars:
        sign, verdict = ("<=" if bar.at_most else ">="), ("ok" if bar.passed else "MISSED")
        print(f"  {bar.statement}: {bar.measured:.5g} ({sign} {bar.limit:g}) {verdict}", flush=True)
    return all(bar.passed for bar in row.bars)


def read(path: Path) -> Row:
    """The row that `write` wrote."""
    content = json.loads(path.read_text())
    return Row(**content | {"bars": tuple(Bar(**bar) for bar in content["bars"])})


def plain(value: Any) -> Any:
    """Arrays as lists, numbers to six digits, for a file that can be read and compared."""
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


def tables(chapter: Chapter, rows: list[Row]) -> str:
    """A chapter of the README: one table of bars, one of seconds, the facts, the machine."""
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
        command = f"`python -m {chapter.module} {row.name}`"
        seconds = f"{row.cpu_seconds:.3g} | {row.compile_seconds:.3g} | {theirs}"
        lines.append(f"| {row.name} | {row.work} | {seconds} | {command} |")
    for row in rows:
        lines += _cells(row) if "density" in row.facts else _details(row)
    machines = {json.dumps(row.machine, sort_keys=True): row.machine for row in rows}
    for machine in machines.values():
        lines += ["", "Machine: " + "; ".join(f"{k} {v}" for k, v in machine.items()) + "."]
    return "\n".join(lines)


def _details(row: Row) -> list[str]:
    """Tables and notes that a row brought along."""
    lines: list[str] = []
    for table in row.facts.get("tables", []):
        header = table["header"]
        lines += ["", f"{row.name}: {table['title']}.", "", f"| {' | '.join(header)} |"]
        lines.append("|---" * len(header) + "|")
        lines += [f"| {' | '.join(map(_shown, cells))} |" for cells in table["rows"]]
    if notes := row.facts.get("notes", []):
        lines += ["", f"{row.name}: {' '.join(notes)}"]
    return lines


def _shown(cell: Any) -> str:
    return f"{cell:.4g}" if isinstance(cell, float) else str(cell)


def _cells(row: Row) -> list[str]:
    """Losses by density and the notes, for the rows beside the baseline."""
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


def report(folder: Path = RESULTS, readme: Path = README) -> str:
    """The README's text, its measured part made anew from the JSON files present."""
    parts = []
    for chapter in CHAPTERS:
        paths = [folder / chapter.folder / f"{name}.json" for name in chapter.rows]
        rows = [read(path) for path in paths if path.exists()]
        if rows:
            parts.append(f"### {chapter.title}\n\n{tables(chapter, rows)}")
    before, rest = readme.read_text().split(START)
    after = rest.split(END)[1]
    return f"{before}{START}\n" + "\n\n".join(parts) + f"\n{END}{after}"
