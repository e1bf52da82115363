"""What an installation looks like from inside, and whether it computes what it should."""

from __future__ import annotations

import os
import platform
import time
from importlib import metadata
from typing import NamedTuple

import jax

from toylab import environment
from toylab.budget import available_bytes
from toylab.experiments import superposition
from toylab.experiments.superposition import SuperpositionConfig

PENTAGON_LOSS = 0.00178  # least expected loss of 5 equal features at density 0.05 in 2 dimensions
PACKAGES = ("toylab", "jax", "jaxlib", "flax", "optax", "numpy", "scipy", "matplotlib", "streamlit")


class Report(NamedTuple):
    """What `examine` found.

    Attributes:
        facts: (name, text) for each line of the report.
        test: what the self-test measured.
        sound: whether it measured what it should.
    """

    facts: tuple[tuple[str, str], ...]
    test: str
    sound: bool


def examine() -> Report:
    """Reads versions, devices and settings, and solves a small model whose answer is known."""
    folder = environment.cache_folder()
    facts = (
        ("python", f"{platform.python_version()} on {platform.platform()}"),
        *((name, metadata.version(name)) for name in PACKAGES),
        ("devices", ", ".join(str(device) for device in jax.devices())),
        ("processors", str(os.cpu_count())),
        ("NPROC", os.environ.get("NPROC", "not pinned: bits depend on the machine's processors")),
        ("x64", "on: results are not comparable" if jax.config.read("jax_enable_x64") else "off"),
        ("cache", str(folder) if folder else "off: the user's cache folder cannot be written"),
        ("free memory", f"{available_bytes() / 1e9:.1f} GB"),
    )
    start = time.perf_counter()
    result = superposition.solve(SuperpositionConfig(n_features=5, n_hidden=2, sparsity=0.95), 0)
    loss, seconds = float(result.loss), time.perf_counter() - start
    text = f"5 features in 2 dimensions, loss {loss:.5f} (known: {PENTAGON_LOSS}), {seconds:.1f} s"
    return Report(facts, text, abs(loss - PENTAGON_LOSS) < 1e-5)
