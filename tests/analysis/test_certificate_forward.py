"""Error bounds of logits against exact arithmetic, each source of rounding made the largest."""

import numpy as np
import pytest

from benchmarks.exact_logits import distance, exact_logits
from toylab.analysis.certificate_forward import logit_rows
from toylab.models.mlp import PairMLP
from toylab.models.transformer import Transformer

P, D, HEADS, HEAD, MLP = 3, 4, 2, 2, 5


def weights(seed):
    draw = np.random.default_rng(seed)
    shapes = {
        "W_E": (P + 1, D),
        "W_pos": (3, D),
        "W_Q": (1, HEADS, D, HEAD),
        "W_K": (1, HEADS, D, HEAD),
        "W_V": (1, HEADS, D, HEAD),
        "W_O": (1, HEADS, HEAD, D),
        "W_in": (1, D, MLP),
        "b_in": (1, MLP),
        "W_out": (1, MLP, D),
        "b_out": (1, D),
        "W_U": (D, P + 1),
    }
    return {name: draw.normal(size=shape) for name, shape in shapes.items()}


def cancel(arrays, left, right, size):
    """Two more inner dimensions of left @ right, large, that cancel in real arithmetic."""
    draw = np.random.default_rng(9)
    column = size * draw.normal(size=(*arrays[left].shape[:-1], 1))
    row = size * draw.normal(size=(*arrays[right].shape[:-2], 1, arrays[right].shape[-1]))
    arrays[left] = np.concatenate([column, arrays[left], column], axis=-1)
    arrays[right] = np.concatenate([row, arrays[right], -row], axis=-2)


def widen(arrays, *names, axis):
    """Zeros for two more dimensions of the residual stream."""
    for name in names:
        pad = [(0, 0)] * arrays[name].ndim
        pad[axis] = (1, 1)
        arrays[name] = np.pad(arrays[name], pad)


def in_scores(arrays):
    keys = {"keys": arrays["W_K"].swapaxes(-1, -2), "W_Q": arrays["W_Q"]}
    cancel(keys, "W_Q", "keys", 1e6)
    arrays["W_Q"], arrays["W_K"] = keys["W_Q"], keys["keys"].swapaxes(-1, -2)
    pad = [(0, 0)] * 3
    arrays["W_V"] = np.pad(arrays["W_V"], [*pad, (1, 1)])
    arrays["W_O"] = np.pad(arrays["W_O"], [*pad[:2], (1, 1), (0, 0)])


def in_values(arrays):
    cancel(arrays, "W_V", "W_O", 1e6)
    pad = [(0, 0)] * 3
    for name in ("W_Q", "W_K"):
        arrays[name] = np.pad(arrays[name], [*pad, (1, 1)])


def in_stream(arrays, left, right):
    """In the products of two weight matrices across the residual stream."""
    cancel(arrays, left, right, 1e6)
    names = {"W_E", "W_pos", "W_O", "W_out", "b_out"} - {left}
    widen(arrays, *names, axis=-1)
    names = {"W_Q", "W_K", "W_V", "W_in"} - {right}
    widen(arrays, *names, axis=-2)
    if right != "W_U":
        widen(arrays, "W_U", axis=0)


def in_neurons(arrays):
    """Neurons in pairs, large and equal, with opposite output weights."""
    draw = np.random.default_rng(9)
    arrays["W_in"] = np.tile(arrays["W_in"] * 1e6, 2)
    arrays["b_in"] = np.tile(arrays["b_in"], 2)
    arrays["W_out"] = np.concatenate([arrays["W_out"], -arrays["W_out"]], axis=1)
    arrays["W_out"] += np.tile(1e-3 * draw.normal(size=(1, MLP, D)), (1, 2, 1))


SOURCES = {
    "nowhere": lambda arrays: None,
    "scores": in_scores,
    "values": in_values,
    "neurons": in_neurons,
    "head to neurons": lambda arrays: in_stream(arrays, "W_O", "W_in"),
    "head to logits": lambda arrays: in_stream(arrays, "W_O", "W_U"),
    "neurons to logits": lambda arrays: in_stream(arrays, "W_out", "W_U"),
    "bias to logits": lambda arrays: in_stream(arrays, "b_out", "W_U"),
    "token to logits": lambda arrays: in_stream(arrays, "W_E", "W_U"),
    "token to neurons": lambda arrays: in_stream(arrays, "W_E", "W_in"),
    "position to values": lambda arrays: in_stream(arrays, "W_pos", "W_V"),
    "token to scores": lambda arrays: in_stream(arrays, "W_E", "W_K"),
}


def shares(model):
    """Of the proven bound: the true error of every logit, [p, p, p]."""
    rows = list(logit_rows(model))
    error = distance(np.stack([row.logits for row in rows]), exact_logits(model))
    return error / np.stack([row.error for row in rows])[..., None]


@pytest.mark.parametrize("source", SOURCES)
def test_attention_keeps_to_its_bound_wherever_rounding_happens(source):
    found = []
    for seed in range(6):
        arrays = weights(seed)
        SOURCES[source](arrays)
        found.append(shares(Transformer(**arrays)).max())
    assert max(found) <= 1
    assert max(found) > 1e-5  # scores: 2e-5, one pattern for all logits; elsewhere 1e-3 and more


@pytest.mark.parametrize("activation", ["relu", "quadratic"])
@pytest.mark.parametrize("tied", [False, True])
def test_two_layers_keep_to_their_bound(activation, tied):
    found = []
    for seed in range(10):
        draw = np.random.default_rng(seed)
        W_a, W_b = draw.normal(size=(2, 4, 5)) * 10.0 ** draw.integers(-8, 9, (2, 4, 1))
        W_out = draw.normal(size=(5, 4))
        found.append(shares(PairMLP(W_a, W_out, None if tied else W_b, activation)).max())
    assert 0.02 < max(found) <= 1


def test_one_neuron_by_hand():
    # 3 (0.1 + 0.2)²: a rounding in the sum, squared with its argument, one more in each product.
    model = PairMLP(np.array([[0.1, 0.1]]), np.array([[3.0], [0.0]]), np.array([[0.2, 0.2]]))
    [row, _] = logit_rows(model)
    np.testing.assert_allclose(row.logits, [[0.27, 0], [0.27, 0]], rtol=1e-15)
    np.testing.assert_allclose(row.error, 5 * 2.0**-53 * 0.27, rtol=1e-5)


def test_exact_numbers_stay_exact():
    model = PairMLP(np.eye(3), np.eye(3), np.eye(3), "relu")
    for a, row in enumerate(logit_rows(model)):
        np.testing.assert_array_equal(row.logits, np.eye(3)[a] + np.eye(3))


def test_tiny_and_huge_weights_neither_underflow_nor_overflow_the_bound():
    for scale_in, scale_out in ((1e-170, 1e30), (1e30, 1e30), (1e-200, 1e-200)):
        draw = np.random.default_rng(0)
        W_a, W_out = scale_in * draw.normal(size=(4, 3)), scale_out * draw.normal(size=(3, 4))
        clipped = np.clip(W_out, -1e30, 1e30), np.clip(W_a, -1e30, 1e30)
        assert shares(PairMLP(clipped[1], clipped[0])).max() <= 1
