"""The command line: `toylab run | sweep | book | app | doctor`.

Everything heavy is imported by the command that needs it, after `environment.pin`. Exit status: 0
done; 1 the work failed (a statement of the book does not hold, a training diverged, the self-test
is off); 2 the request was refused; 130 interrupted.
"""

from __future__ import annotations

import argparse
import json
import re
import runpy
import shlex
import socket
import sys
import tempfile
import textwrap
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toylab import environment
from toylab.errors import ConfigError, DivergedError, FormatError, shown
from toylab.progress import ProgressLine
from toylab.subjects import SUBJECTS, Drawings, Subject

if TYPE_CHECKING:
    from toylab.config import Config
    from toylab.training.grid import Grid

FORMATS = ("png", "svg", "pdf")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit status.

    Args:
        argv: the words after `toylab`; those of the process by default.
    """
    environment.pin()
    args = _parser().parse_args(argv)
    try:
        return args.command(args)
    except DivergedError as error:
        return _fail(error, 1)
    except (ConfigError, FormatError, OSError) as error:
        return _fail(error, 2)
    except KeyboardInterrupt:
        return _fail("interrupted", 130)


def _fail(error: object, status: int) -> int:
    print(f"toylab: {error}", file=sys.stderr)
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="toylab", description="A laboratory of toy models for mechanistic interpretability."
    )
    parser.add_argument("--version", action="version", version=metadata.version("toylab"))
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="train one model, draw it and keep it")
    _add_training(run, "key=value")
    run.set_defaults(command=_run, verb="run")
    sweep = commands.add_parser("sweep", help="train a grid of models, draw it and keep it")
    _add_training(sweep, "key=a,b,c")
    sweep.set_defaults(command=_sweep, verb="sweep")
    book = commands.add_parser("book", help="make the book's figures and test what they state")
    book.add_argument("names", nargs="*", metavar="CHAPTER|ID", help="by default all")
    book.add_argument("--quick", action="store_true", help="the core figures only")
    _add_out(book)
    book.set_defaults(command=_book)
    app = commands.add_parser("app", help="open the laboratory in the browser")
    app.add_argument("--port", metavar="N", help="by default the first free one from 8501")
    app.add_argument("--no-browser", action="store_true", help="serve, and open nothing")
    app.set_defaults(command=_app)
    doctor = commands.add_parser("doctor", help="report on this installation and test it")
    doctor.set_defaults(command=_doctor)
    return parser


def _add_training(parser: argparse.ArgumentParser, form: str) -> None:
    parser.add_argument("experiment", choices=list(SUBJECTS))
    parser.add_argument("words", nargs="*", metavar=form, help="fields of the config")
    parser.add_argument(
        "--method",
        choices=["train", "solve"],
        help="superposition: train on samples, or minimise the exact loss (n_features <= 8)",
    )
    parser.add_argument(
        "--starts", metavar="K", help="superposition: best of K starts (train: 1, solve: 8)"
    )
    parser.add_argument("--seed", metavar="N", default="0", help="0..4294967295, by default 0")
    _add_out(parser)


def _add_out(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", metavar="DIR", required=True, help="the folder for the files")
    parser.add_argument("--overwrite", action="store_true", help="replace files that exist")


def _run(args: argparse.Namespace) -> int:
    subject = SUBJECTS[args.experiment]
    config = subject.config().from_strings(_fields(args.words))
    experiment, seed = _experiment(subject, args), _seed(args)
    for notice in config.notices():
        print(f"toylab: note: {notice}", file=sys.stderr)
    drawings = subject.run_drawings()  # matplotlib: slow, so once all is sound
    folder = _folder(args, _names(drawings))
    with ProgressLine("training", sys.stderr) as progress:
        result = experiment(config, seed, progress=progress)
    return _deliver(result, folder, drawings, args)


def _sweep(args: argparse.Namespace) -> int:
    from toylab.training.sweep import sweep

    subject = SUBJECTS[args.experiment]
    grid = _grid(subject.config(), args.words)
    experiment, seed = _experiment(subject, args), _seed(args)
    drawings = subject.sweep_drawings(grid)
    folder = _folder(args, _names(drawings))
    with ProgressLine("training", sys.stderr) as progress:
        result = sweep(experiment, grid, seed, progress=progress)
    return _deliver(result, folder, drawings, args)


def _book(args: argparse.Namespace) -> int:
    from toylab.figures.book import run_book, select

    chosen = select(args.names, args.quick)
    files = [f"{entry.id}.{form}" for entry in chosen for form in (*FORMATS, "npz")]
    folder = _folder(args, ["index.html", "book.csv", *files])
    with ProgressLine("book", sys.stderr) as progress:
        outcomes = run_book(args.names, folder, quick=args.quick, progress=progress)
    for outcome in outcomes:
        mark = "holds" if outcome.holds else "FAILS"
        print(f"{outcome.id}: {mark} on {outcome.rate}, {outcome.seconds:.1f} s")
        for text in (outcome.statement, f"measured: {outcome.measured}"):
            print(textwrap.fill(text, 96, initial_indent="    ", subsequent_indent="    "))
    failed = sum(not outcome.holds for outcome in outcomes)
    print(f"{len(outcomes) - failed} of {len(outcomes)} statements hold; "
          f"gallery: {folder / 'index.html'}")
    return 1 if failed else 0


def _app(args: argparse.Namespace) -> int:
    """Serves the app from this process, to this machine alone, whatever settings lie about."""
    port = _free_port(args.port)
    words = ["--server.address", "127.0.0.1", "--server.port", str(port),
             "--browser.gatherUsageStats", "false", "--client.showErrorDetails", "type",
             "--server.fileWatcherType", "none", "--server.showEmailPrompt", "false",
             "--logger.hideWelcomeMessage", "true", "--logger.level", "warning"]
    if args.no_browser:
        words += ["--server.headless", "true"]
    print(f"toylab: open http://127.0.0.1:{port} (stop with Ctrl-C)", flush=True)
    sys.argv = ["streamlit", "run", str(_app_file()), *words]
    try:
        runpy.run_module("streamlit", run_name="__main__", alter_sys=True)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 0
    return 0


def _free_port(text: str | None) -> int:
    """The port asked for, or the first free one, found by taking it for a moment."""
    asked = None if text is None else _integer("port", text, 1, 65535)
    for port in range(8501, 8601) if asked is None else (asked,):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    taken = "8501..8600" if asked is None else str(asked)
    raise ConfigError(f"port={taken}: in use, or not allowed; give another --port")


def _doctor(args: argparse.Namespace) -> int:
    from toylab.doctor import examine

    report = examine()
    for name, text in report.facts:
        print(f"{name:<14}{text}")
    print(f"{'self-test':<14}{'passed' if report.sound else 'FAILED'}: {report.test}")
    return 0 if report.sound else 1


def _app_file() -> Path:
    """The app's entry script: inside the package in a wheel, beside it in a checkout."""
    package = Path(__file__).resolve().parent
    inside = package / "_app" / "app.py"
    return inside if inside.exists() else package.parent / "app.py"


