"""The training loop against hand-rolled numpy, in pieces, and when it breaks."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from toylab.training.train import adamw, half_cosine, start, train


def bowl(params, step):
    return jnp.sum((params["x"] - 3.0) ** 2)


def numpy_adamw(x, n_steps, rate, decay, cosine):
    """AdamW on the bowl from its paper (Loshchilov and Hutter 2019, algorithm 2)."""
    m = v = np.zeros_like(x)
    for t in range(n_steps):
        g = 2 * (x - 3.0)
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        lr = rate * (0.5 * (1 + np.cos(np.pi * t / n_steps)) if cosine else 1.0)
        x = x - lr * (
            m / (1 - 0.9 ** (t + 1)) / (np.sqrt(v / (1 - 0.999 ** (t + 1))) + 1e-8) + decay * x
        )
    return x


@pytest.mark.parametrize("cosine", [True, False])
@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_adamw_is_the_published_algorithm(cosine, decay):
    optimizer = adamw(half_cosine(0.05, 40, cosine), decay)
    state = train(bowl, optimizer, start({"x": jnp.asarray([0.0, 5.0])}, optimizer), 40)
    expected = numpy_adamw(np.array([0.0, 5.0]), 40, 0.05, decay, cosine)
    np.testing.assert_allclose(state.params["x"], expected, rtol=1e-4)
    assert int(state.step) == 40


def test_pieces_give_the_same_bits():
    optimizer = adamw(half_cosine(0.05, 50, True), 0.0)
    advance = jax.jit(lambda state, until: train(bowl, optimizer, state, until))
    first = start({"x": jnp.asarray([0.0, 5.0])}, optimizer)
    whole = advance(first, 50)
    pieces = first
    for until in (1, 7, 30, 50):
        pieces = advance(pieces, until)
    for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(pieces), strict=True):
        np.testing.assert_array_equal(a, b)


def test_no_steps_leave_the_start():
    optimizer = adamw(half_cosine(0.05, 0, True), 0.0)
    state = train(bowl, optimizer, start({"x": jnp.ones(1)}, optimizer), 0)
    assert state.params["x"] == 1
    assert jnp.isnan(state.loss)


@pytest.mark.parametrize("breaks", ["loss", "gradient"])
def test_divergence_is_caught_and_the_last_good_state_kept(breaks):
    def loss(params, step):
        x = params["x"]
        if breaks == "loss":
            return jnp.where(step == 5, jnp.nan, 1.0) * jnp.sum(x**2)
        # At step 5 a square root is taken at 0: its value is finite, its derivative is not.
        now = jnp.where(step == 5, 1.0, 0.0)
        zero = jnp.sum(x - jax.lax.stop_gradient(x))
        return jnp.sum(x**2) + now * jnp.sqrt(now * zero + (1 - now))

    optimizer = optax.sgd(0.1)
    state = train(loss, optimizer, start({"x": jnp.asarray([1.0])}, optimizer), 20)
    assert int(state.first_bad_step) == 5
    assert state.params["x"][0] == pytest.approx(0.8**5)
    # The loss of step 4, before its own update.
    assert float(state.loss) == pytest.approx(0.8**8)
    assert int(state.step) == 20
