"""Clock or pizza: which of two circuits a network adds with, and logits planted by each.

Notation. L[a, b, c] are the logits of addition modulo an odd p; σ = a + b, δ = a - b and
s = a + b - c, all modulo p; w_k = 2πk/p, frequencies are numbered 1..K with K = (p - 1) // 2. A
*clock* multiplies waves of a and b, so that its logits are waves of s at equal strength everywhere.
A *pizza* takes the absolute value of waves of the mean of a and b, and its logits fade with δ.

All three families of planted logits are a function of δ times a function of s. Since p is odd,
(a, b, c) and (σ, δ, s) number each other one to one, and what they explain of given logits is
worked out on the p x p table of means over σ.

Source: Zhong, Liu, Tegmark and Andreas 2023, "The clock and the pizza" (2306.17844), sections 3
and 4, and the code released with it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from toylab.analysis.arguments import Numbers, integer
from toylab.analysis.columns import columns, ratio
from toylab.analysis.modular_arguments import (
    answer_grid,
    frequency_mask,
    logit_cube,
    n_frequencies,
    real_array,
    whole_numbers,
)
from toylab.analysis.neurons import centred_tables, wave_pairs
from toylab.errors import ConfigError

__all__ = [
    "PlantedShares",
    "accompanying_logits",
    "circularity",
    "clock_logits",
    "correct_logits",
    "distance_irrelevance",
    "gradient_symmetricity",
    "pizza_logits",
    "planted_shares",
]

_FULL = jax.lax.Precision.HIGHEST
_COMPONENTS = 4


class PlantedShares(NamedTuple):
    """What each family of planted logits, one a key with a free coefficient, explains of L.

    Attributes:
        clock: [], by cos w_k s, in [0, 1].
        pizza: [], by |cos(w_k δ/2)| (|cos(w_k s/2)| - |sin(w_k s/2)|), in [0, 1].
        accompanying: [], by -cos w_k(2a - c) - cos w_k(2b - c), in [0, 1].
    """

    clock: jax.Array
    pizza: jax.Array
    accompanying: jax.Array


class _Planted(NamedTuple):
    """Two factors of planted logits, functions of δ and of s, [..., p] each."""

    of_difference: jax.Array
    of_error: jax.Array


def gradient_symmetricity(
    logits_of: Callable[[jax.Array, jax.Array], jax.Array],
    W_E: Numbers,
    key: jax.Array,
    n_triples: int = 100,
) -> jax.Array:
    """The mean cosine between ∂L_abc/∂E_a and ∂L_abc/∂E_b over random (a, b, c).

    The two embeddings are varied apart, also where a = b; c is any output, right or wrong. Triples
    are drawn with replacement. A gradient that is 0 has no direction and contributes 0.

    Args:
        logits_of: the network after its embedding, (E_a [d_model], E_b [d_model]) -> logits [p].
        W_E: [p, d_model], the embeddings of the numbers.
        key: of the triples.
        n_triples: how many, at least 1.

    Returns:
        [] in [-1, 1]; 1 for a function of E_a + E_b.

    Raises:
        ConfigError: `logits_of -> float32[3]: must return one logit for each row of W_E, [5]`.

    Source: Zhong et al. 2023, definition 4.1: .99 in a pizza, .33 in a clock.
    Example: logits_of = E_a - E_b gives -1; E_a * E_b gives the cosine of the one-hot gradients at
        c, the sign of E_a[c] E_b[c].
    """
    table = real_array("W_E", W_E, ("p", "d_model"))
    p, count = len(table), integer("n_triples", n_triples, 1)
    shape = jax.eval_shape(logits_of, table[0], table[0])
    if shape.shape != (p,):
        raise ConfigError(
            f"logits_of -> {shape.dtype}{list(shape.shape)}: "
            f"must return one logit for each row of W_E, [{p}]"
        )

    def cosine(a: jax.Array, b: jax.Array, c: jax.Array) -> jax.Array:
        slopes = jax.grad(lambda e_a, e_b: logits_of(e_a, e_b)[c], (0, 1))(table[a], table[b])
        unit = columns(jnp.stack(slopes, axis=1)).unit
        return unit[:, 0] @ unit[:, 1]

    return jax.vmap(cosine)(*jax.random.randint(key, (3, count), 0, p)).mean()


def correct_logits(logits: Numbers, answers: Numbers | None = None) -> jax.Array:
    """The logit of the right answer, as a table over the sum and the difference of the pair.

    Args:
        logits: [p, p, p], p odd.
        answers: [p, p]; (a + b) mod p unless given.

    Returns:
        [p, p], indexed [σ, δ].

    Raises:
        ConfigError: `p=4: must be odd, or sum and difference do not tell the pair`.

    Source: Zhong et al. 2023, section 3 (correct logits of the two networks).
    Example: p = 3, [1, 0] is the pair (2, 2): 2 + 2 = 1 and 2 - 2 = 0 modulo 3.
    """
    cube = logit_cube(logits)
    a, b = _pairs(_odd(len(cube)))
    return _correct_logits(cube, answer_grid(answers, len(cube)))[a, b]


def distance_irrelevance(logits: Numbers, answers: Numbers | None = None) -> jax.Array:
    """How little the right logit depends on a - b: mean over δ of std over σ, by the overall std.

    Standard deviations divide by n. If the right logit is the same everywhere up to rounding, as in
    a perfect clock, nothing depends on the difference and the value is 1.

    Args:
        logits: [p, p, p], p odd.
        answers: [p, p]; (a + b) mod p unless given.

    Returns:
        [] in [0, 1]; 0 if the right logit depends on a - b alone.

    Raises:
        ConfigError: as `correct_logits`.

    Source: Zhong et al. 2023, definition 4.2: .17 in a pizza, .85 in a clock. The released training
        script takes the best wrong logit instead (.22 for .17 on the same network).
    Example: p = 3, right logits 0 but for one of 1: stds √2/3 in one of three columns, 0 in two,
        √8/9 overall, which gives 1/2.
    """
    return _distance_irrelevance(correct_logits(logits, answers))


def circularity(W_E: Numbers) -> jax.Array:
    """How much the first 4 principal components of the embedding are waves of one frequency each.

    The mean over components v of max_k 2|Σ_j v_j e^(i w_k j)|² / (p|v|²), v [p] being the numbers'
    scores. Components that are rounding noise are left out. Circles of similar size mix in the
    components, which lowers the value although every part is a circle.

    Args:
        W_E: [p, d_model], p at least 3: the embeddings of the numbers, without '='.

    Returns:
        [] in [0, 1]; 1 for one circle, 0 if all numbers have the same embedding.

    Source: Zhong et al. 2023, and the code released with it.
    Example: columns cos w_1 x and sin w_1 x: 1. One column cos w_1 x + cos w_2 x: 1/2.
    """
    table = real_array("W_E", W_E, ("p", "d_model"))
    integer("p", len(table), 3)
    return _circularity(table)


def clock_logits(p: int, frequency: Numbers) -> jax.Array:
    """Logits of a clock of one frequency: cos w_k(a + b - c).

    Args:
        p: the modulus, odd, at least 3.
        frequency: k in 1..K, one or [...].

    Returns:
        [..., p, p, p] in [-1, 1]; 1 at the right answer.

    Raises:
        ConfigError: p is even, or k out of range.

    Source: Zhong et al. 2023, section 2 (the circuit that Nanda et al. 2023 found).
    Example: p = 3, k = 1: 1 at the right answer and -1/2 at the others.
    """
    return _spread(_clock(*_frequency(p, frequency)))


def pizza_logits(p: int, frequency: Numbers) -> jax.Array:
    """Logits of a pizza of one frequency: |cos(w_k δ/2)| (|cos(w_k s/2)| - |sin(w_k s/2)|).

    Args:
        p: the modulus, odd, at least 3.
        frequency: k in 1..K, one or [...].

    Returns:
        [..., p, p, p] in [-1, 1]; |cos(w_k(a - b)/2)| at the right answer, small for numbers that
        are almost opposite on the circle.

    Raises:
        ConfigError: p is even, or k out of range.

    Source: Zhong et al. 2023, section 3. The second factor is a multiple of cos w_k s but for .9 %
        of its variance (p large).
    Example: p = 3, k = 1, a = b: 1 at the right answer, |cos 60°| - |sin 60°| = -.366 elsewhere.
    """
    return _spread(_pizza(*_frequency(p, frequency)))


def accompanying_logits(p: int, frequency: Numbers) -> jax.Array:
    """Logits that accompany a pizza: -cos w_k(2a - c) - cos w_k(2b - c) = -2 cos w_k δ cos w_k s.

    They help where a pizza of frequency k is weak, at numbers opposite on the circle.

    Args:
        p: the modulus, odd, at least 3.
        frequency: k in 1..K, one or [...].

    Returns:
        [..., p, p, p] in [-2, 2].

    Raises:
        ConfigError: p is even, or k out of range.

    Source: Zhong et al. 2023, section 3 (accompanying pizzas).
    Example: p = 3, k = 1, a = b: -2 at the right answer; for a ≠ b it is -2 cos 120° = 1.
    """
    return _spread(_accompanying(*_frequency(p, frequency)))


def planted_shares(logits: Numbers, keys: Numbers) -> PlantedShares:
    """What clocks, pizzas and accompanying pizzas at the keys explain of the logits.

    R² of the least-squares fit of the logits by the planted logits of the keys. Both sides are
    centred over (a, b) for each c and over c for each (a, b), as in `logit_spectrum`.

    Args:
        logits: [p, p, p], p odd.
        keys: frequency numbers [n] in 1..K, or a mask [K], whose zeros leave frequencies out.

    Returns:
        PlantedShares(clock [], pizza [], accompanying []); 0 for logits without variance.

    Raises:
        ConfigError: p is even, or a key that is not in 1..K.

    Source: Zhong et al. 2023, section 3: with one circle of a pizza kept, the clock explains
        75.4 % and the pizza 98.3 %.
    Example: for large p the clock explains 256/(9π⁴(1 - 2/π)) = 80.4 % of a pizza's logits.
    """
    cube = logit_cube(logits)
    _odd(len(cube))
    return _planted_shares(cube, frequency_mask(keys, len(cube)))


def _odd(p: int) -> int:
    if integer("p", p, 3) % 2 == 0:
        raise ConfigError(f"p={p}: must be odd, or sum and difference do not tell the pair")
    return p


def _frequency(p: int, frequency: Numbers) -> tuple[int, jax.Array]:
    K = n_frequencies(_odd(p))
    return p, whole_numbers("frequency", frequency, ("...",), 1, K)


def _pairs(p: int) -> tuple[np.ndarray, np.ndarray]:
    """a and b as tables over (σ, δ)."""
    numbers, half = np.arange(p), (p + 1) // 2
    total, difference = numbers[:, None], numbers[None]
    return half * (total + difference) % p, half * (total - difference) % p


def _turns(p: int, k: jax.Array) -> jax.Array:
    """k x as a part of a turn, [..., p], reduced modulo p before it is rounded."""
    return 2 * jnp.pi / p * (jnp.tensordot(k, jnp.arange(p), axes=0) % p)


def _clock(p: int, k: jax.Array) -> _Planted:
    turns = _turns(p, k)
    return _Planted(jnp.ones_like(turns), jnp.cos(turns))


def _pizza(p: int, k: jax.Array) -> _Planted:
    cos, sin = jnp.abs(jnp.cos(_turns(p, k) / 2)), jnp.abs(jnp.sin(_turns(p, k) / 2))
    return _Planted(cos, cos - sin)


def _accompanying(p: int, k: jax.Array) -> _Planted:
    cos = jnp.cos(_turns(p, k))
    return _Planted(-2 * cos, cos)


_FAMILIES = (_clock, _pizza, _accompanying)


def _spread(factors: _Planted) -> jax.Array:
    """The logits [..., p, p, p] of two factors [..., p]."""
    numbers = np.arange(factors.of_error.shape[-1])[:, None]
    total, difference = ((numbers + x * numbers.T) % len(numbers) for x in (1, -1))
    by_sum = factors.of_error[..., difference]  # σ less c
    return factors.of_difference[..., difference, None] * by_sum[..., total, :]


@jax.jit
def _correct_logits(cube: jax.Array, grid: jax.Array) -> jax.Array:
    return jnp.take_along_axis(cube, grid[..., None], axis=2)[..., 0]


@jax.jit
def _distance_irrelevance(table: jax.Array) -> jax.Array:
    scaled, energy = centred_tables(table[..., None])
    overall = jnp.sqrt(energy[0] / table.size)
    within = scaled[..., 0].std(0).mean()
    return jnp.where(overall > 0, jnp.minimum(ratio(within, overall), 1.0), 1.0)


@jax.jit
def _circularity(W_E: jax.Array) -> jax.Array:
    peak = jnp.abs(W_E).max()
    scaled = W_E / jnp.where(peak > 0, peak, 1.0)
    left, sizes, _ = jnp.linalg.svd(scaled - scaled.mean(0)[None], full_matrices=False)
    floor = max(W_E.shape) * jnp.finfo(W_E.dtype).eps * jnp.linalg.norm(scaled)
    kept = sizes[:_COMPONENTS] > floor
    pairs = wave_pairs(len(W_E), W_E.dtype)
    waves = jnp.einsum("kix,xn->kin", pairs, left[:, :_COMPONENTS], precision=_FULL)
    share = jnp.minimum(jnp.square(waves).sum(1).max(0), 1.0)
    return ratio(jnp.where(kept, share, 0.0).sum(), kept.sum())


@jax.jit
def _planted_shares(cube: jax.Array, mask: jax.Array) -> PlantedShares:
    p = len(cube)
    centred = cube - cube.mean(2, keepdims=True)
    centred = centred - centred.mean(1).mean(0)[None, None]
    variance, rounding = jnp.square(centred).mean(), 16 * jnp.finfo(cube.dtype).eps
    variance = jnp.where(variance > rounding**2 * jnp.square(cube).mean(), variance, 0.0)
    numbers = np.arange(p)[:, None]
    by_sum = centred[_pairs(p)]  # [σ, δ, c]
    table = by_sum[numbers, :, (numbers - numbers.T) % p].mean(0).T  # over σ; [δ, s]
    families = (family(p, jnp.arange(1, len(mask) + 1)) for family in _FAMILIES)
    shares = (ratio(_explained(table, factors, mask), variance) for factors in families)
    return PlantedShares(*(jnp.minimum(share, 1.0) for share in shares))


def _explained(table: jax.Array, planted: _Planted, mask: jax.Array) -> jax.Array:
    """The mean square of the least-squares fit of the table [δ, s] by the planted [K, p]."""
    # Centring planted logits amounts to centring their factor of s.
    of_error = planted.of_error - planted.of_error.mean(1, keepdims=True)
    of_error = jnp.where((mask > 0)[:, None], of_error, 0.0)
    of_difference, dot = planted.of_difference, functools.partial(jnp.einsum, precision=_FULL)
    squares = dot("kd,ld->kl", of_difference, of_difference) * dot("ks,ls->kl", of_error, of_error)
    along = dot("kd,ds,ks->k", of_difference, table, of_error)
    weights = jnp.linalg.pinv(squares, hermitian=True)
    return dot("k,kl,l->", along, weights, along) / table.size