def _fields(words: Sequence[str]) -> dict[str, str]:
    fields: dict[str, str] = {}
    for word in words:
        name, _, text = word.partition("=")
        if not name or not text:
            raise ConfigError(f"{shown(word)}: must be written key=value")
        if name in fields:
            raise ConfigError(f"{name}={shown(text)}: {name} is given twice")
        fields[name] = text
    return fields


def _grid(kind: type[Config], words: Sequence[str]) -> Grid[Any]:
    """The grid of `key=a,b,c` words; a word without a comma is shared by all cells."""
    from toylab.training.grid import grid

    lists = {name: text.split(",") for name, text in _fields(words).items()}
    shared = kind.from_strings({name: texts[0] for name, texts in lists.items()})
    rules, aliases = kind.rules(), kind.aliases()
    axes = {
        name: [rules[aliases.get(name, (name,))[0]].parse(name, text) for text in texts]
        for name, texts in lists.items()
        if len(texts) > 1
    }
    return grid(shared, **axes)


def _experiment(subject: Subject, args: argparse.Namespace) -> Callable[..., Any]:
    starts = None if args.starts is None else _integer("starts", args.starts, 1, 4096)
    return subject.experiment(args.method, starts)


def _seed(args: argparse.Namespace) -> int:
    return _integer("seed", args.seed, 0, 2**32 - 1)


def _integer(name: str, text: str, low: int, high: int) -> int:
    value: int | str = int(text) if re.fullmatch(r"[+-]?[0-9]{1,20}", text) else text
    if isinstance(value, str) or not low <= value <= high:
        raise ConfigError(f"{name}={shown(value)}: must be an integer in {low}..{high}")
    return value


def _names(drawings: Drawings) -> list[str]:
    return ["result.npz", *(f"{name}.{form}" for name in drawings for form in FORMATS)]


def _folder(args: argparse.Namespace, names: Sequence[str]) -> Path:
    """The output folder, found fit for these files before any work; made when they are written."""
    if "\0" in args.out:
        raise ConfigError(f"out={shown(args.out)}: a path cannot hold a NUL character")
    folder = Path(args.out)
    there = [name for name in names if (folder / name).exists()]
    if there and not args.overwrite:
        raise ConfigError(
            f"out={shown(args.out)}: {there[0]} exists; give --overwrite to replace it"
        )
    parent = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=parent):
            return folder
    except NotADirectoryError:
        at = "" if parent == folder else f"{parent} "
        raise ConfigError(f"out={shown(args.out)}: {at}is a file, must be a folder") from None
    except OSError as error:
        raise ConfigError(f"out={shown(args.out)}: cannot write ({error.strerror})") from None


def _deliver(result: Any, folder: Path, drawings: Drawings, args: argparse.Namespace) -> int:
    from toylab.experiments.storage import save
    from toylab.figures.style import save_figure

    words = ["toylab", args.verb, args.experiment, *args.words,
             *([] if args.method is None else ["--method", args.method]),
             *([] if args.starts is None else ["--starts", args.starts]), "--seed", args.seed]
    command = f"{shlex.join(words)} --out DIR"
    facts = {"toylab": metadata.version("toylab"), "command": command,
             "config": json.loads(result.config.to_json())}
    folder.mkdir(parents=True, exist_ok=True)
    save(result, folder / "result.npz", command=command)
    files = [folder / "result.npz"]
    for name, draw in drawings.items():
        files += save_figure(draw(result), folder / name, facts)
    for line in SUBJECTS[args.experiment].summary(result):
        print(line)
    print("wrote", *files)
    return 0
