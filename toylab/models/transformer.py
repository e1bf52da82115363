"""A small transformer without layer norm: attention, ReLU neurons, and a seat at every site.

A forward pass returns all of its `Activations` and takes an `Edit` that overwrites any of them, so
that ablation, patching and steering are values, not hooks.
"""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

__all__ = ["Activations", "Edit", "Sizes", "Transformer", "random_transformer"]


class Sizes(NamedTuple):
    """The shape of a transformer.

    Attributes:
        d_vocab: tokens. n_ctx: longest sequence. d_model: width of the residual stream.
        n_heads, d_head: attention heads of a layer and their width.
        d_mlp: neurons of a layer; 0 for an attention-only model. n_layers: layers.
    """

    d_vocab: int
    n_ctx: int
    d_model: int
    n_heads: int
    d_head: int
    d_mlp: int
    n_layers: int = 1


class Activations(NamedTuple):
    """What happened inside one forward pass over `n` tokens; in an edit, None leaves a site alone.

    Attributes:
        resid: [n_layers + 1, n, d_model], the residual stream before each layer and at the end.
        pattern: [n_layers, n_heads, n, n], attention from each position (rows) to each other.
        head_out: [n_layers, n_heads, n, d_model], what each head adds to the stream.
        neurons: [n_layers, n, d_mlp], after the ReLU.
        mlp_out: [n_layers, n, d_model], what the neurons add to the stream, with b_out.
    """

    resid: jax.Array | None = None
    pattern: jax.Array | None = None
    head_out: jax.Array | None = None
    neurons: jax.Array | None = None
    mlp_out: jax.Array | None = None


class Edit(NamedTuple):
    """Where `mask` is true, `value` replaces what the model computed; both have a site's shape."""

    mask: Activations = Activations()
    value: Activations = Activations()

    def __call__(self, site: str, layer: int, computed: jax.Array) -> jax.Array:
        """The activation of a layer after the edit."""
        mask, value = getattr(self.mask, site), getattr(self.value, site)
        return computed if mask is None else jnp.where(mask[layer], value[layer], computed)


NO_EDIT = Edit()


class Transformer(nnx.Module):
    """Tokens [n] -> logits [n, d_vocab]; learned positions, causal, ReLU, no norm, no W_U bias.

    Attributes:
        W_E: [d_vocab, d_model]. W_pos: [n_ctx, d_model]. W_U: [d_model, d_vocab].
        W_Q, W_K, W_V: [n_layers, n_heads, d_model, d_head]. W_O: [n_layers, n_heads, d_head,
            d_model].
        W_in: [n_layers, d_model, d_mlp]. b_in: [n_layers, d_mlp]. W_out: [n_layers, d_mlp,
            d_model]. b_out: [n_layers, d_model].

    Source: Elhage et al. 2021, "A Mathematical Framework for Transformer Circuits"; the sizes and
    choices of Nanda et al. 2023, "Progress measures for grokking via mechanistic interpretability".
    """

    def __init__(
        self,
        W_E: jax.Array,
        W_pos: jax.Array,
        W_Q: jax.Array,
        W_K: jax.Array,
        W_V: jax.Array,
        W_O: jax.Array,
        W_in: jax.Array,
        b_in: jax.Array,
        W_out: jax.Array,
        b_out: jax.Array,
        W_U: jax.Array,
    ):
        self.W_E, self.W_pos, self.W_U = nnx.Param(W_E), nnx.Param(W_pos), nnx.Param(W_U)
        self.W_Q, self.W_K, self.W_V = nnx.Param(W_Q), nnx.Param(W_K), nnx.Param(W_V)
        self.W_O = nnx.Param(W_O)
        self.W_in, self.b_in = nnx.Param(W_in), nnx.Param(b_in)
        self.W_out, self.b_out = nnx.Param(W_out), nnx.Param(b_out)

    @property
    def sizes(self) -> Sizes:
        """The shape of this transformer."""
        n_layers, n_heads, d_model, d_head = self.W_Q.shape[-4:]
        return Sizes(
            self.W_E.shape[-2],
            self.W_pos.shape[-2],
            d_model,
            n_heads,
            d_head,
            self.W_in.shape[-1],
            n_layers,
        )

    def __call__(self, tokens: jax.Array) -> jax.Array:
        """Logits [n, d_vocab] for tokens int [n], n <= n_ctx."""
        return self.run(tokens)[0]

    def run(self, tokens: jax.Array, edit: Edit = NO_EDIT) -> tuple[jax.Array, Activations]:
        """Logits [n, d_vocab] and every activation, after `edit`."""
        seen: list[tuple[jax.Array, ...]] = []
        x = self.W_E[...][tokens] + self.W_pos[...][: tokens.shape[0]]
        for layer in range(self.sizes.n_layers):
            x = edit("resid", layer, x)
            pattern = edit("pattern", layer, self.attention(layer, x))
            mixed = jnp.einsum("hqk,kd,hde->hqe", pattern, x, self.W_V[...][layer])
            head_out = edit("head_out", layer, mixed @ self.W_O[...][layer])
            middle = x + head_out.sum(axis=0)
            before = middle @ self.W_in[...][layer] + self.b_in[...][layer][None]
            neurons = edit("neurons", layer, jax.nn.relu(before))
            after = neurons @ self.W_out[...][layer] + self.b_out[...][layer][None]
            mlp_out = edit("mlp_out", layer, after)
            seen.append((x, pattern, head_out, neurons, mlp_out))
            x = middle + mlp_out
        x = edit("resid", self.sizes.n_layers, x)
        resid, *others = (jnp.stack(layers) for layers in zip(*seen, strict=True))
        return x @ self.W_U[...], Activations(jnp.concatenate([resid, x[None]]), *others)

    def attention(self, layer: int, x: jax.Array) -> jax.Array:
        """Where each position of the stream x [n, d_model] looks, [n_heads, n, n]; row sums 1."""
        queries, keys = (jnp.einsum("nd,hde->hne", x, W[...][layer]) for W in (self.W_Q, self.W_K))
        scores = jnp.einsum("hqe,hke->hqk", queries, keys) / self.sizes.d_head**0.5
        causal = jnp.tril(jnp.ones((x.shape[0],) * 2, bool))
        return jax.nn.softmax(jnp.where(causal[None], scores, -jnp.inf), axis=-1)


def random_transformer(sizes: Sizes, key: jax.Array) -> Transformer:
    """Every weight normal with standard deviation 1/sqrt(d_model), W_U 1/sqrt(d_vocab), biases 0.

    Source: the released code of Nanda et al. 2023 (W_out has 1/sqrt(d_model) there too).
    """
    vocab, ctx, d, heads, head, mlp, layers = sizes
    shapes = {
        "W_E": (vocab, d),
        "W_pos": (ctx, d),
        "W_Q": (layers, heads, d, head),
        "W_K": (layers, heads, d, head),
        "W_V": (layers, heads, d, head),
        "W_O": (layers, heads, head, d),
        "W_in": (layers, d, mlp),
        "W_out": (layers, mlp, d),
        "W_U": (d, vocab),
    }
    # One draw, cut up: a draw for each matrix compiles ten times as long.
    *ends, total = itertools.accumulate(map(math.prod, shapes.values()))
    drawn = jnp.split(jax.random.normal(key, (total,)), ends)
    weights = {
        name: numbers.reshape(shape) / (vocab if name == "W_U" else d) ** 0.5
        for numbers, (name, shape) in zip(drawn, shapes.items(), strict=True)
    }
    return Transformer(**weights, b_in=jnp.zeros((layers, mlp)), b_out=jnp.zeros((layers, d)))
