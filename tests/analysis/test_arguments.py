"""What bad input is told: the full text, and nothing of it under a trace."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from toylab.analysis.arguments import integer, real, weights
from toylab.config import Rule
from toylab.errors import ConfigError, ConfigTypeError


@pytest.mark.parametrize(
    ("W", "text"),
    [
        (None, "W=None: must be an array of real numbers"),
        ("abc", "W='abc': must be an array of real numbers"),
        ([[1.0], [1.0, 2.0]], "W=[[1.0], [1.0, 2.0]]: must be an array of real numbers"),
        (np.ones((2, 2), complex), "W=complex64[2, 2]: must be an array of real numbers"),
        (np.ones((2, 3), bool), "W=bool[2, 3]: must be an array of real numbers"),
    ],
)
def test_weights_of_a_wrong_type(W, text):
    with pytest.raises(ConfigTypeError) as caught:
        weights(W)
    assert str(caught.value) == text


SHAPE = (
    "must be a matrix [n_hidden, n_features] with at least one row and one column, "
    "or a stack of such matrices"
)


@pytest.mark.parametrize(
    ("W", "text"),
    [
        (1.0, f"W=float32[]: {SHAPE}"),
        (np.ones(3, np.float32), f"W=float32[3]: {SHAPE}"),
        (np.ones((2, 0), np.float32), f"W=float32[2, 0]: {SHAPE}"),
        ([[0.0, np.nan]], "W=float32[1, 2] with nan at [0, 1]: must be finite"),
        ([[[1.0]], [[-np.inf]]], "W=float32[2, 1, 1] with -inf at [1, 0, 0]: must be finite"),
        ([[1e300]], "W=float32[1, 1] with inf at [0, 0]: must be finite"),
    ],
)
def test_weights_that_are_not_a_finite_matrix(W, text):
    with pytest.raises(ConfigError) as caught:
        weights(W)
    assert str(caught.value) == text
    assert not isinstance(caught.value, TypeError)


@pytest.mark.parametrize(
    "W",
    [
        [[1, 2], [3, 4]],
        np.array([[1, 2], [3, 4]]),
        np.array([[1, 2], [3, 4]], np.float64),
        jnp.array([[1, 2], [3, 4]], jnp.bfloat16),
        nnx.Param(jnp.array([[1.0, 2.0], [3.0, 4.0]])),
    ],
    ids=["list", "int64", "float64", "bfloat16", "param"],
)
def test_weights_take_anything_that_holds_a_matrix(W):
    array = weights(W)
    assert array.dtype == jnp.float32
    np.testing.assert_array_equal(array, [[1, 2], [3, 4]])


def test_under_a_trace_values_pass_and_shapes_are_checked():
    assert np.isnan(jax.jit(weights)(jnp.full((1, 1), jnp.nan))).all()
    with pytest.raises(ConfigError, match=r"^W=float32\[3\]: must be a matrix"):
        jax.jit(weights)(jnp.ones(3))


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (0, ConfigError, "n=0: must be an integer in 1..4"),
        (5, ConfigError, "n=5: must be an integer in 1..4"),
        (True, ConfigTypeError, "n=True: must be an int, got bool"),
        (2.0, ConfigTypeError, "n=2.0: must be an int, got float"),
        ("2", ConfigTypeError, "n='2': must be an int, got str"),
    ],
)
def test_integer_refuses(value, error, text):
    with pytest.raises(error) as caught:
        integer("n", value, 1, 4)
    assert str(caught.value) == text


def test_integer_returns_a_plain_int():
    assert type(integer("n", np.int64(3), 1)) is int


RULE = Rule("float", 0.0, 1.0, low_open=True)


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (0.0, ConfigError, "p=0.0: must be in (0, 1]"),
        (2, ConfigError, "p=2: must be in (0, 1]"),
        (np.nan, ConfigError, "p=nan: must be finite and in (0, 1]"),
        ([0.5, -1.0, 3.0], ConfigError, "p[1]=-1.0: must be in (0, 1]"),
        ([[0.5], [np.inf]], ConfigError, "p[1, 0]=inf: must be finite and in (0, 1]"),
        ("0.5", ConfigTypeError, "p='0.5': must be real numbers"),
        (True, ConfigTypeError, "p=True: must be real numbers"),
        ([[1], [1, 2]], ConfigTypeError, "p=[[1], [1, 2]]: must be real numbers"),
    ],
)
def test_real_refuses_and_names_the_first_offender(value, error, text):
    with pytest.raises(error) as caught:
        real("p", value, RULE)
    assert str(caught.value) == text


def test_real_respects_a_closed_and_an_open_end():
    np.testing.assert_array_equal(real("p", [1, 0.5], RULE), [1.0, 0.5])
    with pytest.raises(ConfigError, match=r"^p=1\.0: must be in \[0, 1\)$"):
        real("p", 1.0, Rule("float", 0.0, 1.0, high_open=True))
