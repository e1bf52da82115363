"""The chapter's figures of what is known in closed form: waves in two layers, and proofs."""

# fmt: off
from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from toylab import ModularConfig, certify_accuracy, modular
from toylab.analysis.certificate import Method
from toylab.analysis.certificate_history import certify_history
from toylab.analysis.lottery import RULES, hit_rate, predict_winner
from toylab.analysis.phase_alignment import (
    aligned_share,
    alignment,
    mean_abs_sin,
    mean_participation,
    phase_symmetry,
    waves,
)
from toylab.analysis.progress_measures import score
from toylab.experiments.modular_config import HE, SETTLED
from toylab.figures.entry import Check
from toylab.figures.modular_evidence import entry, further
from toylab.figures.neuron_phases import NeuronStory, lottery, neuron_phases
from toylab.figures.proofs import (
    ORDERS,
    Priced,
    ProvenTraining,
    price_of_proof,
    proven_training,
)

__all__ = ["ENTRIES", "QUADRATIC", "neuron_story", "priced", "proven_over_training"]

HE_ET_AL = "He et al. 2026, arXiv 2602.16849"
GROSS = "Gross et al. 2024, arXiv 2406.11779 (proofs and their length, for max-of-K)"
OWN = "an independent implementation (two seeds)"

QUADRATIC = ModularConfig(
    p=59, train_fraction=0.5, architecture="mlp", activation="quadratic", inputs="separate",
    d_mlp=256, n_steps=4000, record_every=400)

PROOFS: tuple[tuple[str, Method, int], ...] = (
    ("exhaustive", "exhaustive", 1),
    *((f"moment q = {order}", "spectral", order) for order in reversed(ORDERS)),
    ("energy", "energy", 1), ("weights", "weights", 1))


@functools.lru_cache(maxsize=8)
def _story(config: str, words: tuple[int, ...]) -> NeuronStory:
    result = modular.run(ModularConfig.from_json(config),
                         jax.random.wrap_key_data(jnp.asarray(words, jnp.uint32)))
    snapshots: Any = result.snapshots
    W_in, W_out = (np.asarray(W[...]) for W in (snapshots.W_a, snapshots.W_out))
    K = (result.config.p - 1) // 2
    last = alignment(W_in[-1], W_out[-1])
    here = (np.arange(len(last.frequency)), np.asarray(last.frequency) - 1)
    phi, psi = (np.stack([np.asarray(waves(W).phase)[here] for W in (weights[0], weights[-1])])
                for weights in (W_in, W_out.swapaxes(1, 2)))
    magnitude = np.asarray(waves(W_in).magnitude)
    leads = magnitude.argmax(-1) == here[1]
    return NeuronStory(
        result.config, np.asarray(result.step),
        np.asarray(mean_abs_sin(alignment(W_in, W_out).misalignment)),
        np.asarray(mean_participation(W_in, W_out)),
        phi, psi, here[1] + 1,
        float(np.mean(np.asarray(last.frequency == last.out_frequency))),
        float(aligned_share(last.misalignment)),
        np.asarray(phase_symmetry(last.phi, last.frequency, K)),
        np.array([hit_rate(predict_winner(W_in[0], W_out[0], rule), last.frequency)
                  for rule in RULES]),
        leads.mean(-1), magnitude[:, 0])


def neuron_story(config: ModularConfig, key: jax.Array) -> NeuronStory:
    """Train a tied two-layer network and read off its neurons' waves at every record."""
    return _story(config.to_json(), tuple(np.asarray(jax.random.key_data(key)).tolist()))


def proven_over_training(config: ModularConfig, key: jax.Array) -> ProvenTraining:
    """Train a network and prove what can be proved of every record."""
    result = modular.run(config, key)
    right = config.train_fraction * result.train_accuracy
    right = right + (1 - config.train_fraction) * result.test_accuracy
    return ProvenTraining(config, np.asarray(result.step), np.asarray(right, np.float64),
                          np.asarray(result.test_accuracy, np.float64),
                          certify_history(result.snapshots, orders=ORDERS))


