"""The command line, mostly in this process; the last tests start it as a user does."""

import functools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

import toylab
from toylab import cli, subjects
from toylab.figures.style import read_metadata

SMALL = ["n_features=3", "n_steps=4", "batch_size=16"]
FIGURES = ("geometry", "gram", "features")


@pytest.fixture(autouse=True)
def unpinned(monkeypatch):
    """The environment of the test's process is its own."""
    monkeypatch.setattr("toylab.environment.pin", lambda: None)


@pytest.fixture
def out(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return Path("new", "out")


def run(*words: object) -> int:
    return cli.main([str(word) for word in words])


def files(*names: str) -> list[str]:
    return sorted(["result.npz", *(f"{name}.{form}" for name in names for form in cli.FORMATS)])


@pytest.fixture
def delivered(monkeypatch):
    """What would be saved and drawn, in place of saving and drawing it: (result, drawings)."""
    seen = []

    def deliver(result, folder, drawings, args):
        seen.append((result, tuple(drawings)))
        return 0

    monkeypatch.setattr(cli, "_deliver", deliver)
    return seen


def test_run_writes_the_result_and_its_figures(out, capsys):
    words = ["run", "superposition", *SMALL, "--seed", 5, "--starts", 2, "--out", out]
    assert run(*words) == 0
    assert sorted(os.listdir(out)) == files(*FIGURES)
    result = toylab.load(out / "result.npz")
    config = toylab.SuperpositionConfig(n_features=3, n_steps=4, batch_size=16)
    assert result.config == config
    expected = toylab.superposition.run(config, 5, n_starts=2)
    np.testing.assert_array_equal(result.model.W[...], expected.model.W[...])
    np.testing.assert_array_equal(result.start_losses, expected.start_losses)
    printed = capsys.readouterr()
    assert printed.out.startswith(f"loss {float(result.loss):.5g}")
    assert f"wrote {out}/result.npz" in printed.out
    assert printed.err == ""
    for form in cli.FORMATS:  # every figure says how to make it again
        facts = read_metadata(out / f"gram.{form}")
        assert facts == {
            "toylab": metadata.version("toylab"),
            "config": json.loads(config.to_json()),
            "command": "toylab run superposition n_features=3 n_steps=4 batch_size=16 "
                       "--starts 2 --seed 5 --out DIR",
        }  # fmt: skip


def test_sweep_writes_the_grid(out, capsys):
    words = ["n_features=3", "density=0.1,0.5", "n_hidden=1,2", "--method", "solve"]
    assert run("sweep", "superposition", *words, "--starts", 2, "--out", out) == 0
    assert sorted(os.listdir(out)) == files("geometry", "gram", "map")
    result = toylab.load(out / "result.npz")
    shared = toylab.SuperpositionConfig(n_features=3, density=0.1, n_hidden=1)
    assert result.config == toylab.grid(shared, density=[0.1, 0.5], n_hidden=[1, 2])
    solve = functools.partial(toylab.superposition.solve, n_starts=2)
    np.testing.assert_array_equal(result.loss, toylab.sweep(solve, result.config, 0).loss)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5
    assert lines[0].startswith(f"density 0.1, n_hidden 1: loss {float(result.loss[0, 0]):.5g}")
    assert read_metadata(out / "map.svg")["config"] == json.loads(result.config.to_json())


def test_sweep_over_values_for_each_feature(out, delivered):
    words = ["n_features=2", "n_hidden=1", "importance=1:1,1:0.5", "--method", "solve"]
    assert run("sweep", "superposition", *words, "--out", out) == 0
    [(result, drawings)] = delivered
    assert result.config.axes == (("importance", ((1.0, 1.0), (1.0, 0.5))),)
    assert drawings == ("geometry", "gram")


def test_many_cells_print_few_lines(monkeypatch):
    monkeypatch.setattr(subjects, "MAX_LINES", 2)
    shared = toylab.SuperpositionConfig(n_features=2, n_hidden=1)
    cells = toylab.grid(shared, sparsity=[0.1, 0.2, 0.3, 0.4, 0.5])
    result = toylab.sweep(toylab.superposition.solve, cells, 0)
    lines = list(subjects.SUBJECTS["superposition"].summary(result))
    assert len(lines) == 3
    assert lines[2] == "... and 3 more"


SPARSITY = "must be in [0, 1); 1 means no feature is ever active"


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["run", "superposition", "sparsity=1.0"], f"sparsity=1.0: {SPARSITY}"),
        (["run", "superposition", "sparsity=2", "n_hidden=0"],
         f"n_hidden=0: must be an integer in 1..4096\nsparsity=2.0: {SPARSITY}"),
        (["run", "superposition", "sparsity=x"], "sparsity='x': must be a number"),
        (["run", "superposition", "sparsity"], "'sparsity': must be written key=value"),
        (["run", "superposition", "sparsity="], "'sparsity=': must be written key=value"),
        (["run", "superposition", "n_hidden=1", "n_hidden=2"],
         "n_hidden='2': n_hidden is given twice"),
        (["run", "superposition", "sparsity=0.1", "density=0.9"],
         "density=0.9: sparsity is given as well; give one"),
        (["run", "superposition", "--seed", "-1"],
         "seed=-1: must be an integer in 0..4294967295"),
        (["run", "superposition", "--seed", "4294967296"],
         "seed=4294967296: must be an integer in 0..4294967295"),
        (["run", "superposition", "--seed", "1.5"],
         "seed='1.5': must be an integer in 0..4294967295"),
        (["run", "superposition", "--starts", "two"],
         "starts='two': must be an integer in 1..4096"),
        (["sweep", "superposition", "n_hidden=2"],
         "grid: no axis is given; give a field several values, as in n_steps=[100, 200]"),
        (["sweep", "superposition", "sparsity=0.5,1"], f"sparsity=1.0: {SPARSITY}"),
        (["sweep", "superposition", "sparsity=0.5,x"], "sparsity='x': must be a number"),
        (["sweep", "superposition", "sparsity=0.5,"], "sparsity='': must be a number"),
        (["sweep", "superposition", "n_hidden=1,1"],
         "n_hidden: values 1 and 1 are the same cell (numbers are stored as float32)"),
    ],
)  # fmt: skip
def test_bad_requests_are_refused_with_their_text(out, capsys, words, text):
    assert run(*words, "--out", out) == 2
    assert capsys.readouterr() == ("", f"toylab: {text}\n")
    assert not out.exists()


