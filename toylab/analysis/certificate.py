"""Proven lower bounds on the accuracy of a network that answers pairs of numbers modulo p.

What is proven. `lower` ≤ the share of all p² pairs (a, b) for which the right logit is larger than
each of the others (a tie counts as wrong), for *the function*: the network in real arithmetic with
its stored weights. Rounding in the computation is bounded and included, under the assumptions
of `toylab.analysis.rounding`. Not covered: what a float32 evaluation answers where its logits are
off by more than `radius`.

    exhaustive   all pairs in float64; a pair counts if its margin exceeds twice the error bound
    spectral     the logits' table as waves g(s) plus a residual R; a moment of R of order q
    energy       the same table; ‖R‖² alone
    weights      quadratic network: the same ‖R‖² by Gram matrices and a transform; no pairs

The first proves most; how much each of the others proves depends on the residual's shape, and none
of them is always ahead.

Source: Gross et al. 2024, arXiv 2406.11779 (length of a proof against its bound, for another task);
the formulas are in `certificate_spectral` and `certificate_weights`.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple, get_args

import numpy as np

from toylab.analysis import certificate_costs as costs
from toylab.analysis.arguments import Numbers, integer, real
from toylab.analysis.certificate_forward import Row, logit_rows, modulus, pair_weights
from toylab.analysis.certificate_spectral import (
    Aligned,
    align,
    errors_by_energy,
    errors_by_moments,
)
from toylab.analysis.certificate_weights import errors_by_weights
from toylab.analysis.rounding import upward
from toylab.config import Rule
from toylab.errors import ConfigError, ConfigTypeError, shown
from toylab.models.mlp import PairMLP
from toylab.models.transformer import Transformer

__all__ = [
    "LARGEST_ORDER",
    "Certificate",
    "Method",
    "TableMethod",
    "certify_accuracy",
    "certify_logits",
    "certify_table",
    "right_answers",
]

TableMethod = Literal["exhaustive", "spectral", "energy"]
Method = Literal["exhaustive", "spectral", "energy", "weights"]

LARGEST_ORDER = 64
"""The highest order of a spectral proof."""

_LOGIT = Rule("float", -1e100, 1e100)


class Certificate(NamedTuple):
    """A proof that at least `proven_pairs` of p² pairs are answered right.

    Attributes:
        method: which proof.
        lower: proven_pairs / p², a lower bound on accuracy in [0, 1].
        proven_pairs: int. errors_at_most: p² less those.
        errors_bound: the real number that `errors_at_most` is the integer part of; inf, or p² and
            more, when nothing is proven.
        least_margin: min over pairs of the right logit less its best rival, as computed; negative
            if a pair is wrong; nan for weights, which computes no logit.
        rounding_bound: no computed logit is farther than this from the function's; nan for weights.
        radius: if every logit moves by less than this, the pairs counted stay right; 0 when no pair
            is proven or the method does not say which.
        flops: operations, by `certificate_costs`.
    """

    method: Method
    lower: float
    proven_pairs: int
    errors_at_most: int
    errors_bound: float
    least_margin: float
    rounding_bound: float
    radius: float
    flops: int


def certify_accuracy(
    model: PairMLP | Transformer,
    *,
    method: Method = "exhaustive",
    order: int = 4,
    answers: Numbers | None = None,
) -> Certificate:
    """Prove a lower bound on the accuracy over all p² pairs.

    Args:
        model: a two-layer network, or a one-layer transformer on `a b =`; p at most 1000.
        method: which proof; "weights" is for quadratic two-layer networks and a + b alone.
        order: q of the spectral proof, 1..64. A higher one proves more of a network that is right
            with room to spare, and reads less off its waves.
        answers: [p, p] right answers 0..p-1 indexed [a, b]; a + b mod p unless given. A model does
            not know its task: for another one give `toylab.modular.answers(task, p)`.

    Raises:
        ConfigTypeError: `model=list: must be a PairMLP or a Transformer`; answers not integers.
        ConfigError: a weight that is NaN, infinite or beyond 1e30; several layers; a stack of
            models; "weights" asked of a network that is not quadratic, or of another task.

    Example: Gromov's exact weights for p = 5: lower = 1.0 by every method, least_margin = 10.
    """
    _choice("method", method, get_args(Method))
    order, p = integer("order", order, 1, LARGEST_ORDER), modulus(model)
    right = right_answers(answers, p)
    if method != "weights":
        return certify_table(align(logit_rows(model), right), method, order, _flops(model))
    weights = pair_weights(_quadratic(model, right))
    cost = costs.flops_weights(p, len(weights.W_a))
    return _from_bound(method, errors_by_weights(weights), p, math.nan, math.nan, cost)


def certify_logits(
    logits: Numbers,
    *,
    method: TableMethod = "spectral",
    order: int = 4,
    answers: Numbers | None = None,
    error: float = 0.0,
) -> Certificate:
    """The same from a recorded table of logits: what is proven is about these numbers.

    Args:
        logits: [p, p, p] indexed [a, b, c], finite, at most 1e100; of float64 or of
            numbers that float64 holds exactly.
        method, order, answers: as `certify_accuracy`; `flops` leaves out making the table.
        error: one number, how far each logit may be from what the claim is about; 0 for the table
            itself.

    Raises:
        ConfigError: not a cube, an entry that is NaN, infinite or not a float64 (`2**53 + 1`), an
            error that is negative or not one number.

    Example: L = 1[c = a + b mod p] is proven 100 % with an error of 0.49, and 0 % with 0.5.
    """
    _choice("method", method, get_args(TableMethod))
    order = integer("order", order, 1, LARGEST_ORDER)
    given = np.asarray(logits)
    table = real("logits", given, _LOGIT)
    if not np.array_equal(table.astype(given.dtype), given) or not np.array_equal(table, given):
        raise ConfigError(f"logits of {given.dtype}: must be numbers that float64 holds exactly")
    p = table.shape[0] if table.ndim else 0
    if table.shape != (p, p, p) or p < 2:
        raise ConfigError(f"logits of shape {list(table.shape)}: must be [p, p, p] with p >= 2")
    if np.ndim(error):
        raise ConfigError(f"error of shape {list(np.shape(error))}: must be one number")
    doubt = np.full(p, real("error", error, Rule("float", 0.0, 1e100)))
    aligned = align((Row(row, doubt) for row in table), right_answers(answers, p))
    return certify_table(aligned, method, order, 0)


def certify_table(aligned: Aligned, method: TableMethod, order: int, flops: int) -> Certificate:
    """A certificate from logits ordered by their distance from the answer (`align`).

    Args:
        aligned: the table and its error bound. method, order: as `certify_accuracy`.
        flops: what the table has cost.
    """
    p = len(aligned.error)
    margins = aligned.logits[..., 0] - aligned.logits[..., 1:].max(-1)
    if method == "exhaustive":
        return _exhaustive(margins, aligned.error, flops)
    by_moments = method == "spectral"
    errors = errors_by_moments(aligned, order).errors if by_moments else errors_by_energy(aligned)
    cost = flops + (costs.flops_spectral(p) if by_moments else costs.flops_energy(p))
    rounding_bound = float(aligned.error.max())
    return _from_bound(method, errors, p, float(margins.min()), rounding_bound, cost)


def _exhaustive(margins: np.ndarray, error: np.ndarray, flops: int) -> Certificate:
    needed = upward(2 * error)
    proven = margins > needed
    count, n_pairs = int(proven.sum()), margins.size
    room = np.min(margins - needed, where=proven, initial=np.inf) if count else 0.0
    return Certificate(
        method="exhaustive",
        lower=count / n_pairs,
        proven_pairs=count,
        errors_at_most=n_pairs - count,
        errors_bound=float(n_pairs - count),
        least_margin=float(margins.min()),
        rounding_bound=float(error.max()),
        radius=float(room / 2 * (1 - 2.0**-50)),
        flops=flops,
    )


def _from_bound(
    method: Method, errors: float, p: int, least_margin: float, rounding_bound: float, flops: int
) -> Certificate:
    """Errors are integers: a real bound proves its integer part. A bound of nan proves nothing."""
    n_pairs = p * p
    whole = math.floor(errors) if errors < n_pairs else n_pairs
    proven = n_pairs - whole
    return Certificate(
        method, proven / n_pairs, proven, whole, errors, least_margin, rounding_bound, 0.0, flops
    )


def _flops(model: PairMLP | Transformer) -> int:
    """Of the forward pass."""
    if isinstance(model, PairMLP):
        return costs.flops_pair_forward(*model.W_out.shape)
    return costs.flops_transformer_forward(model.sizes)


def _quadratic(model: PairMLP | Transformer, right: np.ndarray) -> PairMLP:
    """The model, if its energy has the closed form."""
    if not isinstance(model, PairMLP) or model.activation != "quadratic":
        kind = model.activation if isinstance(model, PairMLP) else "transformer"
        raise ConfigError(
            f"method='weights' of a {kind} network: must be a quadratic PairMLP, the only one with "
            "a closed form; write method='spectral' or method='exhaustive'"
        )
    if not np.array_equal(right, right_answers(None, len(right))):
        raise ConfigError(
            "method='weights' of another task: must be a + b mod p, the only one with a closed "
            "form; write method='spectral' or method='exhaustive'"
        )
    return model


def right_answers(answers: Numbers | None, p: int) -> np.ndarray:
    """Right answers [p, p] in 0..p-1, checked; a + b mod p when None.

    Raises:
        ConfigTypeError: not integers. ConfigError: another shape, or an answer that is not one.
    """
    numbers = np.arange(p)
    if answers is None:
        return (numbers[:, None] + numbers[None]) % p
    array = np.asarray(answers)
    kind = f"answers={array.dtype}{list(array.shape)}"
    if array.dtype.kind not in "iu":
        raise ConfigTypeError(f"{kind}: must be integers")
    if array.shape != (p, p):
        raise ConfigError(f"{kind}: must be [{p}, {p}], indexed [a, b]")
    if array.min() < 0 or array.max() >= p:
        raise ConfigError(f"{kind} from {array.min()} to {array.max()}: must be in 0..{p - 1}")
    return array.astype(np.int64)


def _choice(name: str, value: str, options: tuple[str, ...]) -> None:
    if found := Rule("choice", options=options).complaint(value):
        text, is_type = found
        raise (ConfigTypeError if is_type else ConfigError)(f"{name}={shown(value)}: {text}")
