"""The book of figures: every figure with the statement that it must show, made by one command.

A chapter is a module with a tuple `ENTRIES`; adding it to `BOOK` is all it takes. Running an entry
computes its data for each seed, measures the statement on all of them, draws the first, and writes
the picture as PNG, SVG and PDF, the data as npz, and the measured numbers as CSV. A statement that
fails is marked as failed in the gallery and in the outcome; the figure is made all the same.
"""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Callable, Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from toylab.config import Config, did_you_mean
from toylab.errors import ConfigError, shown
from toylab.figures import modular_book, superposition_book
from toylab.figures.entry import Entry, Outcome
from toylab.figures.gallery import Plate, gallery_page
from toylab.figures.style import read_metadata, save_figure

__all__ = ["BOOK", "parameters", "read_metadata", "run_book", "select"]

BOOK: tuple[Entry, ...] = (*superposition_book.ENTRIES, *modular_book.ENTRIES)


def select(names: Sequence[str] = (), quick: bool = False,
           book: Sequence[Entry] = BOOK) -> tuple[Entry, ...]:
    """The entries that `names` ask for, each once, in the order of the book.

    Args:
        names: chapters and ids; none means the whole book.
        quick: leave out what is not in the core set, except entries named by their id.
        book: the entries to choose from.

    Raises:
        ConfigError: for a name that is neither, with the nearest one that is.
    """
    chapters, ids = {e.chapter: None for e in book}, {e.id: None for e in book}
    for name in names:
        if name not in chapters and name not in ids:
            raise ConfigError(
                f"figure={shown(name)}: {did_you_mean(name, [*chapters, *ids])}must be a chapter "
                f"({', '.join(chapters)}) or a figure ({', '.join(ids)})")
    return tuple(entry for entry in book if entry.id in names or (
        (not names or entry.chapter in names) and (entry.quick or not quick)))


def run_book(selection: Sequence[str] = (), out: str | Path = "book", quick: bool = False,
             progress: Callable[[int, int], None] | None = None,
             book: Sequence[Entry] = BOOK) -> list[Outcome]:
    """Make the selected figures in the folder `out`, with `index.html` and `book.csv`.

    Args:
        selection: chapters and ids; none means the whole book.
        out: created when it does not exist; files of the same name are replaced.
        quick: the core set only.
        progress: called with (seeds done, seeds in all) after each seed of each entry.
        book: the entries to choose from.

    Returns:
        One outcome for each entry; the book is sound when all of them hold.

    Raises:
        ConfigError: for an unknown name, before anything is computed.
    """
    entries, folder = select(selection, quick, book), Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    total = sum(entry.seeds for entry in entries)
    outcomes: list[Outcome] = []
    for entry in entries:
        done = sum(outcome.seeds for outcome in outcomes)

        def advance(seed: int, done: int = done) -> None:
            if progress is not None:
                progress(done + seed, total)

        outcomes.append(_make(entry, folder, advance))
    pictures = [(folder / f"{entry.id}.svg").read_text("utf-8") for entry in entries]
    plates = [Plate(entry, outcome, svg, _command(entry), parameters(entry.config))
              for entry, outcome, svg in zip(entries, outcomes, pictures, strict=True)]
    (folder / "index.html").write_text(gallery_page(plates), "utf-8")
    (folder / "book.csv").write_text(_table(entries, outcomes), "utf-8")
    return outcomes


def _command(entry: Entry) -> str:
    return f"toylab book {entry.id} --out DIR"


def _make(entry: Entry, folder: Path, advance: Callable[[int], None]) -> Outcome:
    start, values, first = time.perf_counter(), [], None
    for seed in range(entry.seeds):
        data = entry.compute(entry.config, jax.random.key(seed))
        values.append([float(check.measure(data)) for check in entry.checks])
        first = data if seed == 0 else first
        advance(seed + 1)
    measured = np.array(values, dtype=np.float64).reshape(entry.seeds, len(entry.checks))
    facts = {"toylab": metadata.version("toylab"), "id": entry.id, "command": _command(entry),
             "seed": 0, "config": parameters(entry.config), "caption": entry.caption,
             "source": entry.source}
    files = save_figure(entry.figure(first), folder / entry.id, facts)
    data_file = folder / f"{entry.id}.npz"
    data_file.write_bytes(_archive(first))
    passed = sum(all(check.holds(v) for check, v in zip(entry.checks, row, strict=True))
                 for row in measured)
    return Outcome(entry.id, entry.statement, _in_words(entry, measured), int(passed), entry.seeds,
                   time.perf_counter() - start, measured, (*files, data_file),
                   entry.needed or entry.seeds)


def _in_words(entry: Entry, measured: NDArray[np.float64]) -> str:
    texts = []
    for check, column in zip(entry.checks, measured.T, strict=True):
        low, middle, high = np.min(column), np.median(column), np.max(column)
        spread = "" if f"{low:.4g}" == f"{high:.4g}" else f" ({low:.4g}..{high:.4g})"
        texts.append(f"{check.name} {middle:.4g}{spread}")
    return "; ".join(texts)


def parameters(config: Any) -> Any:
    """A config, a grid, or any nesting of them as plain JSON values, for metadata and captions."""
    if isinstance(config, Config):
        return json.loads(config.to_json())
    if hasattr(config, "axes") and hasattr(config, "config"):
        axes = {name: parameters(tuple(values)) for name, values in config.axes}
        return {"config": parameters(config.config), "axes": axes}
    if hasattr(config, "_asdict"):
        return {name: parameters(value) for name, value in config._asdict().items()}
    if isinstance(config, tuple | list):
        return [parameters(value) for value in config]
    return getattr(config, "__name__", config)


def _archive(data: Any) -> bytes:
    """The numbers of `data` as npz, each under its path: `relu.model.W`."""
    buffer = io.BytesIO()
    np.savez(buffer, **dict(_named_arrays(data)))  # pyright: ignore[reportArgumentType]
    return buffer.getvalue()


def _named_arrays(data: Any) -> Iterator[tuple[str, NDArray[Any]]]:
    for path, leaf in jax.tree_util.tree_flatten_with_path(data)[0]:
        if isinstance(leaf, jax.Array | np.ndarray | np.generic | int | float):
            name = jax.tree_util.keystr(path, simple=True, separator=".").removesuffix(".value")
            yield name or "data", np.asarray(leaf)


def _table(entries: Sequence[Entry], outcomes: Sequence[Outcome]) -> str:
    """Every measured number in one CSV: a row for each figure, check and seed."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["id", "check", "seed", "lower", "upper", "measured", "holds"])
    for entry, outcome in zip(entries, outcomes, strict=True):
        for k, check in enumerate(entry.checks):
            for seed, value in enumerate(outcome.values[:, k]):
                writer.writerow([entry.id, check.name, seed, check.lower, check.upper,
                                 f"{value:.9g}", check.holds(value)])
    return buffer.getvalue()
