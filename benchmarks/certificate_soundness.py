"""Certificates against exact arithmetic: `python -m benchmarks.certificate_soundness [N] [SEED]`.

A certificate may prove less than is true, never more. Every proof of N networks (300 unless told)
is held against a count without rounding, and every float64 logit against its proven error.
"""

from __future__ import annotations

import argparse
import sys
from typing import NamedTuple

import numpy as np

from benchmarks.certificate_cases import Case, cases
from benchmarks.exact_logits import distance, exact_logits, n_right
from toylab.analysis.certificate import Method, certify_accuracy
from toylab.analysis.certificate_forward import logit_rows
from toylab.models.mlp import PairMLP

ORDERS = (1, 2, 4, 8)


class Verdict(NamedTuple):
    """One network's proofs beside the truth.

    Attributes:
        kind: the recipe. n_pairs: p². right: pairs answered right, counted without rounding.
        proven: pairs proven by each proof, named "exhaustive", "spectral 4" and so on.
        error_share: largest (true error of a logit) / (its proven bound); sound up to 1.
        bound_share: largest proven bound / largest |logit|; how loose it is.
    """

    kind: str
    n_pairs: int
    right: int
    proven: dict[str, int]
    error_share: float
    bound_share: float

    @property
    def sound(self) -> bool:
        """No proof claims more than the truth, no logit is farther off than its bound."""
        return self.error_share <= 1 and max(self.proven.values()) <= self.right


def judge(case: Case) -> Verdict:
    """All proofs of one network, and the truth."""
    exact = exact_logits(case.model)
    rows = list(logit_rows(case.model))
    computed, bound = np.stack([row.logits for row in rows]), np.stack([row.error for row in rows])
    share = distance(computed, exact) / bound[..., None]
    largest = max(float(abs(computed).max()), 1e-300)
    return Verdict(
        case.kind,
        case.right.size,
        n_right(exact, case.right),
        _proofs(case),
        float(share.max()),
        float(bound.max() / largest),
    )


def _proofs(case: Case) -> dict[str, int]:
    proven: dict[str, int] = {}
    methods: list[Method] = ["exhaustive", "energy"]
    quadratic = isinstance(case.model, PairMLP) and case.model.activation == "quadratic"
    if quadratic and case.answers is None:
        methods.append("weights")
    for method in methods:
        found = certify_accuracy(case.model, method=method, answers=case.answers)
        proven[method] = found.proven_pairs
    for order in ORDERS:
        found = certify_accuracy(case.model, method="spectral", order=order, answers=case.answers)
        proven[f"spectral {order}"] = found.proven_pairs
    return proven


def report(verdicts: list[Verdict]) -> str:
    """A line for each recipe: how many networks, how much is true and how much is proven of it."""
    lines = [f"{len(verdicts)} networks, {sum(not v.sound for v in verdicts)} unsound"]
    for kind in dict.fromkeys(verdict.kind for verdict in verdicts):
        group = [verdict for verdict in verdicts if verdict.kind == kind]
        pairs = sum(verdict.n_pairs for verdict in group)
        shares = [f"right {sum(v.right for v in group) / pairs:.3f}"]
        for name in group[0].proven:
            count = sum(verdict.proven.get(name, 0) for verdict in group)
            shares.append(f"{name} {count / pairs:.3f}")
        shares.append(f"error/bound {max(v.error_share for v in group):.2g}")
        shares.append(f"bound/logit {max(v.bound_share for v in group):.2g}")
        lines.append(f"{kind} ({len(group)}): " + ", ".join(shares))
    return "\n".join(lines + [f"UNSOUND {v}" for v in verdicts if not v.sound])


def main() -> int:
    """Judges the networks and prints the report; 1 if a certificate is unsound."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.certificate_soundness")
    parser.add_argument("n_cases", nargs="?", type=int, default=300, help="networks (300)")
    parser.add_argument("seed", nargs="?", type=int, default=0, help="of the draw (0)")
    options = parser.parse_args()
    verdicts = [judge(case) for case in cases(options.n_cases, options.seed)]
    print(report(verdicts))
    return int(not all(verdict.sound for verdict in verdicts))


if __name__ == "__main__":
    sys.exit(main())
