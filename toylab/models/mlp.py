"""Two-layer networks that answer a pair of numbers modulo p, started at random or worked out.

K = (p - 1) // 2 frequencies w_k = 2πk/p, k = 1..K. Each number enters as a one-hot vector, so that
a neuron's input weights are a function on the p numbers, and what it writes is another.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp
from flax import nnx

from toylab.config import Rule
from toylab.errors import ConfigError, ConfigTypeError, shown

__all__ = [
    "ACTIVATIONS",
    "Activation",
    "Design",
    "PairMLP",
    "gromov",
    "one_frequency_pair_mlp",
    "random_pair_mlp",
    "standard_width",
]

Activation = Literal["relu", "quadratic"]
Design = Literal["exact", "tied", "random"]

ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "relu": jax.nn.relu,
    "quadratic": jnp.square,
}


class PairMLP(nnx.Module):
    """L = W_out f(W_a e_a + W_b e_b), with f the ReLU or the square; no biases.

    Source: Gromov 2023, "Grokking modular arithmetic" (quadratic, untied); He et al. 2026,
    arXiv 2602.16849 (tied: the input is the sum e_a + e_b, which no order of a and b changes).

    Attributes:
        W_a, W_b: [d_mlp, p], input weights of the first and second number; a tied network has
            `W_b = None` and uses W_a for both.
        W_out: [p, d_mlp]; what neuron m writes on the logits is the column W_out[:, m].
        activation: f, a static word.
    """

    def __init__(
        self,
        W_a: jax.Array,
        W_out: jax.Array,
        W_b: jax.Array | None = None,
        activation: Activation = "quadratic",
    ):
        self.W_a = nnx.Param(W_a)
        self.W_b = None if W_b is None else nnx.Param(W_b)
        self.W_out = nnx.Param(W_out)
        self.activation = activation

    @property
    def inputs(self) -> tuple[jax.Array, jax.Array]:
        """(W_a, W_b), each [d_mlp, p]; the same array twice in a tied network."""
        W_a = self.W_a[...]
        return W_a, W_a if self.W_b is None else self.W_b[...]

    def hidden(self, a: jax.Array | int, b: jax.Array | int) -> jax.Array:
        """f(W_a[:, a] + W_b[:, b]): one pair of numbers in 0..p-1 to its neurons [d_mlp]."""
        W_a, W_b = self.inputs
        return ACTIVATIONS[self.activation](W_a[:, a] + W_b[:, b])

    def __call__(self, a: jax.Array | int, b: jax.Array | int) -> jax.Array:
        """One pair of numbers in 0..p-1 to the logits [p] of its p possible answers."""
        return self.W_out[...] @ self.hidden(a, b)


def standard_width(p: int) -> int:
    """He et al.'s number of neurons, max(512, ⌈512 p² / 529⌉): as many for each pair at any p.

    Hand values: 512 at p = 23, 814 at 29, 931 at 31, 12,359 at 113.

    Raises:
        ConfigError: `p=1: must be an integer >= 2`.
    """
    _check("p", p, Rule("int", 2))
    return max(512, -(-512 * p * p // 529))


def random_pair_mlp(
    p: int,
    d_mlp: int,
    key: jax.Array,
    activation: Activation = "quadratic",
    tied: bool = True,
    scale: jax.Array | float = 0.02,
) -> PairMLP:
    """Every weight normal with mean 0 and standard deviation `scale`, in all layers.

    Args:
        p: the modulus. d_mlp: neurons.
        key: of the draw; equal keys give equal weights.
        activation: f. tied: one input matrix for both numbers.
        scale: He et al. take 0.1 / √p, which is 0.0209 at p = 23.

    Raises:
        ConfigError: p below 2, d_mlp below 1 or an unknown activation.

    Source: He et al. 2026, the runs called standard, grokking and quad_random.
    """
    _check("p", p, Rule("int", 2))
    _check_network(d_mlp, activation)
    key_a, key_out, key_b = jax.random.split(key, 3)
    W_a, W_b = (scale * jax.random.normal(k, (d_mlp, p)) for k in (key_a, key_b))
    W_out = scale * jax.random.normal(key_out, (p, d_mlp))
    return PairMLP(W_a, W_out, None if tied else W_b, activation)


def one_frequency_pair_mlp(
    p: int,
    d_mlp: int,
    key: jax.Array,
    activation: Activation = "quadratic",
    scale: jax.Array | float = 0.02,
) -> PairMLP:
    """A tied network in which each neuron starts as one wave, of one frequency in both layers.

    W_a[m, j] = scale cos(w_k j + φ_m) and W_out[c, m] = scale cos(w_k c + ψ_m). The frequencies
    are dealt evenly and shuffled (numbers of neurons differ by one at most); all phases are
    independent and uniform.

    Args:
        p: the modulus, odd. d_mlp: neurons.
        key: of the draw. activation: f.
        scale: He et al. take 0.02 for the square (SGD, rate 0.1), 0.002 for the ReLU (rate 0.01).

    Raises:
        ConfigError: p even or below 3, d_mlp below 1, or an unknown activation.

    Source: He et al. 2026, the runs called quad_single_freq and relu_single_freq.
    """
    n_frequencies = _odd(p) // 2
    _check_network(d_mlp, activation)
    deal, inward, outward = jax.random.split(key, 3)
    frequency = jax.random.permutation(deal, jnp.arange(d_mlp) % n_frequencies) + 1
    phi, psi = (2 * jnp.pi * jax.random.uniform(k, (d_mlp,)) for k in (inward, outward))
    W_out = scale * _cosines(p, frequency, psi).T
    return PairMLP(scale * _cosines(p, frequency, phi), W_out, None, activation)


def gromov(
    p: int, design: Design = "exact", n_per_frequency: int = 8, key: jax.Array | None = None
) -> PairMLP:
    """Weights worked out on paper, without training: 100 % at any odd p, by waves alone.

    Neuron m squares cos(w_k a + φ) + cos(w_k b + χ) and writes cos(w_k c + φ + χ). Half of the
    product is cos w_k(a+b-c); the choice of phases cancels the rest:

    - exact: φ in {0, π/2, π, 3π/2} × χ in {0, π/2}, 4(p-1) neurons. L = 4 Σ_k cos w_k(a+b-c),
      which is 2(p-1) for the right answer and -2 for all others: a margin of 2p.
    - tied: φ = χ in {0, π/3, 2π/3}, 3K neurons, one input matrix. The *flawed indicator*,
      L = 3/2 ((p/2) 1[c=a+b] + (p/4) 1[c=2a] + (p/4) 1[c=2b] - 1): a margin of 3p/8 for a ≠ b.
    - random: φ and χ drawn for each of `n_per_frequency` neurons at every frequency; errors fade
      as neurons are added.

    Args:
        p: the modulus, odd.
        design: which phases. n_per_frequency, key: of the random design alone.

    Returns:
        A quadratic network with float32 weights in [-1, 1].

    Raises:
        ConfigError: p even or below 3, an unknown design, or a random one without a key.

    Source: Gromov 2023, section 3; the flawed indicator is He et al. 2026's name.
    """
    n_frequencies = _odd(p) // 2
    _check("design", design, Rule("choice", options=("exact", "tied", "random")))
    phi, chi = _gromov_phases(design, n_frequencies, n_per_frequency, key)
    k = jnp.repeat(jnp.arange(1, n_frequencies + 1), phi.shape[1])
    phi, chi = phi.reshape(-1), chi.reshape(-1)
    W_b = None if design == "tied" else _cosines(p, k, chi)
    return PairMLP(_cosines(p, k, phi), _cosines(p, k, phi + chi).T, W_b, "quadratic")


def _gromov_phases(
    design: Design, n_frequencies: int, n_per_frequency: int, key: jax.Array | None
) -> tuple[jax.Array, jax.Array]:
    """φ and χ of the neurons of every frequency, each [K, neurons of a frequency]."""
    if design == "random":
        _check("n_per_frequency", n_per_frequency, Rule("int", 1))
        if key is None:
            raise ConfigError("key=None: the random design draws its phases; give a jax.random.key")
        shape = (2, n_frequencies, n_per_frequency)
        phi, chi = 2 * jnp.pi * jax.random.uniform(key, shape)
        return phi, chi
    if design == "tied":
        phi = chi = jnp.pi / 3 * jnp.arange(3)
    else:
        phi, chi = (jnp.pi / 2 * x.reshape(-1) for x in jnp.mgrid[:4, :2])
    every = (n_frequencies, phi.size)
    return jnp.broadcast_to(phi[None], every), jnp.broadcast_to(chi[None], every)


def _cosines(p: int, frequency: jax.Array, phase: jax.Array) -> jax.Array:
    """cos(w_k j + phase) for j = 0..p-1, one row for each frequency k [m] and phase [m]."""
    # k j is reduced modulo p as an integer: a float32 angle keeps its digits at any p.
    turns = (frequency[:, None] * jnp.arange(p)[None] % p).astype(jnp.float32) / p
    return jnp.cos(2 * jnp.pi * turns + phase[:, None])


def _odd(p: int) -> int:
    """p, if it is an odd modulus of 3 or more."""
    _check("p", p, Rule("int", 3))
    if p % 2 == 0:
        raise ConfigError(f"p={p}: must be odd, so that every frequency has a cosine and a sine")
    return p


def _check_network(d_mlp: int, activation: Activation) -> None:
    _check("d_mlp", d_mlp, Rule("int", 1))
    _check("activation", activation, Rule("choice", options=tuple(ACTIVATIONS)))


def _check(name: str, value: object, rule: Rule) -> None:
    if found := rule.complaint(value):
        text, is_type = found
        raise (ConfigTypeError if is_type else ConfigError)(f"{name}={shown(value)}: {text}")
