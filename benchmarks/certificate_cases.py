"""Networks to hold certificates against: random, trained, half-trained, planted, adversarial.

A case is a network with the answers that count as right. Where the answers are not a + b mod p they
are what the network itself says on a part of the pairs, so that any accuracy occurs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks.exact_logits import exact_logits
from toylab.data.modular import answers
from toylab.models.mlp import PairMLP, gromov, random_pair_mlp
from toylab.models.transformer import Sizes, Transformer, random_transformer
from toylab.training.train import start, train

N_TRAINED = 12
STEPS = (0, 20, 60, 400)


class Case(NamedTuple):
    """A network to certify.

    Attributes:
        kind: which recipe made it. model: the network.
        answers: [p, p], what counts as right; None stands for a + b mod p.
    """

    kind: str
    model: PairMLP | Transformer
    answers: np.ndarray | None = None

    @property
    def right(self) -> np.ndarray:
        """The answers in full, [p, p]."""
        if self.answers is not None:
            return self.answers
        model = self.model
        p = len(model.W_out) if isinstance(model, PairMLP) else model.sizes.d_vocab - 1
        return answers("add", p)


def cases(n_cases: int, seed: int) -> Iterator[Case]:
    """`n_cases` networks, the recipes taken in turn; the same for the same seed."""
    for number in range(n_cases):
        recipe = RECIPES[number % len(RECIPES)]
        draw = np.random.default_rng([seed, number])
        yield recipe(draw)._replace(kind=recipe.__name__.removeprefix("_"))


def _random_two_layers(draw: np.random.Generator) -> Case:
    """Independent normal weights of any scale."""
    p, m, scale = int(draw.integers(3, 14)), int(draw.integers(1, 20)), 10.0 ** draw.uniform(-3, 3)
    W_a, W_b = scale * draw.normal(size=(2, m, p))
    tied = bool(draw.integers(2))
    return Case("", _pair(W_a, draw.normal(size=(p, m)), W_a if tied else W_b, _activation(draw)))


def _worked_out(draw: np.random.Generator) -> Case:
    """Analytic weights: 100 % or, with few random phases, less."""
    design = draw.choice(["exact", "tied", "random"]).item()
    return Case("", _gromov(_odd(draw), design, int(draw.integers(2, 9))))


def _worked_out_with_noise(draw: np.random.Generator) -> Case:
    """Analytic weights and normal noise: accuracy anywhere."""
    model = _gromov(_odd(draw), draw.choice(["exact", "tied"]).item())
    noise = draw.uniform(0, 0.6)
    weights = (np.asarray(W) + noise * draw.normal(size=W.shape) for W in _weights(model))
    return Case("", _pair(*weights))


def _right_on_half(draw: np.random.Generator) -> Case:
    """Analytic weights whose answers above p/2 are permuted."""
    W_a, W_out, W_b = _weights(_gromov(_odd(draw)))
    half = len(W_out) // 2
    W_out[half:] = np.roll(W_out[half:], 1, axis=0)
    return Case("", _pair(W_a, W_out, W_b))


def _upside_down(draw: np.random.Generator) -> Case:
    """Analytic weights negated: no residual at all, and every pair wrong."""
    W_a, W_out, W_b = _weights(_gromov(_odd(draw)))
    return Case("", _pair(W_a, -W_out, W_b))


def _ties(draw: np.random.Generator) -> Case:
    """Equal logits: some or all answers share one row of weights."""
    W_a, W_out, W_b = _weights(_gromov(_odd(draw)))
    twins = draw.integers(0, len(W_out), 2)
    W_out[twins] = W_out[twins[0]]
    return Case("", _pair(W_a, W_out * draw.integers(2), W_b))


def _near_ties(draw: np.random.Generator) -> Case:
    """Logits that differ in the last places, half of them the wrong way."""
    p = int(draw.integers(3, 8))
    W_a, W_b = draw.normal(size=(2, 9, p))
    W_out = np.repeat(draw.normal(size=(1, 9)), p, axis=0)
    W_out *= 1 + draw.integers(-3, 4, W_out.shape) * 2.0**-52
    return Case("", _pair(W_a, W_out, W_b, _activation(draw)))


def _cancellation(draw: np.random.Generator) -> Case:
    """Analytic weights beside neurons of any size that cancel, in real arithmetic alone."""
    W_a, W_out, W_b = _weights(_gromov(_odd(draw)))
    size = 10.0 ** draw.uniform(3, 20) * draw.normal(size=W_out[:, :4].shape)
    W_a, W_b = (np.vstack([W[:4], W, W[:4]]) for W in (W_a, W_b))
    return Case("", _pair(W_a, np.hstack([size, W_out, -size]), W_b))


def _table(draw: np.random.Generator) -> Case:
    """A ReLU neuron for each pair, which writes any logits: the answer just ahead of noise."""
    p = int(draw.choice([3, 5, 7]))
    a, b = np.divmod(np.arange(p * p), p)
    W_a, W_b = (2 * (x[:, None] == np.arange(p)[None]) - 1.0 for x in (a, b))
    logits = draw.normal(size=(p * p, p))
    right = answers("add", p).ravel()
    logits[np.arange(p * p), right] = logits.max(1) + draw.exponential(1.0, p * p) - 0.05
    return Case("", _pair(W_a, logits.T, W_b, "relu"))


def _random_attention(draw: np.random.Generator) -> Case:
    """A random transformer, right by definition on a part of the pairs; sharp attention or flat."""
    weights = _normal_attention(draw)
    weights["W_Q"] *= 10.0 ** draw.uniform(-2, 2)
    weights |= {name: draw.normal(size=weights[name].shape) for name in ("b_in", "b_out")}
    return _partly_right(Transformer(**weights), draw)


def _attention_with_ties(draw: np.random.Generator) -> Case:
    """A transformer two of whose answers have one unembedding, or all of them none."""
    weights = _normal_attention(draw)
    weights["W_U"][:, 0] = weights["W_U"][:, 1]
    weights["W_U"] *= draw.integers(2)
    return _partly_right(Transformer(**weights), draw)


def _trained_two_layers(draw: np.random.Generator) -> Case:
    """A ReLU or quadratic network after some steps, on all pairs."""
    return Case("", _taken(_trained_pairs(draw.choice(["relu", "quadratic"]).item()), draw))


def _trained_attention(draw: np.random.Generator) -> Case:
    """A small transformer after some steps, on all pairs."""
    return Case("", _taken(_trained_transformers(), draw))


RECIPES: tuple[Callable[[np.random.Generator], Case], ...] = (
    _random_two_layers,
    _worked_out,
    _worked_out_with_noise,
    _right_on_half,
    _upside_down,
    _ties,
    _near_ties,
    _cancellation,
    _table,
    _random_attention,
    _attention_with_ties,
    _trained_two_layers,
    _trained_attention,
)


def _odd(draw: np.random.Generator) -> int:
    return int(draw.choice([3, 5, 7, 11, 13]))


def _activation(draw: np.random.Generator) -> Any:
    return draw.choice(["relu", "quadratic"]).item()


@cache
def _gromov(p: int, design: Any = "exact", n_per_frequency: int = 2) -> PairMLP:
    return gromov(p, design, n_per_frequency, jax.random.key(n_per_frequency))


def _weights(model: PairMLP) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """W_a, W_out, W_b as copies in float64."""
    W_a, W_b = model.inputs
    W_a, W_out, W_b = (np.array(W, np.float64) for W in (W_a, model.W_out[...], W_b))
    return W_a, W_out, W_b


def _pair(W_a: Any, W_out: Any, W_b: Any, activation: Any = "quadratic") -> PairMLP:
    """A network with weights in float64: a certificate is about whatever is stored."""
    return PairMLP(W_a, W_out, W_b, activation)


def _sizes(p: int, d_model: int = 4, d_mlp: int = 6) -> Sizes:
    return Sizes(d_vocab=p + 1, n_ctx=3, d_model=d_model, n_heads=2, d_head=3, d_mlp=d_mlp)


def _normal_attention(draw: np.random.Generator) -> dict[str, Any]:
    """Normal weights of a small transformer in float64, biases 0."""
    vocab, ctx, d, heads, head, mlp, layers = _sizes(int(draw.integers(3, 7)))
    shapes = {
        "W_E": (vocab, d),
        "W_pos": (ctx, d),
        **dict.fromkeys(("W_Q", "W_K", "W_V"), (layers, heads, d, head)),
        "W_O": (layers, heads, head, d),
        "W_in": (layers, d, mlp),
        "W_out": (layers, mlp, d),
        "W_U": (d, vocab),
    }
    weights = {name: draw.normal(size=shape) for name, shape in shapes.items()}
    return weights | {"b_in": np.zeros((layers, mlp)), "b_out": np.zeros((layers, d))}


def _partly_right(model: Transformer, draw: np.random.Generator) -> Case:
    """Answers: what the network says on a random part of the pairs, others elsewhere."""
    says = exact_logits(model).argmax(-1)
    p = len(says)
    wrong = draw.random((p, p)) < draw.uniform(0, 1)
    return Case("", model, (says + wrong * draw.integers(1, p, (p, p))) % p)


def _logits(model: PairMLP | Transformer, p: int) -> jax.Array:
    """All pairs in float32, [p * p, p]."""
    a, b = jnp.divmod(jnp.arange(p * p), p)
    if isinstance(model, PairMLP):
        return jax.vmap(model)(a, b)
    tokens = jnp.stack([a, b, jnp.full_like(a, p)], axis=1)
    return jax.vmap(model)(tokens)[:, 2, :p]


def _taken(stages: list[Any], draw: np.random.Generator) -> Any:
    """One network at one stage."""
    stage, number = int(draw.integers(len(STEPS))), int(draw.integers(N_TRAINED))
    return jax.tree.map(lambda leaf: leaf[number], stages[stage])


@cache
def _trained_pairs(activation: Any) -> list[Any]:
    return _train(lambda key: random_pair_mlp(7, 24, key, activation, False, 0.3), 7)


@cache
def _trained_transformers() -> list[Any]:
    return _train(lambda key: random_transformer(_sizes(5, 8, 24), key), 5)


def _train(begin: Callable[[jax.Array], Any], p: int) -> list[Any]:
    """Full-batch Adam with weight decay; the networks after each number of `STEPS`."""
    right = jnp.asarray(answers("add", p)).reshape(-1)
    optimizer = optax.adamw(0.02, weight_decay=0.1)

    def loss(model: Any, _: jax.Array) -> jax.Array:
        logits = _logits(model, p)
        return optax.softmax_cross_entropy_with_integer_labels(logits, right).mean()

    def one(key: jax.Array, until: jax.Array) -> Any:
        return train(loss, optimizer, start(begin(key), optimizer), until).params

    keys = jax.random.split(jax.random.key(1), N_TRAINED)
    run = jax.jit(jax.vmap(one, in_axes=(0, None)))
    return [run(keys, jnp.int32(until)) for until in STEPS]
