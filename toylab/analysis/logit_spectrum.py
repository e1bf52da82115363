"""The logits of arithmetic modulo p as waves: how much they have of each frequency, and the keys.

Notation. L[a, b, c] are the logits, t = answers[a, b] the right answer, (a + b) mod p unless told,
s = (t - c) mod p how far an output is from it, and w_k = 2 pi k / p. Lc is L less its means over
(a, b) for each c and over c for each (a, b). A network that computes the answer by waves has
L = sum_k alpha_k cos(w_k s) over a few key frequencies k.

Everything that depends on t alone is worked out on the p x p table of means over the pairs of one
answer, not on the p^3 logits. For an operation other than addition t has other classes of pairs;
subtraction has equally large ones, and all said here holds. Multiplication has not (0 has more
pairs), and there waves of t are correlated with the constant, by about 1/p.

All functions take one network's logits [p, p, p] and can be traced; `jax.vmap` adds snapshots.

Sources: Nanda et al. 2023, "Progress measures for grokking via mechanistic interpretability"
(2301.05217), section 4, and the code released with it.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from toylab.analysis.arguments import Numbers, real
from toylab.analysis.columns import ratio
from toylab.analysis.fourier import basis_rows, sum_by_frequency
from toylab.analysis.modular_arguments import (
    answer_grid,
    frequency_mask,
    logit_cube,
    n_frequencies,
)
from toylab.config import Rule
from toylab.errors import ConfigTypeError

__all__ = [
    "AnswerTable",
    "LogitSpectrum",
    "PlaneSpectrum",
    "answer_table",
    "class_means",
    "fraction_explained",
    "key_frequencies",
    "logit_spectrum",
    "plane_spectrum",
]


class LogitSpectrum(NamedTuple):
    """The logits' waves in s = (answer - c) mod p.

    Attributes:
        class_means: [p], g(s), the mean of Lc over all (a, b, c) with that s; sums to 0.
        energy: [K], E_k = 2p |sum_s g(s) exp(-i w_k s)|^2, in units of L^2, summed over p^3 logits.
        share: [K], E_k over the total, in [0, 1] up to rounding; keys add up to what they explain.
        cosine_share: [K], the same of the cosines alone, at most `share`.
        amplitude: [K], alpha_k of the closest sum_k alpha_k cos(w_k s), in units of L.
        total: [], |Lc|^2.
    """

    class_means: jax.Array
    energy: jax.Array
    share: jax.Array
    cosine_share: jax.Array
    amplitude: jax.Array
    total: jax.Array


class PlaneSpectrum(NamedTuple):
    """The logits' waves in the plane of pairs (a, b).

    Attributes:
        energy: [p, p], of Lc in the product of basis rows x (along a) and y (along b), summed over
            c; in the order of `fourier_basis`: [2k-1, 2k] belongs to cos(w_k a) sin(w_k b).
        share: [K], what the four products of cos, sin(w_k a) and cos, sin(w_k b) hold, in [0, 1].
        total: [], |Lc|^2, the sum of `energy`.
    """

    energy: jax.Array
    share: jax.Array
    total: jax.Array


class AnswerTable(NamedTuple):
    """The logits averaged over the pairs that have the same answer.

    Attributes:
        mean: [p, p], M[t, c], the mean of L[a, b, c] over pairs with answer t; 0 without any.
        pairs: [p], how many pairs have answer t; p each for addition.
    """

    mean: jax.Array
    pairs: jax.Array


def answer_table(logits: Numbers, answers: Numbers | None = None) -> AnswerTable:
    """Means over the pairs with the same answer, all that the key part of the logits depends on.

    Args:
        logits: [p, p, p], indexed [a, b, c].
        answers: [p, p]; (a + b) mod p unless given.

    Returns:
        AnswerTable(mean [p, p], pairs [p]).

    Example: L = cos(w_1 (a + b - c)) has M[t, c] = cos(w_1 (t - c)).
    """
    cube = logit_cube(logits)
    return _answer_table(cube, answer_grid(answers, cube.shape[0]))


def class_means(logits: Numbers, answers: Numbers | None = None) -> jax.Array:
    """g(s): the mean of the centred logits over all (a, b, c) with (answer - c) mod p = s.

    Args:
        logits: [p, p, p].
        answers: [p, p]; (a + b) mod p unless given.

    Returns:
        [p], summing to 0. g(0) - g(s) is by how much the right answer leads one that is s off, on
        average.

    Example: logits 1 at c = a + b and 0 elsewhere give g = (1 - 1/p, -1/p, ..., -1/p).
    """
    return logit_spectrum(logits, answers).class_means


def logit_spectrum(logits: Numbers, answers: Numbers | None = None) -> LogitSpectrum:
    """Energy of the logits at each frequency of s: E_k = 2p |g_k|^2, g_k the transform of g.

    Centring over (a, b) as well as over c matters: biases of single outputs are no part of the
    computation, and with them in the total the shares come out lower.

    Args:
        logits: [p, p, p].
        answers: [p, p]; (a + b) mod p unless given.

    Returns:
        LogitSpectrum; all fields 0 for logits that depend on c or on (a, b) alone.

    Source: Nanda et al. 2023, section 4 (logits approximated by sum_k alpha_k cos w_k(a+b-c)).
    Example: L = 3 cos(w_1 s), p = 5, has E = [9 * 125/2, 0], share [1, 0], amplitude [3, 0].
    """
    cube = logit_cube(logits)
    return _logit_spectrum(cube, answer_grid(answers, cube.shape[0]))


def fraction_explained(logits: Numbers, keys: Numbers, answers: Numbers | None = None) -> jax.Array:
    """The fraction of variance of the logits that waves of s at the keys explain (FVE).

    sum over keys of E_k / |Lc|^2.

    Args:
        logits: [p, p, p].
        keys: frequency numbers [n] in 1..K, or a mask [K].
        answers: [p, p]; (a + b) mod p unless given.

    Returns:
        [] in [0, 1]; 0 for logits without variance.

    Source: Nanda et al. 2023, section 4.
    Example: L = 2 cos(w_1 s) + cos(w_2 s) has 4/5 by key 1.
    """
    found = logit_spectrum(logits, answers)
    return found.share @ frequency_mask(keys, found.class_means.shape[0]).astype(found.share.dtype)


def key_frequencies(
    logits: Numbers, threshold: float = 0.01, answers: Numbers | None = None
) -> np.ndarray:
    """The frequencies that each hold more than `threshold` of the logits' variance.

    Take them from the end of training and hold them fixed for its whole history. The length
    depends on the values, so this cannot be traced; the mask `logit_spectrum(logits).share >
    threshold` can, and is taken wherever `keys` are.

    Args:
        logits: [p, p, p], concrete.
        threshold: a share in [0, 1). A frequency just below it is missed, however useful. At
            small p, 1 % is less than a table learned by heart has of every frequency, which is
            up to train_fraction / K: .014 for p = 59 and .4, .005 for p = 113 and .3.
        answers: [p, p]; (a + b) mod p unless given.

    Returns:
        int [n], ascending, in 1..K; possibly empty.

    Raises:
        ConfigError: `threshold=1.0: must be in [0, 1)`.
        ConfigTypeError: the logits are traced.

    Source: a rule on logits. The released code of Nanda et al. 2023 collects the best frequency of
        each neuron instead, and leaves out k = K.
    Example: L = 2 cos(w_1 s) + cos(w_3 s), p = 7, has [1, 3].
    """
    if isinstance(logits, Tracer):
        raise ConfigTypeError(
            "logits are traced: how many keys there are depends on their values; "
            "use the mask logit_spectrum(logits).share > threshold"
        )
    real("threshold", threshold, Rule("float", low=0.0, high=1.0, high_open=True))
    return np.flatnonzero(np.asarray(logit_spectrum(logits, answers).share) > threshold) + 1


def plane_spectrum(logits: Numbers) -> PlaneSpectrum:
    """Energy of the centred logits in products of a wave of a and a wave of b.

    cos and sin of w_k(a + b) lie in four of the p^2 products, those of cos, sin(w_k a) with
    cos, sin(w_k b); cos and sin of w_k(a - b) fill the other half of these four.

    Args:
        logits: [p, p, p].

    Returns:
        PlaneSpectrum(energy [p, p], share [K], total []); the sum of `share` over the keys is
        what 4 components a key hold.

    Source: Nanda et al. 2023, section 4.1 (20 components stand out: 4 for each of 5 keys).
    Example: L = cos(w_k (a + b - c)) has p^3/8 in each of its four products.
    """
    return _plane_spectrum(logit_cube(logits))


@jax.jit
def _answer_table(cube: jax.Array, grid: jax.Array) -> AnswerTable:
    p, answers = cube.shape[0], grid.reshape(-1)
    pairs = jax.ops.segment_sum(jnp.ones(p * p, cube.dtype), answers, p)
    sums = jax.ops.segment_sum(cube.reshape(p * p, p), answers, p)
    return AnswerTable(sums / jnp.maximum(pairs, 1)[:, None], pairs)


@jax.jit
def _centred(cube: jax.Array) -> jax.Array:
    """Lc: no mean over (a, b) for any c, none over c for any (a, b)."""
    by_output = cube.mean(0).mean(0)
    return cube - by_output[None, None] - (cube - by_output[None, None]).mean(2, keepdims=True)


@jax.jit
def _logit_spectrum(cube: jax.Array, grid: jax.Array) -> LogitSpectrum:
    p, centred = cube.shape[0], _centred(cube)
    table = _answer_table(centred, grid)
    rows = np.arange(p)[None]
    # Along a diagonal of the table t - c = s; answers weigh by the number of their pairs.
    diagonals = table.mean[rows, (rows - rows.T) % p]
    means = diagonals @ table.pairs / (p * p)
    waves = jnp.matmul(
        jnp.asarray(basis_rows(p), cube.dtype), means, precision=jax.lax.Precision.HIGHEST
    )
    cosines = waves[1 : 2 * n_frequencies(p) : 2]
    total = jnp.square(centred).sum()
    energy = p * p * sum_by_frequency(jnp.square(waves))
    whole = jnp.broadcast_to(total, energy.shape)
    return LogitSpectrum(
        class_means=means,
        energy=energy,
        share=ratio(energy, whole),
        cosine_share=ratio(p * p * jnp.square(cosines), whole),
        amplitude=jnp.sqrt(2 / p) * cosines,
        total=total,
    )


@jax.jit
def _plane_spectrum(cube: jax.Array) -> PlaneSpectrum:
    p, highest = cube.shape[0], jax.lax.Precision.HIGHEST
    F = jnp.asarray(basis_rows(p), cube.dtype)
    along_a = jnp.einsum("xa,abc->xbc", F, _centred(cube), precision=highest)
    waves = jnp.einsum("yb,xbc->xyc", F, along_a, precision=highest)
    energy = jnp.square(waves).sum(2)
    by_column = sum_by_frequency(energy)
    both = jnp.diagonal(sum_by_frequency(by_column.T))
    total = energy.sum()
    return PlaneSpectrum(energy, ratio(both, jnp.broadcast_to(total, both.shape)), total)
