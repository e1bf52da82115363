"""CPU time of one thread: pinning, alternating pairs, compilations counted, the machine named."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

ROOT = Path(__file__).parent.parent
COMPILE_EVENT = "/jax/core/compile/backend_compile_duration"


class Pairs(NamedTuple):
    """CPU seconds of both sides, measured in turn.

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


def pin(core: int) -> None:
    """Holds this process and its children to one core, one thread; call it before importing jax."""
    os.sched_setaffinity(0, {core})
    for name in ("NPROC", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"
    # A warm cache would hide the compile time, which is measured apart.
    os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "false"


def cpu_seconds(work: Callable[[], object]) -> float:
    """User and system time of all threads of this process while `work()` runs."""
    start = time.process_time()
    work()
    return time.process_time() - start


def alternate(ours: Callable[[int], float], theirs: Callable[[int], float], repeats: int) -> Pairs:
    """Measures A B A B ...: each callable takes the repeat's number and returns CPU seconds."""
    seconds = [(ours(repeat), theirs(repeat)) for repeat in range(repeats)]
    return Pairs(*np.array(seconds).T)


class TorchBaseline:
    """The baseline in its own process, waiting between requests so that it costs nothing.

    Args:
        python: an interpreter with torch and numpy.
    """

    def __init__(self, python: str) -> None:
        command = [python, "-m", "benchmarks.baseline_torch", "--serve"]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
        )

    def seconds_per_step(self, work: str, n_steps: int, seed: int) -> float:
        """CPU seconds of one step over all models of `work`, averaged over n_steps steps."""
        request = {"work": work, "n_steps": n_steps, "seed": seed}
        stdin, stdout = self._pipes()
        try:
            print(json.dumps(request), file=stdin, flush=True)
            answer = json.loads(stdout.readline())
        except (BrokenPipeError, json.JSONDecodeError) as error:
            raise RuntimeError("the torch process ended; its own message is above") from error
        return answer["cpu_seconds"] / answer["n_steps"]

    def close(self) -> None:
        """Ends the process."""
        self._pipes()[0].close()
        self.process.wait()

    def _pipes(self) -> tuple[IO[str], IO[str]]:
        stdin, stdout = self.process.stdin, self.process.stdout
        if stdin is None or stdout is None:
            raise RuntimeError("the torch process was started without pipes")
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