def priced(config: ModularConfig, key: jax.Array) -> Priced:
    """Train a quadratic network and prove its accuracy in every way, and that of Gromov's."""
    model, planted = modular.run(config, key).model, modular.gromov(config.p)
    proofs, of_planted = (
        [certify_accuracy(network, method=method, order=order) for _, method, order in PROOFS]
        for network in (model, planted))
    return Priced(config, tuple(name for name, _, _ in PROOFS),
                  np.array([proof.flops for proof in proofs], np.float64),
                  np.array([proof.lower for proof in proofs]),
                  np.array([proof.lower for proof in of_planted]),
                  float(score(modular.logits(model)).accuracy))


def rule(name: str) -> Callable[[NeuronStory], float]:
    """The share of neurons whose winner a rule tells, in percent."""
    return lambda story: 100.0 * float(story.foretold[RULES.index(name)])


def bound(name: str) -> Callable[[Priced], float]:
    """What one proof establishes, in percent."""
    return lambda data: 100.0 * float(data.lower[data.methods.index(name)])


def excess(data: ProvenTraining) -> float:
    """The most by which any bound exceeds the accuracy, in pairs; at most 0.5 by rounding."""
    proven = np.column_stack([data.proven.exhaustive, data.proven.spectral, data.proven.energy])
    return float(data.config.p**2 * (proven - data.accuracy[:, None]).max())


def unevenness(story: NeuronStory) -> float:
    """|mean of e^(4iφ)| of a frequency's neurons times √n, over √π/2, its mean for random phases.

    The mean over frequencies; n is the number of neurons. 1 for random phases.
    """
    count = np.bincount(story.frequency - 1, minlength=story.symmetry.shape[1])
    return float(np.mean(story.symmetry[3] * np.sqrt(count)) / (math.sqrt(math.pi) / 2))


def steps_behind(data: ProvenTraining) -> float:
    """From 90 % of the test pairs right to 50 % of all pairs proven with q = 4, in steps."""
    known = np.flatnonzero(data.test_accuracy >= 0.9)
    proven = np.flatnonzero(data.proven.spectral[:, ORDERS.index(4)] >= 0.5)
    if not (len(known) and len(proven)):
        return math.nan
    return float(data.step[proven[0]] - data.step[known[0]])


