"""Proven accuracy as a measure of progress: one certificate for each record of a training."""

from __future__ import annotations

from typing import NamedTuple

import jax
import numpy as np

from toylab.analysis.arguments import Numbers, integer
from toylab.analysis.certificate import (
    LARGEST_ORDER,
    TableMethod,
    certify_table,
    right_answers,
)
from toylab.analysis.certificate_forward import logit_rows, modulus
from toylab.analysis.certificate_spectral import align
from toylab.errors import ConfigTypeError
from toylab.models.mlp import PairMLP
from toylab.models.transformer import Transformer

__all__ = ["CertifiedHistory", "certify_history"]


class CertifiedHistory(NamedTuple):
    """Lower bounds on accuracy at every record, in [0, 1].

    Attributes:
        exhaustive: [n_records], of all proofs the one that proves most.
        spectral: [n_records, n_orders], by moments of the residual.
        energy: [n_records], by the residual's norm.
    """

    exhaustive: np.ndarray
    spectral: np.ndarray
    energy: np.ndarray


def certify_history(
    models: PairMLP | Transformer,
    *,
    orders: tuple[int, ...] = (2, 4, 8),
    answers: Numbers | None = None,
) -> CertifiedHistory:
    """Proven accuracy at each record; a record's logits are computed once for all proofs.

    Args:
        models: a model whose every array has a leading axis of records.
        orders: q of the spectral proofs, each 1..64.
        answers: as `certify_accuracy`.

    Raises:
        ConfigTypeError: `models=list: must be a PairMLP or a Transformer`.
        ConfigError: as `certify_accuracy`, for the first record that is refused.

    Example: Gromov's weights and their negatives give exhaustive = energy = [1, 0].
    """
    if not isinstance(models, PairMLP | Transformer):
        raise ConfigTypeError(f"models={type(models).__name__}: must be a PairMLP or a Transformer")
    orders = tuple(integer("orders", order, 1, LARGEST_ORDER) for order in orders)
    leaves, tree = jax.tree.flatten(jax.tree.map(np.asarray, models))
    records = [
        _bounds(jax.tree.unflatten(tree, record), orders, answers)
        for record in zip(*leaves, strict=True)
    ]
    table = np.array(records).reshape(len(records), len(orders) + 2)
    return CertifiedHistory(table[:, 0], table[:, 2:], table[:, 1])


def _bounds(
    model: PairMLP | Transformer, orders: tuple[int, ...], answers: Numbers | None
) -> list[float]:
    """Exhaustive, energy, then each order."""
    p = modulus(model)
    aligned = align(logit_rows(model), right_answers(answers, p))
    whole: tuple[TableMethod, ...] = ("exhaustive", "energy")
    return [certify_table(aligned, method, 1, 0).lower for method in whole] + [
        certify_table(aligned, "spectral", order, 0).lower for order in orders
    ]
