"""What the documents say is what the project does: every block of code in the README runs."""

import re
import shlex
import tomllib
from pathlib import Path

import numpy as np
import pytest

from toylab import cli

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


COMMANDS = [line[2:] for block in blocks("console") for line in block.splitlines()]


def test_python_blocks_run_and_show_what_they_say(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    for block in blocks("python"):
        exec(compile(block, "README.md", "exec"), names)
    shown = dict(re.findall(r"^([^#\n]+?) +# (.+)$", "".join(blocks("python")), re.MULTILINE))
    assert f"{float(eval('result.loss', names)):.5f}" == shown["result.loss"][:7]
    dimensionality = eval("toylab.feature_dimensionality(result.model.W)", names)
    np.testing.assert_allclose(dimensionality, 0.4, atol=0.003)
    assert eval("toylab.interference(result.model.W)", names).shape == (5, 5)
    for line in ("swept.loss.shape", 'toylab.load("sweep.npz").model.W.shape'):
        assert shown[line].startswith(str(eval(line, names)))


@pytest.mark.parametrize("command", COMMANDS)
def test_console_commands_run(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("toylab.environment.pin", lambda: None)
    program, *words = shlex.split(command)
    assert program == "toylab"
    assert cli.main(words) == 0
    if "--out" in words:
        assert (tmp_path / words[-1] / "result.npz").exists()


def test_there_is_code_to_run():
    assert len(blocks("python")) >= 2
    assert {shlex.split(command)[1] for command in COMMANDS} == {"run", "sweep", "doctor"}


def test_the_two_commands_install_what_exists():
    start, test = (block.strip() for block in blocks("sh"))
    assert start.count("\n") == test.count("\n") == 0
    extras = re.search(r"\.\[(\w+)\]", test)
    assert extras is not None
    assert extras[1] in PROJECT["optional-dependencies"]
    assert start.split()[-2:] == [".venv/bin/toylab", "app"]
    assert "toylab" in PROJECT["scripts"]


def test_every_room_has_its_sentence():
    rooms = {path.parent.name for path in (ROOT / "toylab").glob("*/__init__.py")}
    assert {name for name in rooms if f"`toylab/{name}`" not in README} == set()


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_links_inside_the_tree_lead_somewhere(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)#]+)\)", text)
    inside = [target for target in targets if "://" not in target]
    assert [target for target in inside if not (ROOT / target).exists()] == []


def test_versions_and_licence_agree():
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {PROJECT['version']}\n" in citation
    assert f"\nlicense: {PROJECT['license']}\n" in citation
    assert (ROOT / "LICENSE").read_text(encoding="utf-8").startswith("MIT License")


def test_the_lock_names_the_public_index_alone():
    lock = tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))
    sources = {tuple(sorted(package["source"].items())) for package in lock["package"]}
    registries = {value for source in sources for key, value in source if key == "registry"}
    assert len(registries) == 1
    assert {key for source in sources for key, _ in source} == {"registry", "editable"}
    [own] = [package for package in lock["package"] if package["name"] == "toylab"]
    assert own["version"] == PROJECT["version"]
