"""The rooms import only what the design allows, and the package stays light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import toylab

PACKAGE = Path(toylab.__file__).parent
ROOMS = {
    "data": set(),
    "models": set(),
    "training": set(),
    "analysis": {"models"},
    "experiments": {"data", "models", "training", "analysis"},
    "figures": {"analysis", "experiments"},
    "pages": {"experiments", "figures", "course", "analysis"},
}
THIRD_PARTY = {
    "data": {"jax", "numpy"},
    "models": {"flax", "jax"},
    "training": {"jax", "optax", "numpy"},
    "analysis": {"jax", "numpy", "scipy"},
    "experiments": {"jax", "optax", "numpy", "flax"},
    "figures": {"matplotlib", "numpy", "jax", "PIL"},  # PIL is matplotlib's own
    "pages": {"streamlit", "numpy", "jax", "matplotlib"},
}


def imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def modules(room):
    found = sorted((PACKAGE / room).rglob("*.py"))
    assert found
    return found


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_import_only_the_rooms_below(room):
    for path in modules(room):
        for name in imported(path):
            parts = name.split(".")
            if parts[0] == "toylab" and len(parts) > 1 and parts[1] in ROOMS:
                assert parts[1] == room or parts[1] in ROOMS[room], f"{path.name} imports {name}"


@pytest.mark.parametrize("room", THIRD_PARTY)
def test_rooms_keep_to_their_libraries(room):
    standard = sys.stdlib_module_names
    for path in modules(room):
        for name in imported(path):
            top = name.split(".")[0]
            if top not in standard and top != "toylab":
                assert top in THIRD_PARTY[room], f"{path.name} imports {name}"


def test_importing_toylab_loads_no_drawing_and_no_server():
    heavy = "{'matplotlib', 'streamlit', 'pandas'}"
    code = f"import sys, toylab; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_public_names_are_sorted_present_and_documented():
    assert toylab.__all__ == sorted(toylab.__all__)
    for name in toylab.__all__:
        assert getattr(toylab, name).__doc__, name


@pytest.mark.parametrize(
    "word",
    [
        "pickle",
        "dill",
        "allow_pickle=True",
        "eval(",
        "exec(",
        "yaml.load",
        "torch.load",
        "unsafe_allow_html",
    ],
)
def test_nothing_runs_code_from_data(word):
    for path in PACKAGE.rglob("*.py"):
        for number, line in enumerate(path.read_text().splitlines(), start=1):
            code = line.split("#")[0]
            if word in ("pickle", "dill"):
                assert f"import {word}" not in code, f"{path.name}:{number}"
            else:
                assert word not in code, f"{path.name}:{number}"