def test_an_unknown_field_is_answered_with_the_nearest(out, capsys):
    assert run("run", "superposition", "sparcity=0.5", "--out", out) == 2
    assert capsys.readouterr().err.startswith(
        "toylab: sparcity: unknown field of SuperpositionConfig; did you mean 'sparsity'? fields: "
    )


def test_the_exact_method_refuses_many_features(out, capsys):
    assert run("run", "superposition", "n_features=9", "--method", "solve", "--out", out) == 2
    assert capsys.readouterr().err.startswith("toylab: n_features=9: solve enumerates")
    assert not out.exists()


def test_more_dimensions_than_features_are_noticed(out, capsys, delivered):
    assert run("run", "superposition", *SMALL, "n_hidden=4", "--out", out) == 0
    assert len(delivered) == 1
    assert capsys.readouterr().err == (
        "toylab: note: n_hidden=4: exceeds n_features=3; no superposition is possible\n"
    )


@pytest.mark.parametrize(
    "words", [[], ["walk"], ["run", "superpositio"], ["run", "superposition"], ["app", "-p"]]
)
def test_unknown_words_are_refused(words, capsys):
    with pytest.raises(SystemExit) as stop:
        run(*words)
    assert stop.value.code == 2
    assert "toylab" in capsys.readouterr().err


def test_existing_files_are_kept_unless_told(out, capsys, delivered):
    words = ["run", "superposition", *SMALL, "--out", out]
    out.mkdir(parents=True)
    (out / "gram.svg").write_text("mine")
    assert run(*words) == 2
    assert capsys.readouterr().err == (
        f"toylab: out={str(out)!r}: gram.svg exists; give --overwrite to replace it\n"
    )
    assert os.listdir(out) == ["gram.svg"]
    assert delivered == []
    assert run(*words, "--overwrite") == 0
    assert len(delivered) == 1


