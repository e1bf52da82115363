"""The bars of the superposition chapter: `python -m benchmarks.superposition [ROW ...]`.

Every row is measured on one thread of one core, in CPU time (user and system). Rows beside the
baseline alternate toylab and torch in one run. Each row is written to benchmarks/results/ROW.json,
and `--report` makes the tables of benchmarks/README.md from those files.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from benchmarks import records, timing

NAMES = records.SUPERPOSITION.rows


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line's options."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.superposition", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"default: {' '.join(NAMES)}")
    parser.add_argument("--repeats", type=int, default=5, help="pairs of measurements (5)")
    parser.add_argument("--steps", type=int, default=300, help="torch steps in each pair (300)")
    parser.add_argument("--core", type=int, default=0, help="the core to pin both sides to (0)")
    parser.add_argument(
        "--torch-python",
        default=os.environ.get("TORCH_PYTHON", sys.executable),
        help="an interpreter that has torch (default: $TORCH_PYTHON, or this one)",
    )
    parser.add_argument(
        "--weights",
        type=Path,
        default=Path("build/benchmarks"),
        help="folder of finished baselines; a missing one is trained first (200-20: 25 minutes)",
    )
    parser.add_argument("--results", type=Path, default=records.RESULTS, help="folder of the JSON")
    parser.add_argument("--report", action="store_true", help="only write the README's tables")
    options = parser.parse_args(arguments)
    if unknown := sorted(set(options.rows) - set(NAMES)):
        parser.error(f"no row {unknown[0]!r}; choose from {', '.join(NAMES)}")
    return options


def main() -> int:
    """Measures the rows, prints each bar, writes the JSON; 1 if a bar was missed."""
    options = parse()
    if options.report:
        records.README.write_text(records.report(options.results))
        return 0
    # jax reads the number of threads when it is imported: pin first.
    timing.pin(options.core)
    from benchmarks.rows import ROWS, Setting

    setting = Setting(
        options.torch_python, options.weights, options.repeats, options.steps, options.core
    )
    missed = False
    for name in options.rows or NAMES:
        row = ROWS[name](setting)
        records.write(row, options.results)
        missed |= not records.announce(row)
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
