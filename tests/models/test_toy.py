"""The toy model is its equation, and a well-behaved pytree."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from toylab.models.toy import ACTIVATIONS, ToyModel

RNG = np.random.default_rng(0)
W = RNG.normal(size=(3, 6)).astype(np.float32)
B = RNG.normal(size=6).astype(np.float32)
X = RNG.uniform(size=(10, 6)).astype(np.float32)

EQUATIONS = {
    "linear": lambda z: z,
    "relu": lambda z: np.maximum(z, 0),
    # tanh form of GELU: Hendrycks and Gimpel 2016, section 2.
    "gelu": lambda z: 0.5 * z * (1 + np.tanh(np.sqrt(2 / np.pi) * (z + 0.044715 * z**3))),
}


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_reconstruction_is_the_equation(activation):
    model = ToyModel(jnp.asarray(W), jnp.asarray(B), activation)
    expected = EQUATIONS[activation](X.astype(float) @ W.T @ W + B)
    np.testing.assert_allclose(jax.vmap(model)(X), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(jax.vmap(model.hidden)(X), X @ W.T, rtol=1e-5, atol=1e-6)


def test_gelu_is_close_to_its_exact_form():
    z = np.linspace(-4, 4, 101)
    np.testing.assert_allclose(ACTIVATIONS["gelu"](jnp.asarray(z)), z * special.ndtr(z), atol=1e-3)


def test_one_worked_example():
    """W = (1, -1): feature 0 alone is read back whole, its antipode is silenced by the ReLU."""
    model = ToyModel(jnp.asarray([[1.0, -1.0]]), jnp.zeros(2))
    np.testing.assert_array_equal(model(jnp.asarray([0.7, 0.0])), np.float32([0.7, 0.0]))


def test_leaves_are_the_same_under_a_trace():
    """An attribute that is not a Param turns static under a trace, and never trains."""
    eager = jax.tree.structure(ToyModel(jnp.asarray(W), jnp.asarray(B)))
    traced = jax.eval_shape(lambda w, b: ToyModel(w, b), jnp.asarray(W), jnp.asarray(B))
    assert jax.tree.structure(traced) == eager
    assert [leaf.shape for leaf in jax.tree.leaves(traced)] == [(3, 6), (6,)]


@pytest.mark.parametrize("shape", [(1, 1), (2, 5), (7, 4)])
def test_documented_shapes(shape):
    m, n = shape
    model = ToyModel(jnp.zeros((m, n)), jnp.zeros(n))
    assert jax.eval_shape(model, jnp.zeros(n)).shape == (n,)
    assert jax.eval_shape(model.hidden, jnp.zeros(n)).shape == (m,)
