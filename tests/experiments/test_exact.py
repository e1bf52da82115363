"""The exact objective against automatic differentiation of the sum that it stands for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from toylab.data.expected import COARSE, node_weights, nodes
from toylab.data.features import Features
from toylab.experiments.exact import loss_at_nodes, packed, quadratic, unpacked
from toylab.models.toy import ACTIVATIONS

N, M = 4, 3
IMPORTANCE = jnp.asarray(0.7 ** np.arange(N), jnp.float32)
FEATURES = Features(jnp.asarray([0.1, 0.5, 0.3, 0.9], jnp.float32), "uniform", "independent", 1)
POINT = packed(
    0.6 * jax.random.normal(jax.random.key(0), (M, N)),
    0.1 * jax.random.normal(jax.random.key(1), (N,)),
)


def loss(params, activation):
    return loss_at_nodes(*unpacked(params, N), FEATURES, IMPORTANCE, activation, COARSE)


@pytest.mark.parametrize("activation", ["relu", "gelu", "linear"])
def test_value_and_gradient_are_those_of_the_sum_over_nodes(activation):
    found = quadratic(FEATURES, IMPORTANCE, activation, COARSE)(POINT)
    value, gradient = jax.value_and_grad(loss)(POINT, activation)
    np.testing.assert_allclose(found.value, value, rtol=1e-5)
    np.testing.assert_allclose(found.gradient, gradient, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("activation", ["relu", "gelu", "linear"])
def test_curvature_is_the_gauss_newton_matrix_of_the_residuals(activation):
    rule = nodes(N, FEATURES.values, COARSE)
    mass = node_weights(rule, FEATURES)

    def residuals(params):
        W, b = unpacked(params, N)
        out = ACTIVATIONS[activation](jnp.asarray(rule.x) @ W.T @ W + b[None])
        scale = jnp.sqrt(IMPORTANCE[None] * mass[:, None] / N)
        return (scale * (rule.x - out)).ravel()

    jacobian = jax.jacrev(residuals)(POINT)
    found = quadratic(FEATURES, IMPORTANCE, activation, COARSE)(POINT).curvature
    np.testing.assert_allclose(found, 2 * jacobian.T @ jacobian, rtol=1e-4, atol=1e-6)
