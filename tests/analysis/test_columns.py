"""The shared arithmetic at the values where the plain formulas fail."""

import jax
import jax.numpy as jnp
import numpy as np

from toylab.analysis.columns import columns, products, ratio, root, without_diagonal


def test_columns_of_a_hand_made_matrix():
    found = columns(jnp.array([[3.0, 0.0, 0.0], [4.0, 0.0, -2.0]]))
    np.testing.assert_allclose(found.norm, [5, 0, 2], rtol=1e-6)
    np.testing.assert_allclose(found.unit, [[0.6, 0, 0], [0.8, 0, -1]], rtol=1e-6)
    np.testing.assert_allclose(found.scale, [4.0])
    np.testing.assert_allclose(found.scaled, [[0.75, 0, 0], [1, 0, -0.5]])


def test_columns_survive_entries_whose_squares_do_not_fit_float32():
    for size in (1e30, 1e-30):
        found = columns(jnp.array([[3.0], [4.0]]) * jnp.float32(size))
        np.testing.assert_allclose(found.norm, [5 * size], rtol=1e-6)
        np.testing.assert_allclose(found.unit, [[0.6], [0.8]], rtol=1e-6)


def test_gradient_of_a_norm_is_the_direction_and_zero_at_the_origin():
    W = jnp.array([[3.0, 0.0], [4.0, 0.0]])
    gradient = jax.grad(lambda w: columns(w).norm.sum())(W)
    np.testing.assert_allclose(gradient, [[0.6, 0], [0.8, 0]], rtol=1e-6)


def test_products_and_diagonal():
    left, right = jnp.array([[1.0, 2.0]]), jnp.array([[3.0, 4.0, 5.0]])
    np.testing.assert_array_equal(products(left, right), [[3, 4, 5], [6, 8, 10]])
    np.testing.assert_array_equal(
        without_diagonal(jnp.ones((2, 2, 2))), [[[0, 1], [1, 0]], [[0, 1], [1, 0]]]
    )


def test_ratio_and_root_at_zero():
    assert float(ratio(jnp.float32(6), jnp.float32(4))) == 1.5
    assert float(ratio(jnp.float32(6), jnp.float32(0))) == 0.0
    assert float(jax.grad(ratio, argnums=1)(jnp.float32(6), jnp.float32(0))) == 0.0
    assert float(root(jnp.float32(9))) == 3.0
    assert float(jax.grad(root)(jnp.float32(9))) == np.float32(1 / 6)
    assert float(jax.grad(root)(jnp.float32(0))) == 0.0