def test_unusable_folders_are_refused_before_any_work(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    monkeypatch.setattr("toylab.superposition.run", None)
    words = ["run", "superposition", *SMALL, "--out"]
    assert run(*words, "file") == 2
    assert capsys.readouterr().err == "toylab: out='file': is a file, must be a folder\n"
    assert run(*words, "file/deep/er") == 2
    assert capsys.readouterr().err == (
        f"toylab: out='file/deep/er': {tmp_path / 'file'} is a file, must be a folder\n"
    )
    assert run(*words, "a\0b") == 2
    assert capsys.readouterr().err == (
        "toylab: out='a\\x00b': a path cannot hold a NUL character\n"
    )

    def denied(dir: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(cli.tempfile, "TemporaryFile", denied)
    assert run(*words, "new") == 2
    assert capsys.readouterr().err == "toylab: out='new': cannot write (Permission denied)\n"


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (KeyboardInterrupt(), 130, "interrupted"),
        (toylab.DivergedError("diverged at step 3"), 1, "diverged at step 3"),
        (OSError(28, "No space left on device", "/x"), 2,
         "[Errno 28] No space left on device: '/x'"),
    ],
)  # fmt: skip
def test_what_stops_the_work_is_told_without_a_traceback(
    out, capsys, monkeypatch, error, status, text
):
    def stop(*args, **kwargs):
        raise error

    monkeypatch.setattr("toylab.superposition.run", stop)
    assert run("run", "superposition", *SMALL, "--out", out) == status
    assert capsys.readouterr() == ("", f"toylab: {text}\n")
    assert not out.exists()


def test_book_reports_each_statement_and_fails_with_one(out, capsys, monkeypatch):
    from toylab.figures import book
    from toylab.figures.entry import Outcome

    sound = Outcome("a", "It holds.", "x 1", 2, 2, 0.5, np.ones((2, 1)), (), 2)
    broken = sound._replace(id="b", statement="It does not.", passed=1)
    asked = []

    def run_book(names, folder, quick, progress):
        asked.append((names, folder, quick))
        return outcomes

    monkeypatch.setattr(book, "run_book", run_book)
    outcomes = [sound]
    assert run("book", "--quick", "--out", out) == 0
    outcomes = [sound, broken]
    assert run("book", "--out", out) == 1
    assert asked == [([], out, True), ([], out, False)]
    assert capsys.readouterr().out.splitlines()[3:] == [
        f"1 of 1 statements hold; gallery: {out}/index.html",
        "a: holds on 2 of 2 seeds, 0.5 s",
        "    It holds.",
        "    measured: x 1",
        "b: FAILS on 1 of 2 seeds, 0.5 s",
        "    It does not.",
        "    measured: x 1",
        f"1 of 2 statements hold; gallery: {out}/index.html",
    ]


def test_book_refuses_unknown_names_and_existing_files(out, capsys):
    from toylab.figures.book import BOOK

    assert run("book", "superpositio", "--out", out) == 2
    assert "did you mean 'superposition'?" in capsys.readouterr().err
    assert not out.exists()
    out.mkdir(parents=True)
    (out / f"{BOOK[0].id}.npz").write_text("mine")
    assert run("book", BOOK[0].id, "--out", out) == 2
    assert f"{BOOK[0].id}.npz exists; give --overwrite" in capsys.readouterr().err


def test_doctor_reports_and_judges(capsys, monkeypatch):
    assert run("doctor") == 0
    report = capsys.readouterr().out
    assert "self-test     passed: 5 features in 2 dimensions, loss 0.00178" in report
    for word in ("python", "jax ", "devices", "NPROC", "cache", "free memory"):
        assert f"\n{word}" in f"\n{report}"
    monkeypatch.setattr("toylab.doctor.PENTAGON_LOSS", 0.002)
    assert run("doctor") == 1
    assert "self-test     FAILED" in capsys.readouterr().out


