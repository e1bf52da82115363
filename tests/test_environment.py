import os
import subprocess
import sys
from pathlib import Path

import pytest

from toylab import environment

NAMES = ("NPROC", "JAX_NUM_CPU_DEVICES", "JAX_PLATFORMS", "TF_CPP_MIN_LOG_LEVEL",
         "JAX_COMPILATION_CACHE_DIR", "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS",
         "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES")  # fmt: skip


def clean(tmp_path: Path, **given: str) -> dict[str, str]:
    """An environment as a user's, with a cache folder of the test's own."""
    kept = {name: value for name, value in os.environ.items() if name not in NAMES}
    return {**kept, "XDG_CACHE_HOME": str(tmp_path), **given}


def read(code: str, env: dict[str, str]) -> list[str]:
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True,
                          check=True)  # fmt: skip
    return done.stdout.split()


COMPILE = "jax.jit(lambda x: x + 1)(1.0)"
SHOW = (
    "print(os.environ['NPROC'], jax.device_count(), jax.default_backend(),"
    " jax.config.jax_compilation_cache_dir,"
    " jax.config.jax_persistent_cache_min_compile_time_secs,"
    " jax.config.jax_persistent_cache_min_entry_size_bytes)"
)


def test_pin_reaches_jax_though_the_package_imports_it_first(tmp_path):
    code = f"import os; from toylab.environment import pin; pin(); import jax; {SHOW}; {COMPILE}"
    cores, folder = min(environment.usable_cores(), 8), tmp_path / "toylab" / "jax"
    assert read(code, clean(tmp_path)) == ["1", str(cores), "cpu", str(folder), "0.0", "-1"]
    assert any(folder.iterdir())  # the compiled program


def test_what_the_user_has_set_stays(tmp_path):
    folder = str(tmp_path / "own")
    given = {"NPROC": "3", "JAX_NUM_CPU_DEVICES": "5", "JAX_COMPILATION_CACHE_DIR": folder}
    code = f"import os; from toylab.environment import pin; pin(); import jax; {SHOW}"
    assert read(code, clean(tmp_path, **given)) == ["3", "5", "cpu", folder, "0.0", "-1"]


def test_no_cache_when_its_folder_cannot_be_made(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr(environment.sys, "platform", "linux")
    assert environment.cache_folder() is None


@pytest.mark.parametrize(
    ("platform", "variables", "expected"),
    [
        ("linux", {"XDG_CACHE_HOME": "", "HOME": "{tmp}"}, ".cache/toylab/jax"),
        ("darwin", {"HOME": "{tmp}"}, "Library/Caches/toylab/jax"),
        ("win32", {"LOCALAPPDATA": "{tmp}/AppData/Local"}, "AppData/Local/toylab/jax"),
    ],
)
def test_the_cache_lies_where_the_system_keeps_caches(
    tmp_path, monkeypatch, platform, variables, expected
):
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    monkeypatch.setattr(environment.sys, "platform", platform)
    for name, value in variables.items():
        monkeypatch.setenv(name, value.format(tmp=tmp_path))
    assert environment.cache_folder() == tmp_path / expected