ENTRIES = (
    entry(
        "neuron-phases", "Each neuron turns its phases until the output is twice the input",
        f"{HE_ET_AL}, figures of 2φ against ψ, of sparsity and of phases on circles; {OWN}",
        "A quadratic network on all pairs of p = 23. A neuron that reads cos(w a + φ) and "
        "cos(w b + φ) works for a + b when it writes cos(w c + ψ) with ψ = 2φ. Before training "
        "(grey) the frequency that it will have is often near this already. Below, the 512 "
        "neurons are shared out among the 11 frequencies. Within one, the factors r = 2 and r = 4 "
        "of the unwanted terms cancel better than for random phases (line), r = 4 most; r = 1 and "
        "3, which no term has, do not.",
        HE, neuron_phases,
        "At least 90 % of the neurons end with |2φ - ψ| below 0.1; mean |sin(2φ - ψ)| falls from "
        "that of random phases (0.64 ± 0.04) to below 0.1. At least 95 % "
        "read and write one and the same frequency, every frequency has neurons, and in the mean "
        "over frequencies r = 4 cancels better than for random phases.",
        Check("neurons with |2φ - ψ| < 0.1 (%)", lambda s: 100 * s.aligned, 90, 100),
        Check("mean |sin| before", lambda s: s.misalignment[0], 0.60, 0.68),
        Check("mean |sin| after", lambda s: s.misalignment[-1], 0, 0.1),
        Check("one frequency in both layers (%)", lambda s: 100 * s.agreement, 95, 100),
        Check("frequencies with neurons", lambda s: len(np.unique(s.frequency)), 11, 11),
        Check("r = 4, of what is left by random phases", unevenness, 0, 1),
        compute=neuron_story, quick=True),
    entry(
        "lottery", "The wave that a neuron ends with is decided at the start",
        f"{HE_ET_AL}, the lottery; {OWN}, 75 and 79 %",
        "The same network. While the logits are small, each frequency of each neuron goes its own "
        "way, and blows up after a time given by a closed formula; the first one takes the neuron. "
        "The published text names the least misalignment, which decides between equal "
        "magnitudes; from a random start it tells about twice what chance does.",
        HE, lottery,
        "The first wave to blow up is the final one in at least 70 % of the neurons, more than "
        "with any simpler rule; the least misalignment tells less than a quarter.",
        Check("first to blow up (%)", rule("first"), 70, 100),
        Check("the same less the next best (%)",
              lambda s: 100 * float(s.foretold[0] - s.foretold[1:].max()), 1e-9, 100),
        Check("least misalignment (%)", rule("phase"), 0, 25),
        compute=neuron_story, quick=True),
    entry(
        "proven-training", "What can be proved grows with the circuit",
        "formulas of `toylab.analysis.certificate`; five seeds of an independent implementation",
        "The network of the other figures, its rate lowered at step 250. Looking at every pair "
        "proves nearly all that is true. The other proofs see the logits as waves and a residual, "
        "and bound how often the residual can outweigh the waves: memorised answers are no waves, "
        "so that nothing is proved of them.",
        SETTLED.replace(record_every=20), proven_training,
        "No bound exceeds the accuracy; in the end looking at every pair proves all right answers "
        "but 2 in 10,000, and the fourth moment at least 83 %. Half is proved that way no sooner "
        "than 90 % of the test pairs are right.",
        Check("bounds above the accuracy (pairs)", excess, -math.inf, 0.5),
        Check("right but not proven (%)",
              lambda d: 100 * float(d.accuracy[-1] - d.proven.exhaustive[-1]), -0.005, 0.02),
        Check("proven by the fourth moment (%)",
              lambda d: 100 * float(d.proven.spectral[-1, 1]), *further(92.2, 97.8, 0, 100)),
        Check("steps from 90 % right to 50 % proven", steps_behind, 0, 600),
        compute=proven_over_training, seeds=2),
    entry(
        "proof-price", "Understanding buys a cheaper proof, and a weaker one",
        f"{GROSS}; an independent implementation (one seed: 66.7, 98.8 and 100 %)",
        "A quadratic network of p = 59 trained on half of the pairs. The proof from the weights "
        "never makes a logit: Gram matrices and one transform give the same bound as the energy of "
        "the residual. It is cheaper than trying all pairs if p (p + 2) exceeds 7 times the number "
        "of neurons: here it takes half of the operations, at p = 401 a ninetieth. Of Gromov's "
        "weights, which are waves and nothing else, it proves everything.",
        QUADRATIC, price_of_proof,
        "The weights prove what the energy proves, at least 1 and less than 98 % of the pairs; the "
        "fourth moment proves at least 98 % and the eighth all of it. Of Gromov's weights every "
        "proof establishes 100 %.",
        Check("by trying all pairs (%)", bound("exhaustive"), 99.99, 100),
        Check("by the eighth moment (%)", bound("moment q = 8"), 99.99, 100),
        Check("by the fourth moment (%)", bound("moment q = 4"), 98, 100),
        Check("by the weights (%)", bound("weights"), 1, 98),
        Check("weights less energy (pairs)",
              lambda d: d.config.p**2 * float(d.lower[-1] - d.lower[-2]), -1, 1),
        Check("least proven of Gromov's weights (%)",
              lambda d: 100 * float(d.planted.min()), 100, 100),
        compute=priced, seeds=3),
)
