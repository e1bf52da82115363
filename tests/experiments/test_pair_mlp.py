"""Half of the pairs, weighted, are the same loss and the same gradient."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from toylab.errors import ConfigError
from toylab.experiments.pair_mlp import unordered_logits, unordered_loss, unordered_pairs
from toylab.models.mlp import PairMLP, gromov, random_pair_mlp

P = 7
SUMS = np.add.outer(np.arange(P), np.arange(P)) % P


def model(activation):
    return random_pair_mlp(P, 12, jax.random.key(3), activation, True, 0.7)


def loss_over(model, pairs):
    """Mean cross-entropy over ordered pairs, by numpy in float64."""
    W_in, W_out = np.asarray(model.W_a[...], float), np.asarray(model.W_out[...], float)
    a, b = np.divmod(np.asarray(pairs), P)
    before = W_in.T[a] + W_in.T[b]
    hidden = np.maximum(before, 0) if model.activation == "relu" else before**2
    scores = special.log_softmax(hidden @ W_out.T, axis=1)
    return -scores[np.arange(len(a)), (a + b) % P].mean()


def test_pairs_by_hand():
    found = unordered_pairs([[0, 1], [1, 0]])
    assert found.a.tolist() == [0, 0, 1]
    assert found.b.tolist() == [0, 1, 1]
    assert found.right.tolist() == [0, 1, 0]
    assert found.weight.tolist() == [0.25, 0.5, 0.25]


def test_weights_count_what_was_given():
    """(0, 1), (1, 0) and (2, 2) of p = 3, numbered 1, 3 and 8."""
    found = unordered_pairs(SUMS[:3, :3] % 3, [1, 3, 8])
    np.testing.assert_allclose(found.weight, [0, 2 / 3, 0, 0, 0, 1 / 3])


@pytest.mark.parametrize("activation", ["relu", "quadratic"])
@pytest.mark.parametrize("share", [1.0, 0.4])
def test_the_loss_is_that_over_all_ordered_pairs(activation, share):
    pairs = np.random.default_rng(0).permutation(P * P)[: int(share * P * P)]
    found = unordered_loss(model(activation), unordered_pairs(SUMS, pairs))
    assert float(found) == pytest.approx(loss_over(model(activation), pairs), rel=1e-5)


@pytest.mark.parametrize("activation", ["relu", "quadratic"])
def test_logits_are_the_model_on_each_pair(activation):
    pairs = unordered_pairs(SUMS)
    expected = jax.vmap(model(activation))(pairs.a, pairs.b)
    found = unordered_logits(model(activation), pairs)
    assert found.shape == (P * (P + 1) // 2, P)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("activation", ["relu", "quadratic"])
def test_the_gradient_is_that_of_the_plain_loss(activation):
    network = model(activation)
    found = jax.grad(lambda m: unordered_loss(m, unordered_pairs(SUMS)))(network)

    def plain(network):
        numbers = jnp.arange(P * P)
        logits = jax.vmap(network)(numbers // P, numbers % P)
        scores = jax.nn.log_softmax(logits)
        return -jnp.take_along_axis(scores, jnp.asarray(SUMS).reshape(-1, 1), axis=1).mean()

    for mine, expected in zip(
        *map(jax.tree.leaves, (found, jax.grad(plain)(network))), strict=True
    ):
        np.testing.assert_allclose(mine, expected, rtol=1e-4, atol=1e-6)


def test_the_gradient_against_finite_differences():
    network, pairs, step = model("quadratic"), np.arange(P * P), 1e-5
    gradient = jax.grad(lambda m: unordered_loss(m, unordered_pairs(SUMS)))(network)
    W_in = np.asarray(network.W_a[...], float)
    for place in [(0, 0), (5, 3), (11, 6)]:
        sides = []
        for sign in (1, -1):
            W = W_in.copy()
            W[place] += sign * step
            sides.append(loss_over(_Float64(W, network), pairs))
        slope = (sides[0] - sides[1]) / (2 * step)
        assert float(gradient.W_a[place]) == pytest.approx(slope, rel=1e-3, abs=1e-5)


class _Float64:
    """What `loss_over` reads of a network, with input weights in float64."""

    def __init__(self, W_in, network):
        self.W_a, self.W_out, self.activation = W_in, network.W_out[...], network.activation


def test_the_weights_worked_out_on_paper_are_all_right():
    pairs = unordered_pairs(SUMS)
    logits = unordered_logits(gromov(P, "tied"), pairs)
    np.testing.assert_array_equal(logits.argmax(1), pairs.right)


def test_splits_can_be_traced():
    weights = jax.jit(lambda pairs: unordered_pairs(SUMS, pairs).weight)
    np.testing.assert_allclose(
        weights(jnp.array([1, 8, 7])), unordered_pairs(SUMS, [1, 8, 7]).weight
    )


def test_refusals():
    differences = np.subtract.outer(np.arange(5), np.arange(5)) % 5
    with pytest.raises(ConfigError) as caught:
        unordered_pairs(differences)
    assert str(caught.value) == (
        "answers: (0, 1) has 4 but (1, 0) has 1; a tied network answers both alike, so train one "
        "that is not tied"
    )
    with pytest.raises(ConfigError) as caught:
        unordered_pairs(SUMS, [49])
    assert str(caught.value) == "pairs[0]=49: must be an integer in 0..48"
    with pytest.raises(ConfigError) as caught:
        unordered_pairs([0, 1])
    assert str(caught.value) == "answers=int32[2]: must have the shape [p, p] with p >= 0"
    free = PairMLP(jnp.ones((2, P)), jnp.ones((P, 2)), jnp.ones((2, P)))
    with pytest.raises(ConfigError) as caught:
        unordered_logits(free, unordered_pairs(SUMS))
    assert str(caught.value) == (
        "model.W_b: must be None; a network that is not tied tells (a, b) from (b, a)"
    )
