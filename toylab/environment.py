"""What the process must look like before JAX starts: the same bits everywhere, compiled only once.

XLA splits large loops by the size of its thread pool, so the bits of a result depend on it; the
command line, the app and every worker pin it here. Only the standard library is imported at the
top, so that this module can be the first.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

# One thread for each operation: operations of toy models are too small to share, and with 8 threads
# the same training takes twice the processor time. Sweeps use the cores instead, one device on
# each.
THREAD_POOL = "1"
MAX_DEVICES = 8


def pin() -> None:
    """Sets what is not set yet: one thread, the CPU, a device for each core, a compile cache.

    Variables that the user has set stay as they are. Works also when jax has been imported, as long
    as it has computed nothing. Without a folder to write to, the cache stays off.
    """
    settings = {
        "NPROC": THREAD_POOL,
        "JAX_NUM_CPU_DEVICES": str(min(usable_cores(), MAX_DEVICES)),
        "JAX_PLATFORMS": "cpu",
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }
    if (folder := cache_folder()) is not None:
        settings["JAX_COMPILATION_CACHE_DIR"] = str(folder)
    for name, value in settings.items():
        os.environ.setdefault(name, value)
    if "jax" in sys.modules:
        _tell_jax()


def usable_cores() -> int:
    """How many processors this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def cache_folder() -> Path | None:
    """Where compiled programs are kept; None when the user's cache cannot be written."""
    given = os.environ.get("JAX_COMPILATION_CACHE_DIR")
    try:
        folder = Path(given) if given else _user_cache() / "toylab" / "jax"
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):  # RuntimeError: the user has no home
        return None
    return folder if os.access(folder, os.W_OK) else None


def _user_cache() -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def _tell_jax() -> None:
    """jax reads its variables when it is imported; afterwards it must be told."""
    import jax

    jax.config.update("jax_platforms", os.environ["JAX_PLATFORMS"] or None)
    jax.config.update("jax_num_cpu_devices", int(os.environ["JAX_NUM_CPU_DEVICES"]))
    if folder := os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        seconds = float(os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"])
        n_bytes = int(os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"])
        jax.config.update("jax_compilation_cache_dir", folder)
        jax.config.update("jax_persistent_cache_min_compile_time_secs", seconds)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", n_bytes)
