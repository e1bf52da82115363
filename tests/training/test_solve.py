"""Levenberg-Marquardt against problems whose minima are known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize

from toylab.training.solve import Quadratic, solve


def sum_of_squares(residuals):
    """The objective of a residual function [p] -> [r]."""

    def objective(params):
        r, jacobian = residuals(params), jax.jacfwd(residuals)(params)
        return Quadratic(r @ r, 2 * jacobian.T @ r, 2 * jacobian.T @ jacobian)

    return objective


def rosenbrock(p):
    return jnp.stack([1 - p[0], 10 * (p[1] - p[0] ** 2)])


def test_linear_least_squares_is_solved(key):
    A = np.asarray(jax.random.normal(key, (20, 4)))
    y = A @ np.float32([1.0, -2.0, 3.0, 0.5]) + 0.1 * np.cos(np.arange(20.0, dtype=np.float32))
    found = solve(sum_of_squares(lambda p: A @ p - y), jnp.zeros(4), 30)
    np.testing.assert_allclose(found.params, np.linalg.lstsq(A, y)[0], rtol=1e-3)


def test_rosenbrock_is_solved_from_its_usual_start():
    found = solve(sum_of_squares(rosenbrock), jnp.asarray([-1.2, 1.0]), 60)
    np.testing.assert_allclose(found.params, [1, 1], atol=1e-3)
    assert found.value < 1e-6


def test_agrees_with_scipy_on_a_fit(key):
    t = np.linspace(0, 2, 30)
    y = 2 * np.exp(-1.5 * t) + 0.1 * np.asarray(jax.random.normal(key, (30,)))
    theirs = optimize.least_squares(lambda p: p[0] * np.exp(-p[1] * t) - y, [1.0, 1.0])
    ours = solve(sum_of_squares(lambda p: p[0] * jnp.exp(-p[1] * t) - y), jnp.ones(2), 40)
    np.testing.assert_allclose(ours.params, theirs.x, rtol=1e-3)
    assert ours.value == pytest.approx(2 * theirs.cost, rel=1e-4)


def test_a_singular_matrix_does_no_harm():
    """A sum is all that matters: a line of minima."""
    found = solve(
        sum_of_squares(lambda p: jnp.sum(p, keepdims=True) - 3), jnp.asarray([1.0, 5.0]), 30
    )
    assert jnp.sum(found.params) == pytest.approx(3, abs=1e-4)


def test_a_start_at_a_flat_point_stays():
    found = solve(sum_of_squares(lambda p: jnp.maximum(p, 0.0) - 1), jnp.asarray([-1.0]), 30)
    assert found.params[0] == -1
    assert found.value == 1


def test_values_never_rise():
    starts = [
        solve(sum_of_squares(rosenbrock), jnp.asarray([-1.2, 1.0]), n) for n in range(0, 20, 3)
    ]
    values = [float(s.value) for s in starts]
    assert values == sorted(values, reverse=True)
    assert values[-1] < values[0] / 100


def test_neighbours_do_not_change_a_start():
    objective = sum_of_squares(rosenbrock)
    many = jax.jit(jax.vmap(lambda p: solve(objective, p, 60).params))
    easy, hard = jnp.asarray([1.0, 1.0]), jnp.asarray([-1.2, 1.0])
    alone, beside = many(jnp.stack([easy, easy])), many(jnp.stack([easy, hard]))
    np.testing.assert_array_equal(alone[0], beside[0])
