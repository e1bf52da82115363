"""What the bits of a result depend on besides its config and key."""

from __future__ import annotations

import os
from importlib import metadata
from typing import NamedTuple

import jax


class Fingerprint(NamedTuple):
    """The versions and settings of a process that decide the bits of its results.

    Attributes:
        toylab: version of this package.
        jax: version of jax.
        jaxlib: version of jaxlib, with the compiler in it.
        numpy: version of numpy.
        optax: version of optax.
        platform: JAX's backend, such as cpu.
        n_devices: local devices; with nproc they set XLA's thread pool, on which bits can depend.
        nproc: the environment's NPROC, empty when it is not pinned.
        xla_flags: the environment's XLA_FLAGS.
        x64: whether 64-bit numbers are on.
    """

    toylab: str
    jax: str
    jaxlib: str
    numpy: str
    optax: str
    platform: str
    n_devices: int
    nproc: str
    xla_flags: str
    x64: bool


def fingerprint() -> Fingerprint:
    """The fingerprint of this process; starts JAX's backend when nothing has yet."""
    versions = (metadata.version(name) for name in ("toylab", "jax", "jaxlib", "numpy", "optax"))
    return Fingerprint(
        *versions,
        platform=jax.default_backend(),
        n_devices=jax.local_device_count(),
        nproc=os.environ.get("NPROC", ""),
        xla_flags=os.environ.get("XLA_FLAGS", ""),
        x64=bool(jax.config.read("jax_enable_x64")),
    )
