"""Seconds: pinning, alternating pairs, sides in their own processes, the machine named."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

ROOT = Path(__file__).parent.parent
COMPILE_EVENT = "/jax/core/compile/backend_compile_duration"


class Pairs(NamedTuple):
    """Seconds of both sides, measured in turn.

    Attributes:
        ours: [repeats].
        theirs: [repeats], the whole recipe (extrapolated from the steps that were timed).
    """

    ours: np.ndarray
    theirs: np.ndarray

    @property
    def ratios(self) -> np.ndarray:
        """theirs / ours of each pair, [repeats]."""
        return self.theirs / self.ours


def environment(threads: int, devices: int = 1) -> dict[str, str]:
    """The variables that hold a process to some threads an operation and some JAX devices."""
    names = ("NPROC", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    return dict.fromkeys(names, str(threads)) | {
        "JAX_NUM_CPU_DEVICES": str(devices),
        # A warm cache would hide the compile time, which is measured apart.
        "JAX_ENABLE_COMPILATION_CACHE": "false",
    }


def usable_cores() -> list[int]:
    """The cores that this process may use."""
    return sorted(os.sched_getaffinity(0))


def pin(core: int) -> None:
    """Holds this process and its children to one core, one thread; call it before importing jax."""
    os.sched_setaffinity(0, {core})
    os.environ.update(environment(1))


def cpu_seconds(work: Callable[[], object]) -> float:
    """User and system time of all threads of this process while `work()` runs."""
    start = time.process_time()
    work()
    return time.process_time() - start


def alternate(ours: Callable[[int], float], theirs: Callable[[int], float], repeats: int) -> Pairs:
    """Measures A B A B ...: each callable takes the repeat's number and returns seconds."""
    seconds = [(ours(repeat), theirs(repeat)) for repeat in range(repeats)]
    return Pairs(*np.array(seconds).T)


class Served:
    """One side of a comparison in its own process, which waits between requests at no cost.

    Args:
        python: an interpreter that has what the module imports.
        module: started as `python -m MODULE --serve`; answers a JSON line with a JSON line.
        cores: the cores that it may use, with a thread on each.
    """

    def __init__(self, python: str, module: str, cores: Sequence[int]) -> None:
        self.module = module
        own = os.sched_getaffinity(0)
        os.sched_setaffinity(0, cores)  # a child starts with the cores of its parent
        try:
            self.process = subprocess.Popen(
                [python, "-m", module, "--serve"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                cwd=ROOT,
                env=os.environ | environment(len(cores)),
            )
        finally:
            os.sched_setaffinity(0, own)

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """The answer to one request.

        Raises:
            RuntimeError: the process has ended.
        """
        stdin, stdout = self._pipes()
        try:
            print(json.dumps(request), file=stdin, flush=True)
            return json.loads(stdout.readline())
        except (BrokenPipeError, json.JSONDecodeError) as error:
            raise RuntimeError(f"{self.module} ended; its own message is above") from error

    def close(self) -> None:
        """Ends the process."""
        self._pipes()[0].close()
        self.process.wait()

    def _pipes(self) -> tuple[IO[str], IO[str]]:
        stdin, stdout = self.process.stdin, self.process.stdout
        if stdin is None or stdout is None:
            raise RuntimeError("the process was started without pipes")
        return stdin, stdout


@contextmanager
def compilations() -> Iterator[list[float]]:
    """Collects the seconds of every XLA compilation inside the block."""
    from jax import monitoring

    seconds: list[float] = []
    active = True

    def listen(event: str, duration_secs: float, **_: str | int) -> None:
        if active and event == COMPILE_EVENT:
            seconds.append(duration_secs)

    monitoring.register_event_duration_secs_listener(listen)
    try:
        yield seconds
    finally:
        active = False


def machine() -> dict[str, str]:
    """Processor, cores, memory and versions; no name of the host."""
    description = {
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }
    for package in ("toylab", "jax", "jaxlib", "flax", "numpy"):
        try:
            description[package] = version(package)
        except PackageNotFoundError:
            description[package] = "not installed"
    return description


def _processor() -> str:
    """Model name, family and model number, and the widest vector unit, from /proc/cpuinfo."""
    path = Path("/proc/cpuinfo")
    if not path.exists():
        return platform.processor() or platform.machine()
    lines = path.read_text().split("\n\n")[0].splitlines()
    parts = (line.partition(":") for line in lines)
    fields = {name.strip(): value.strip() for name, _, value in parts}
    flags = fields.get("flags", "").split()
    vector = next((name for name in ("avx512f", "avx2", "avx") if name in flags), "no AVX")
    name = fields.get("model name", platform.machine())
    return f"{name}, family {fields.get('cpu family')} model {fields.get('model')}, {vector}"