@pytest.fixture
def served(monkeypatch):
    """The command lines that the app's server would be started with."""
    seen = []
    monkeypatch.setattr(sys, "argv", ["toylab"])

    def run_module(name, run_name, alter_sys):
        seen.append((name, run_name, sys.argv))
        raise SystemExit(0)

    monkeypatch.setattr(cli.runpy, "run_module", run_module)
    return seen


def test_app_serves_to_this_machine_alone(served, capsys):
    port = free_port()
    assert run("app", "--port", port, "--no-browser") == 0
    [(name, run_name, words)] = served
    assert (name, run_name, words[:2]) == ("streamlit", "__main__", ["streamlit", "run"])
    assert Path(words[2]).name == "app.py"
    options = dict(zip(words[3::2], words[4::2], strict=True))
    assert options["--server.address"] == "127.0.0.1"
    assert options["--server.port"] == str(port)
    assert options["--server.headless"] == "true"
    assert options["--browser.gatherUsageStats"] == "false"
    assert options["--client.showErrorDetails"] == "type"
    shown = capsys.readouterr().out
    assert shown == f"toylab: open http://127.0.0.1:{port} (stop with Ctrl-C)\n"


def test_app_takes_a_free_port(served, capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert run("app", "--port", port) == 2
        assert capsys.readouterr().err == (
            f"toylab: port={port}: in use, or not allowed; give another --port\n"
        )
    assert run("app", "--port", 70000) == 2
    assert capsys.readouterr().err == "toylab: port=70000: must be an integer in 1..65535\n"
    assert served == []
    assert run("app") == 0
    [(_, _, words)] = served
    assert int(words[words.index("--server.port") + 1]) in range(8501, 8601)
    assert "--server.headless" not in words  # then a browser is opened


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_a_wheel_holds_the_app_inside_the_package(tmp_path, monkeypatch):
    (tmp_path / "toylab" / "_app").mkdir(parents=True)
    monkeypatch.setattr(cli, "__file__", str(tmp_path / "toylab" / "cli.py"))
    assert cli._app_file() == tmp_path / "app.py"
    (tmp_path / "toylab" / "_app" / "app.py").write_text("")
    assert cli._app_file() == tmp_path / "toylab" / "_app" / "app.py"


COMMAND = [sys.executable, "-m", "toylab"]


def test_two_processes_write_the_same_bytes(tmp_path):
    words = ["run", "superposition", *SMALL, "--out"]
    folders = [tmp_path / "a", tmp_path / "b"]
    started = [subprocess.Popen([*COMMAND, *words, str(folder)], stdout=subprocess.DEVNULL)
               for folder in folders]  # fmt: skip
    assert [process.wait() for process in started] == [0, 0]
    for name in files(*FIGURES):
        assert len({(folder / name).read_bytes() for folder in folders}) == 1, name


def test_the_installed_command_refuses_in_one_line(tmp_path):
    command = shutil.which("toylab", path=os.path.dirname(sys.executable))
    assert command is not None
    done = subprocess.run([command, "run", "superposition", "sparsity=1.0", "--out", "x"],
                          capture_output=True, text=True, cwd=tmp_path)  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"toylab: sparsity=1.0: {SPARSITY}\n"
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(os.name == "nt", reason="the app is stopped by a POSIX signal")
def test_the_app_answers_here_and_stops(tmp_path):
    port = free_port()
    words = [*COMMAND, "app", "--no-browser", "--port", str(port)]
    with open(tmp_path / "log", "w+") as log:
        with subprocess.Popen(words, cwd=tmp_path, stdout=log, stderr=log) as process:
            try:
                assert answer(f"http://127.0.0.1:{port}/_stcore/health", process) == b"ok"
            finally:
                process.send_signal(signal.SIGINT)
                process.wait(timeout=60)
        log.seek(0)
        assert "Traceback" not in log.read()
    assert process.returncode == 0


def answer(address: str, process: subprocess.Popen) -> bytes:
    """What a server says as soon as it listens; stops waiting when it has ended."""
    while process.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=60) as reply:
                return reply.read()
        except OSError:
            time.sleep(0.1)
    return b"the server has ended"
