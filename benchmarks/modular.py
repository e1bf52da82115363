"""The bars of the modular-addition chapter: `python -m benchmarks.modular [ROW ...]`.

Each row is measured in a process of its own, with a thread for each usable core unless the row says
otherwise, and written to benchmarks/results/modular/ROW.json; `--report` makes the tables of
benchmarks/README.md from all such files. Row `fast` needs the JSON of `published`, and
`certificates` the weights that `published` left in build/benchmarks.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
from pathlib import Path

from benchmarks import records, timing
from benchmarks.modular_setting import Setting

NAMES = records.MODULAR.rows
MISSED = 10
"""How the process of a row says that a bar was missed; an error leaves with 1."""
BUSY = 0.7
ONE_THREAD = ("eight-seeds",)
"""Rows in which an operation has one thread and each core a device, as in toylab's commands."""


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line's options."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.modular", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"default: {' '.join(NAMES)}")
    parser.add_argument("--repeats", type=int, default=5, help="pairs of measurements (5)")
    parser.add_argument("--seeds", type=int, help="seeds (default: each row's own number)")
    parser.add_argument(
        "--threads", type=int, help="threads of an operation (default: the usable cores)"
    )
    parser.add_argument(
        "--torch-python",
        default=os.environ.get("TORCH_PYTHON", sys.executable),
        help="an interpreter that has torch (default: $TORCH_PYTHON, or this one)",
    )
    parser.add_argument(
        "--work",
        type=Path,
        default=Path("build/benchmarks"),
        help="folder of finished seeds; an interrupted campaign goes on from them",
    )
    parser.add_argument("--fresh", action="store_true", help="train finished seeds again")
    parser.add_argument(
        "--smoke",
        action="store_true",
        help="run everything at p = 13 for 200 steps into build/benchmarks/smoke: does it run?",
    )
    parser.add_argument("--results", type=Path, default=records.RESULTS, help="folder of the JSON")
    parser.add_argument("--report", action="store_true", help="only write the README's tables")
    options = parser.parse_args(arguments)
    if unknown := sorted(set(options.rows) - set(NAMES)):
        parser.error(f"no row {unknown[0]!r}; choose from {', '.join(NAMES)}")
    for name in ("repeats", "seeds", "threads"):
        value = getattr(options, name)
        if value is not None and value < 1:
            parser.error(f"--{name} {value}: must be at least 1")
    if options.smoke:
        options.work = options.results = Path("build/benchmarks/smoke")
    return options


def measure(name: str, setting: Setting) -> None:
    """Measures one row in this process, writes its JSON and exits: 0, or MISSED."""
    from benchmarks.modular_rows import ROWS

    load = os.getloadavg()[0]
    if load > BUSY:
        print(f"{name}: a load of {load:.1f} before the row: this machine is not idle", flush=True)
    row = ROWS[name](setting)
    row = row._replace(facts=row.facts | {"load_average_before": load})
    records.write(row, setting.results / records.MODULAR.folder)
    sys.exit(0 if records.announce(row) else MISSED)


def main() -> int:
    """Measures the rows, each in its own process; 1 if a bar was missed, 2 if a row broke off."""
    options = parse()
    if options.report:
        records.README.write_text(records.report(options.results))
        return 0
    cores = len(timing.usable_cores())
    threads = options.threads or cores
    status = 0
    for name in options.rows or NAMES:
        alone = name in ONE_THREAD
        # jax reads them when it is imported, so a process gets them before it starts.
        os.environ.update(timing.environment(1, cores) if alone else timing.environment(threads))
        setting = Setting(
            options.torch_python,
            options.work,
            options.results,
            options.repeats,
            options.seeds,
            1 if alone else threads,
            options.fresh,
            options.smoke,
        )
        process = multiprocessing.get_context("spawn").Process(target=measure, args=(name, setting))
        process.start()
        process.join()
        if process.exitcode not in (0, MISSED):
            print(f"{name}: broke off, exit status {process.exitcode}", file=sys.stderr, flush=True)
            status = 2
        elif process.exitcode == MISSED:
            status = max(status, 1)
    return status


if __name__ == "__main__":
    sys.exit(main())
