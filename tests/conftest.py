"""What every test runs under: one thread an operation, two devices, a compile cache on disk."""

import os

os.environ.setdefault("JAX_NUM_CPU_DEVICES", "2")

from toylab.environment import pin

pin()

import jax  # noqa: E402  # only after the pinning
import pytest  # noqa: E402

# Broadcasting between arrays of different rank hides mistakes in shapes.
jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture
def key() -> jax.Array:
    """The key of tests that need one, whatever it is."""
    return jax.random.key(20220914)
