"""What bad input is told: the full text, and nothing of values under a trace."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from toylab.analysis import modular_arguments as ma
from toylab.errors import ConfigError, ConfigTypeError

REAL = "must be an array of real numbers"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, f"x=None: {REAL}"),
        ("abc", f"x='abc': {REAL}"),
        ([[1.0], [1.0, 2.0]], f"x=[[1.0], [1.0, 2.0]]: {REAL}"),
        (np.ones(2, complex), f"x=complex64[2]: {REAL}"),
        (np.ones(2, bool), f"x=bool[2]: {REAL}"),
    ],
)
def test_real_arrays_of_a_wrong_type(value, text):
    with pytest.raises(ConfigTypeError) as caught:
        ma.real_array("x", value, ("...", "n"))
    assert str(caught.value) == text


@pytest.mark.parametrize(
    ("shape", "axes", "text"),
    [
        ((3,), ("p", "p"), "x=float32[3]: must have the shape [p, p] with p >= 2"),
        ((3, 4), ("p", "p"), "x=float32[3, 4]: must have the shape [p, p] with p >= 2"),
        ((1, 1), ("p", "p"), "x=float32[1, 1]: must have the shape [p, p] with p >= 2"),
        ((2, 3, 3), ("p", "p"), "x=float32[2, 3, 3]: must have the shape [p, p] with p >= 2"),
        ((3, 4), (3, 5), "x=float32[3, 4]: must have the shape [3, 5]"),
        (
            (3,),
            ("...", "p", "d"),
            "x=float32[3]: must have the shape [..., p, d] with d >= 2, p >= 2",
        ),
        ((), ("...", 3), "x=float32[]: must have the shape [..., 3]"),
    ],
)
def test_arrays_of_a_wrong_shape(shape, axes, text):
    with pytest.raises(ConfigError) as caught:
        ma.real_array("x", np.ones(shape, np.float32), axes, least=2)
    assert str(caught.value) == text


@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((3, 3), ("p", "p")),
        ((5, 2, 3, 3), ("...", "p", "p")),
        ((3, 3), ("...", "p", "p")),
        ((4,), ("...",)),
        ((2, 7), ("n", 7)),
    ],
)
def test_arrays_that_fit(shape, axes):
    assert ma.real_array("x", np.ones(shape), axes).shape == shape


def test_values_are_checked_only_when_there_are_any():
    with pytest.raises(ConfigError) as caught:
        ma.real_array("x", [[1.0, np.inf]], ("n", "n2"))
    assert str(caught.value) == "x=float32[1, 2] with inf at [0, 1]: must be finite"
    traced = jax.jit(lambda x: ma.real_array("x", x, ("n",)))(np.array([np.nan, 1.0]))
    assert np.isnan(traced[0])
    found = jax.jit(lambda k: ma.whole_numbers("k", k, ("n",), 0, 1))(np.array([7]))
    assert found.tolist() == [7]


def test_types_become_those_of_the_computation():
    assert ma.real_array("x", [1, 2], ("n",)).dtype == jnp.float32
    assert ma.real_array("x", jnp.ones(2, jnp.bfloat16), ("n",)).dtype == jnp.float32
    assert ma.real_array("x", nnx.Param(jnp.ones(2)), ("n",)).dtype == jnp.float32
    assert ma.whole_numbers("k", np.array([1], np.uint8), ("n",), 0, 1).dtype == jnp.int32


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        ([0.5], ConfigTypeError, "k=float32[1]: must be an array of integers"),
        ([True], ConfigTypeError, "k=bool[1]: must be an array of integers"),
        ([[1]], ConfigError, "k=int32[1, 1]: must have the shape [n] with n >= 0"),
        ([3, 5, 9], ConfigError, "k[1]=5: must be an integer in 2..4"),
        ([1], ConfigError, "k[0]=1: must be an integer in 2..4"),
    ],
)
def test_whole_numbers_that_are_refused(value, error, text):
    with pytest.raises(error) as caught:
        ma.whole_numbers("k", value, ("n",), 2, 4)
    assert str(caught.value) == text


@pytest.mark.parametrize("p", [3, 4, 7, 8, 113])
def test_frequencies_are_those_with_a_sine(p):
    x = np.arange(p)
    sines = [
        k for k in range(1, p) if 2 * k < p and np.abs(np.sin(2 * np.pi * k * x / p)).max() > 0.1
    ]
    assert ma.n_frequencies(p) == len(sines)


def test_masks_by_hand():
    for keys in ([1, 3], [3, 1, 1], np.array([[1], [3]]), [True, False, True], [1.0, 0.0, 1.0]):
        assert ma.frequency_mask(keys, 7).tolist() == [1, 0, 1]
    assert ma.frequency_mask([0.0, 0.25, 1.0], 7).tolist() == [0, 0.25, 1]
    assert ma.frequency_mask([], 7).tolist() == [0, 0, 0]
    assert ma.frequency_mask(2, 7).tolist() == [0, 1, 0]
    assert jax.jit(lambda k: ma.frequency_mask(k, 7))(np.array([1, 3])).tolist() == [1, 0, 1]


@pytest.mark.parametrize(
    ("keys", "error", "text"),
    [
        ([0], ConfigError, "keys[0]=0: must be an integer in 1..3"),
        ([1, 4], ConfigError, "keys[1]=4: must be an integer in 1..3"),
        ([True, False], ConfigError, "keys=bool[2]: must be integers in 1..3 or a mask [3]"),
        ([1.0, 3.0], ConfigError, "keys=float32[2]: must be integers in 1..3 or a mask [3]"),
        ([0.0, np.nan, 1.0], ConfigError, "keys=float32[3] with nan at [1]: must be finite"),
        ("14", ConfigTypeError, f"keys='14': {REAL}"),
    ],
)
def test_keys_that_are_refused(keys, error, text):
    with pytest.raises(error) as caught:
        ma.frequency_mask(keys, 7)
    assert str(caught.value) == text


def test_answers_are_sums_unless_given():
    assert ma.answer_grid(None, 3).tolist() == [[0, 1, 2], [1, 2, 0], [2, 0, 1]]
    given = [[0, 1, 2], [2, 0, 1], [1, 2, 0]]
    assert ma.answer_grid(given, 3).tolist() == given
    with pytest.raises(ConfigError) as caught:
        ma.answer_grid([[0, 1], [1, 2]], 2)
    assert str(caught.value) == "answers[1, 1]=2: must be an integer in 0..1"


def test_pairs_are_all_unless_given():
    assert ma.pair_numbers(None, 2).tolist() == [0, 1, 2, 3]
    assert ma.pair_numbers([3, 1], 2).tolist() == [3, 1]
    for pairs, text in (
        ([4], "pairs[0]=4: must be an integer in 0..3"),
        ([-1], "pairs[0]=-1: must be an integer in 0..3"),
        ([], "pairs=[]: must hold at least one pair number a * p + b"),
    ):
        with pytest.raises(ConfigError) as caught:
            ma.pair_numbers(pairs, 2)
        assert str(caught.value) == text
