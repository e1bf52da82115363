"""The transformer against plain numpy, its edits, and the shortcut for the last token."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from toylab.models.last_token import all_pairs, some_pairs
from toylab.models.transformer import Activations, Edit, Sizes, Transformer, random_transformer

TWO = Sizes(d_vocab=7, n_ctx=5, d_model=8, n_heads=2, d_head=3, d_mlp=6, n_layers=2)
PAIRS = Sizes(d_vocab=6, n_ctx=3, d_model=8, n_heads=2, d_head=4, d_mlp=10)
TOKENS = jnp.array([3, 0, 6, 6])


def with_biases(sizes, seed=0):
    """A random transformer whose biases are not zero, so that they are tested."""
    model = random_transformer(sizes, jax.random.key(seed))
    weights = {name: W[...] for name, W in vars(model).items() if not name.startswith("_")}
    weights["b_in"] = 0.3 * jax.random.normal(jax.random.key(1), model.b_in.shape)
    weights["b_out"] = 0.3 * jax.random.normal(jax.random.key(2), model.b_out.shape)
    return Transformer(**weights)


def in_numpy(model, tokens):
    """Logits of one sequence, position by position and head by head, in float64."""
    W = {k: np.asarray(v[...], float) for k, v in vars(model).items() if not k.startswith("_")}
    n = len(tokens)
    x = np.array([W["W_E"][t] + W["W_pos"][i] for i, t in enumerate(tokens)])
    for layer in range(W["W_Q"].shape[0]):
        added = np.zeros_like(x)
        for head in range(W["W_Q"].shape[1]):
            q, k, v = (x @ W[name][layer, head] for name in ("W_Q", "W_K", "W_V"))
            for i in range(n):
                scores = np.array([q[i] @ k[j] for j in range(i + 1)]) / np.sqrt(q.shape[1])
                share = np.exp(scores) / np.exp(scores).sum()
                added[i] += sum(s * v[j] for j, s in enumerate(share)) @ W["W_O"][layer, head]
        x = x + added
        hidden = np.maximum(x @ W["W_in"][layer] + W["b_in"][layer], 0)
        x = x + hidden @ W["W_out"][layer] + W["b_out"][layer]
    return x @ W["W_U"]


@pytest.mark.parametrize("sizes", [TWO, PAIRS, TWO._replace(d_mlp=0)])
def test_logits_are_those_of_plain_numpy(sizes):
    model = with_biases(sizes)
    tokens = TOKENS[: sizes.n_ctx] % sizes.d_vocab
    np.testing.assert_allclose(model(tokens), in_numpy(model, tokens), atol=2e-5)


def test_every_weight_trains():
    abstract = jax.eval_shape(lambda: random_transformer(TWO, jax.random.key(0)))
    model = random_transformer(TWO, jax.random.key(0))
    assert jax.tree.structure(abstract) == jax.tree.structure(model)
    assert len(jax.tree.leaves(model)) == 11
    assert model.sizes == TWO
    gradient = jax.grad(lambda m: jax.nn.logsumexp(m(TOKENS)))(model)
    assert all(float(jnp.abs(leaf).max()) > 0 for leaf in jax.tree.leaves(gradient))


def test_published_standard_deviations():
    sizes = Sizes(d_vocab=114, n_ctx=3, d_model=128, n_heads=4, d_head=32, d_mlp=512)
    model = random_transformer(sizes, jax.random.key(3))
    for name in ("W_E", "W_Q", "W_O", "W_in", "W_out"):
        assert float(jnp.std(getattr(model, name)[...])) == pytest.approx(128**-0.5, rel=0.05)
    assert float(jnp.std(model.W_U[...])) == pytest.approx(114**-0.5, rel=0.05)
    assert not model.b_in[...].any()
    assert sum(leaf.size for leaf in jax.tree.leaves(model)) == 226_816


def test_activations_have_the_documented_shapes():
    _, seen = with_biases(TWO).run(TOKENS)
    n = len(TOKENS)
    shapes = {name: value.shape for name, value in seen._asdict().items()}
    assert shapes == {
        "resid": (3, n, 8),
        "pattern": (2, 2, n, n),
        "head_out": (2, 2, n, 8),
        "neurons": (2, n, 6),
        "mlp_out": (2, n, 8),
    }
    np.testing.assert_allclose(seen.pattern.sum(-1), 1.0, rtol=1e-6)
    assert not np.triu(np.asarray(seen.pattern[0, 0]), 1).any()


@pytest.mark.parametrize("site", Activations._fields)
def test_patching_everything_from_another_input_gives_its_logits(site):
    model = with_biases(TWO)
    other = jnp.array([1, 2, 3, 4])
    logits, donor = model.run(other)
    value = getattr(donor, site)
    edit = Edit(Activations(**{site: jnp.ones(value.shape, bool)}), Activations(**{site: value}))
    patched, seen = model.run(TOKENS, edit)
    np.testing.assert_array_equal(getattr(seen, site), value)
    if site == "resid":  # the last stream decides the logits
        np.testing.assert_allclose(patched, logits, rtol=1e-6)


def test_an_edit_nowhere_changes_nothing():
    model = with_biases(TWO)
    logits, seen = model.run(TOKENS)
    nowhere = jax.tree.map(lambda x: jnp.zeros(x.shape, bool), seen)
    junk = jax.tree.map(lambda x: jnp.full(x.shape, 7.0), seen)
    np.testing.assert_array_equal(model.run(TOKENS, Edit(nowhere, junk))[0], logits)


def test_ablating_one_neuron_takes_its_output_away():
    model = with_biases(PAIRS)
    tokens = jnp.array([1, 4, 5])
    logits, seen = model.run(tokens)
    mask = jnp.zeros(seen.neurons.shape, bool).at[0, 2, 3].set(True)
    edit = Edit(Activations(neurons=mask), Activations(neurons=jnp.zeros(seen.neurons.shape)))
    expected = logits[2] - seen.neurons[0, 2, 3] * (model.W_out[0, 3] @ model.W_U[...])
    np.testing.assert_allclose(model.run(tokens, edit)[0][2], expected, atol=1e-5)


def test_the_last_token_is_that_of_the_whole_forward_pass():
    model = with_biases(PAIRS)
    p = PAIRS.d_vocab - 1
    grid = all_pairs(model)
    assert grid.pattern.shape == (p, p, 2, 3)
    assert grid.neurons.shape == (p, p, 10)
    assert grid.logits.shape == (p, p, p)
    for a, b in [(0, 0), (4, 1), (2, 3)]:
        logits, seen = model.run(jnp.array([a, b, p]))
        np.testing.assert_allclose(grid.logits[a, b], logits[2, :p], atol=1e-5)
        np.testing.assert_allclose(grid.neurons[a, b], seen.neurons[0, 2], atol=1e-5)
        np.testing.assert_allclose(grid.pattern[a, b], seen.pattern[0, :, 2], atol=1e-6)
        some = some_pairs(model, jnp.array([a]), jnp.array([b]))
        np.testing.assert_allclose(some.logits[0], logits[2], atol=1e-5)


def test_its_gradient_is_that_of_the_whole_forward_pass():
    model = with_biases(PAIRS)
    p = PAIRS.d_vocab - 1
    a, b = jnp.array([0, 4, 4, 2]), jnp.array([3, 3, 1, 2])
    tokens = jnp.stack([a, b, jnp.full(4, p)], axis=1)
    fast = jax.grad(lambda m: jnp.sum(jnp.sin(some_pairs(m, a, b).logits)))(model)
    slow = jax.grad(lambda m: jnp.sum(jnp.sin(jax.vmap(m)(tokens)[:, 2])))(model)
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, atol=2e-5), fast, slow)
