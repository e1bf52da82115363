"""Row certificates: what is proven of trained networks, how fast, and that no proof is wrong."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from benchmarks import timing
from benchmarks.certificate_cases import cases
from benchmarks.certificate_soundness import Verdict, judge
from benchmarks.modular_runs import (
    campaign,
    load_transformer,
    timed,
    weights_path,
)
from benchmarks.modular_setting import Setting
from benchmarks.records import Row, at_least, at_most
from toylab import ModularConfig, modular
from toylab.analysis.certificate import certify_accuracy
from toylab.analysis.certificate_forward import pair_weights
from toylab.analysis.certificate_weights import quadratic_energy
from toylab.analysis.progress_measures import score
from toylab.experiments.modular_config import SETTLED
from toylab.models.mlp import PairMLP
from toylab.models.transformer import Transformer

QUADRATIC = ModularConfig(
    p=59,
    train_fraction=0.5,
    architecture="mlp",
    activation="quadratic",
    inputs="separate",
    d_mlp=256,
    n_steps=4000,
    record_every=200,
)
ORDERS = (2, 4, 8)
N_CASES = 1300


class Proven(NamedTuple):
    """The proofs of one network.

    Attributes:
        network: published, settled, fast or quadratic. seed: its number. p: the modulus.
        accuracy: of its float32 logits over all pairs.
        exhaustive, energy: proven lower bounds on accuracy. spectral: those of orders 2, 4 and 8.
        least_margin: of the exhaustive proof.
        wall_seconds, cpu_seconds: of the exhaustive proof.
    """

    network: str
    seed: int
    p: int
    accuracy: float
    exhaustive: float
    energy: float
    spectral: list[float]
    least_margin: float
    wall_seconds: float
    cpu_seconds: float


def certificates(setting: Setting) -> Row:
    """Row certificates."""
    proofs, energies = [], []
    for network, seed, model in _networks(setting):
        proofs.append(_prove(network, seed, model))
        if isinstance(model, PairMLP):
            energies.append(energy_difference(model))
        print(f"  {network}, seed {seed}: proven {proofs[-1].exhaustive:.6g}", flush=True)
    verdicts = [judge(case) for case in cases(26 if setting.smoke else N_CASES, seed=0)]
    large = [proof for proof in proofs if proof.network != "quadratic"]
    bars = (
        at_most(
            "wall seconds of an exhaustive proof, p = 113, longest",
            2.0,
            max(proof.wall_seconds for proof in large),
        ),
        at_least(
            "share of the networks that are right on all pairs that are proven so",
            1.0,
            _share(proof.exhaustive == 1 for proof in proofs if proof.accuracy == 1),
        ),
        at_least(
            "share of published seeds with 90 % proven, order 4",
            0.8,
            _reach(proofs, "published", 4, 0.9),
        ),
        at_least(
            "share of settled seeds with 90 % proven, order 4",
            0.8,
            _reach(proofs, "settled", 4, 0.9),
        ),
        at_least(
            "share of quadratic seeds with 98 % proven, order 4",
            0.8,
            _reach(proofs, "quadratic", 4, 0.98),
        ),
        at_least(
            "share of published seeds with 100 % proven, order 8",
            1.0,
            _reach(proofs, "published", 8, 1.0),
        ),
        at_most(
            "energy from weights and from all pairs, largest relative difference",
            1e-10,
            max(energies),
        ),
        at_most(
            f"unsound proofs of {len(verdicts)} networks",
            0,
            sum(not verdict.sound for verdict in verdicts),
        ),
    )
    facts = {
        "threads": setting.threads,
        "proofs": [proof._asdict() for proof in proofs],
        "relative_difference_of_energies": energies,
        "soundness": _soundness(verdicts),
        "tables": [_table(proofs)],
        "notes": [_soundness_words(verdicts)],
    }
    cpu = float(np.median([proof.cpu_seconds for proof in large]))
    words = "exhaustive proof of one network of p = 113"
    return Row("certificates", words, bars, cpu, 0.0, timing.machine(), facts)


def _networks(setting: Setting) -> Iterator[tuple[str, int, Transformer | PairMLP]]:
    """Published from the row of that name, fast likewise if it was run; the others trained now."""
    seeds = setting.seeds(5)
    for seed in seeds:
        yield "published", seed, load_transformer(weights_path("published", seed, setting))
    settled = campaign("settled", setting.scaled(SETTLED), seeds, setting)
    for seed in settled:
        if not seed.complaint:
            model = load_transformer(weights_path("settled", seed.seed, setting))
            yield "settled", seed.seed, model
    for seed in setting.seeds(10):
        path = weights_path("fast", seed, setting)
        if path.exists():
            yield "fast", seed, load_transformer(path)
    for seed in seeds:
        run = timed(setting.scaled(QUADRATIC).replace(seed=seed))
        if run.result is not None:
            yield "quadratic", seed, run.result.model


def _prove(network: str, seed: int, model: Transformer | PairMLP) -> Proven:
    accuracy = float(score(modular.logits(model)).accuracy)
    wall, cpu = time.perf_counter(), time.process_time()
    whole = certify_accuracy(model)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    energy = certify_accuracy(model, method="energy").lower
    spectral = [certify_accuracy(model, method="spectral", order=q).lower for q in ORDERS]
    p = len(model.W_out) if isinstance(model, PairMLP) else model.sizes.d_vocab - 1
    margin = whole.least_margin
    return Proven(network, seed, p, accuracy, whole.lower, energy, spectral, margin, wall, cpu)


def energy_difference(model: PairMLP) -> float:
    """How far energy, class means and residual by weights are from those of all pairs, relative.

    The logits are worked out pair by pair in float64, centred over c, and averaged along each
    s = a + b - c; the largest of three differences, each over the number by all pairs. (The proof
    itself takes the residual from above, by up to 1e-6 of it.)
    """
    found = quadratic_energy(pair_weights(model))
    W_a, W_b = (np.asarray(W, float) for W in model.inputs)
    logits = np.square(W_a.T[:, None] + W_b.T[None]) @ np.asarray(model.W_out[...], float).T
    logits -= logits.mean(-1, keepdims=True)
    p = len(logits)
    a, b, s = np.ogrid[:p, :p, :p]
    by_distance = logits[a, b, (a + b - s) % p]
    means = by_distance.mean((0, 1))
    total, residual = np.square(logits).sum(), np.square(by_distance - means).sum()
    by_weights = found.total - p**2 * np.square(found.class_means).sum()
    return float(
        max(
            abs(found.total - total) / total,
            abs(found.class_means - means).max() / abs(means).max(),
            abs(by_weights - residual) / residual,
        )
    )


def _share(flags: Iterator[bool] | Any) -> float:
    """nan, which reaches no bar, of none."""
    known = list(flags)
    return float(np.mean(known)) if known else float("nan")


def _reach(proofs: list[Proven], network: str, order: int, level: float) -> float:
    at = ORDERS.index(order)
    return _share(p.spectral[at] >= level for p in proofs if p.network == network)


def _table(proofs: list[Proven]) -> dict[str, Any]:
    header = ["network", "seed", "p", "accuracy", "exhaustive", "energy"]
    header += [*(f"order {order}" for order in ORDERS), "least margin", "wall s"]
    rows = []
    for proof in proofs:
        name = [proof.network, proof.seed, proof.p]
        bounds = [proof.accuracy, proof.exhaustive, proof.energy, *proof.spectral]
        rows.append([*name, *bounds, proof.least_margin, proof.wall_seconds])
    return {"title": "proven lower bounds on accuracy", "header": header, "rows": rows}


def _soundness(verdicts: list[Verdict]) -> dict[str, Any]:
    pairs = sum(verdict.n_pairs for verdict in verdicts)
    return {
        "networks": len(verdicts),
        "unsound": sum(not verdict.sound for verdict in verdicts),
        "pairs": pairs,
        "right": sum(verdict.right for verdict in verdicts) / pairs,
        "proven": sum(verdict.proven["exhaustive"] for verdict in verdicts) / pairs,
        "largest_error_over_bound": max(verdict.error_share for verdict in verdicts),
    }


def _soundness_words(verdicts: list[Verdict]) -> str:
    found = _soundness(verdicts)
    return (
        f"Every proof of {found['networks']:,} small networks of 13 kinds (random, trained, "
        f"planted, adversarial) was held against a count without rounding over {found['pairs']:,} "
        f"pairs: {found['right']:.4g} of them are right, {found['proven']:.4g} are proven right by "
        f"enumeration; the largest error of a logit is {found['largest_error_over_bound']:.2g} of "
        "its proven bound."
    )
