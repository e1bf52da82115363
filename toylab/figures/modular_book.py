"""The chapter on modular addition: figures of Nanda et al. 2023, and what can be checked beside.

The networks are those of `FAST`, which tells the published story in 500 steps instead of 14,000,
and of `LIVE`, which does so for p = 59 in seconds. Allowed intervals are published claims, or where
a further seed belongs given the range of five seeds of an independent implementation (`further`).
Every seed counts: of eight, 57 % must pass (`entry`), and gallery and book.csv say how many do.
"""

# fmt: off
from __future__ import annotations

import math

import numpy as np

from toylab import ModularConfig, grid
from toylab.experiments.modular_config import FAST, LIVE, PUBLISHED
from toylab.figures.entry import Check, Entry
from toylab.figures.fourier import logit_fit, neuron_waves, spectrum
from toylab.figures.grokking import loss_forms, progress_measures, training_story
from toylab.figures.grokking_times import grokking_sweep, seeds, success
from toylab.figures.modular_cells import memorised_at
from toylab.figures.modular_evidence import (
    NANDA,
    ZHONG,
    Pair,
    Seeds,
    ablated,
    attention_of,
    both_losses,
    circuits,
    distinct_sets,
    drawn_by,
    entry,
    final_loss,
    further,
    further_log,
    gap,
    grid_of,
    group_rate,
    held_at,
    held_by_plane,
    lead_of_restricted,
    least_harm,
    of,
    outside,
    over_cells,
    readout_ratio,
    readout_share,
    replaced,
    right_with,
    same_or_doubled,
    several,
    shortest_phase,
    shrinkage,
    single_share,
    slowest,
    spike_count,
)
from toylab.figures.modular_theory import ENTRIES as THEORY
from toylab.figures.wave_circuits import (
    ablations,
    attention_waves,
    clock_or_pizza,
    neuron_ablations,
    readout_waves,
)

__all__ = ["ENTRIES"]

BLIND, BLIND_LIVE = math.log(FAST.p), math.log(LIVE.p)
FASTER = (
    "Published: rate 1e-3, weight decay 1, a loss near 1e-7 after 14,000 steps or more; here rate "
    "1e-2 and decay 2 for 500 steps, which ends near 1e-3.")
ALL_KEYS = Check("key cosines alone: accuracy", lambda d: d.scores.only_cosines.accuracy,
                 0.99999, 1.0)

STORY = (
    entry(
        "grokking", "A network memorises, forms a circuit, and cleans up",
        f"{NANDA}, figures 2 and 7",
        "Trained on 30 % of the pairs of p = 113. The training loss falls at once while the test "
        "loss rises above a blind guess; under that curve the waves that will solve the task grow, "
        f"and in the end they are all that is left. {FASTER}",
        FAST, training_story,
        "Training pairs are known by step 87 while the test loss stands above a blind guess; "
        "memorisation, circuit formation and cleanup end in this order, at steps 27-113, 70-200 "
        "and 143-317, and the loss on all pairs ends below 0.12.",
        Check("99 % of the training pairs at step", of(memorised_at), *further(60, 70)),
        Check("highest test loss", of(lambda c: c.test_loss.max()), *further(7.8, 10, BLIND)),
        Check("shorter of the last two phases (steps)", of(shortest_phase), 1, 500),
        Check("memorisation ends at step", of(lambda c: c.phases.memorised), *further(60, 80)),
        Check("circuit formation ends at step", of(lambda c: c.phases.formed), *further(120, 150)),
        Check("cleanup ends at step", of(lambda c: c.phases.cleaned), *further(210, 250)),
        Check("loss on all pairs at the end", of(final_loss), *further_log(1.7e-3, 8.2e-3))),
    entry(
        "progress-measures", "The circuit grows long before the test loss tells",
        f"{NANDA}, section 5 and figure 7",
        "The key frequencies are those of the last record. Their waves alone answer well while "
        "the test loss is still bad; without them what was learned by heart is left, and at last "
        "nothing. The Gini coefficient is of energies; of norms, as the paper words it, it is "
        f"lower. {FASTER}",
        FAST, progress_measures,
        "The key waves alone pass ln(p)/2 before the whole network does on test pairs; the loss "
        "without them falls below ln(p)/2 and ends above a blind guess. W_E and W_L end sparse in "
        "frequency, and the squared weights shrink by 42 to 68 % from their peak.",
        Check("steps by which the key waves lead", of(lead_of_restricted), 10, 500),
        Check("least loss without the keys", of(lambda c: c.excluded_loss.min()), 0, BLIND / 2),
        Check("loss without the keys at the end", of(lambda c: c.excluded_loss[-1]),
              *further(5.8, 9.5, BLIND)),
        Check("Gini of W_E", of(lambda c: c.gini_in[-1]), *further(0.86, 0.90)),
        Check("Gini of W_L", of(lambda c: c.gini_out[-1]), *further(0.92, 0.94)),
        Check("squared weights shrink (%)", of(shrinkage), *further(52, 58))),
)

CIRCUIT = (
    entry(
        "wave-spectrum", "Three to five frequencies carry the numbers and the answers",
        f"{NANDA}, figure 3 and section 4.2",
        "Share of each frequency in the embedding, in the map from neurons to logits and in the "
        "logits; keys hold more than 1 % of the logits. The published network uses 14, 35, 41, 42 "
        f"and 52; another seed uses others. {FASTER}",
        FAST, spectrum,
        "Three to five key frequencies; less than 9.4 % of the energy of W_L is outside them.",
        Check("key frequencies", of(lambda c: len(c.key_frequencies)), 3, 5),
        Check("energy of W_L outside (%)", of(outside), *further(1.1, 4.2, 0))),
    entry(
        "logit-cosines", "The logits are a sum of a few cosines of a + b - c",
        f"{NANDA}, section 4.2",
        "Left, the mean logit of answers that are s off, and the sum of one cosine for each key. "
        "Right, the energy of the logits in products of waves of a and of b: four products for "
        "each key hold nearly all. Of what is explained, sines hold less than 0.1 %. Published: "
        f"95 % explained, and 20 components. {FASTER}",
        FAST, drawn_by(logit_fit),
        "The key cosines explain at least 74 % of the logits' variance; alone they answer every "
        "pair, with a smaller loss than the network. Four products a key hold at least 91 %.",
        Check("variance explained (%)", of(lambda c: 100 * c.explained[-1]),
              *further(86.5, 93.9, 0, 100)),
        Check("held by four products a key (%)", of(held_by_plane), *further(95.9, 98.7, 0, 100)),
        ALL_KEYS,
        Check("loss of the cosines / of the network",
              lambda d: d.scores.only_cosines.loss / d.scores.intact.loss, 0, 1), compute=ablated),
    entry(
        "readouts", "The neurons send cos w(a + b) and sin w(a + b) to the logits",
        f"{NANDA}, section 4.2 and table 1 (93.2 to 98.2 %, coefficients 44.6 and 43.6)",
        "What the neurons write along each key's cosine and sine of the outputs. With the numbers "
        f"in the order of their angle, a wave of a + b is one diagonal stripe. {FASTER}",
        FAST, readout_waves,
        "Of the strongest key's readouts at least 60 % is the wave of a + b, and the coefficients "
        "of cosine and sine agree within 8 % (median over the keys).",
        Check("strongest key: explained", of(readout_share), 0.60, 1.0),
        Check("coefficient of cosine / sine", of(readout_ratio), 0.92, 1.08)),
    entry(
        "attention-waves", "Attention is a sum of waves of a and of b",
        f"{NANDA}, figure 4 and appendix C.1 (97.9 to 99.1 %)",
        "The weight from '=' to a, head by head; hardly any goes to '=' itself, so it is a sigmoid "
        f"of what a and b ask for. Linear waves of the keys are nearly all of it. {FASTER}",
        FAST, attention_waves,
        "In every head linear waves of the keys explain at least 70 % of the attention to a, and "
        "less than 3.1 % of the weight goes to '='.",
        Check("explained by the keys, worst head (%)",
              of(lambda c: 100 * attention_of(c).key_share.min()), *further(87, 97, 0, 100)),
        Check("weight on '=', largest of the heads (%)",
              of(lambda c: 100 * attention_of(c).self_weight.max()), *further(0.2, 1.3, 0))),
    entry(
        "neuron-clusters", "Most neurons have one frequency",
        f"{NANDA}, figure 5 (433 of 512 neurons)",
        "Above, neurons by the frequency that explains most of them, and how much it explains. "
        "Below, the purest neurons: as tables over a and b, and with the numbers in the order of "
        f"their angle, where all of them look alike. {FASTER}",
        FAST, neuron_waves,
        "At least 56 % of the neurons have one frequency (share above 85 %), and most of these "
        "write that frequency or its double on the logits.",
        Check("neurons of one frequency (%)", of(single_share), *further(81, 96, 0, 100)),
        Check("of these, writing k or 2k (%)", of(same_or_doubled), 50, 100)),
    entry(
        "key-ablations", "The keys are needed, each of them, and they suffice",
        f"{NANDA}, sections 4.4 and 5.1 (keys only: loss falls by 77 %; without them 6.5 to 11)",
        "Loss and accuracy on all pairs with waves of a + b taken out of the logits, and with "
        f"nothing else kept. {FASTER}",
        FAST, drawn_by(ablations),
        "The key waves alone have a smaller loss than the network (below 6e-3); without any one "
        "of them the loss rises, and without all it is above a blind guess with at most 5 % right.",
        Check("loss of the key waves alone", lambda d: d.scores.only_key.loss,
              0, further_log(9.6e-4, 1.9e-3)[1]),
        Check("the same / loss of the network",
              lambda d: d.scores.only_key.loss / d.scores.intact.loss, 0, 1),
        Check("least loss without one key / of the network",
              least_harm, 1, math.inf),
        Check("loss without all keys", lambda d: d.scores.without_all.loss, BLIND, math.inf),
        Check("accuracy without all keys (%)", lambda d: 100 * d.scores.without_all.accuracy, 0, 5),
        compute=ablated),
    entry(
        "neuron-ablations", "Without the keys' directions the neurons cannot answer",
        f"{NANDA}, section 4.4 (polynomials: loss + 3 %; key directions: - 50 %; null space: 5.27)",
        "Neurons of one frequency replaced by their polynomials of degree 2 in waves of a and b; "
        "all neurons projected on the directions along which W_L writes the keys, or on all "
        "others. Published, the loss halves on the keys' directions and is 5.27 off them, above a "
        "blind guess. That is not found here: on them the loss is twice the network's and more, at "
        "the published rates 1.0 to 2.1 times (five seeds), and off them it lies about "
        f"a blind guess. The limits were set after eight such networks had been seen. {FASTER}",
        FAST, neuron_ablations,
        "With polynomials at least 99 % of the pairs are right, and the loss stays below twice the "
        "network's; off the keys' directions at most a tenth of the pairs are right.",
        Check("right with polynomials (%)", right_with("polynomials"), 99, 100),
        Check("loss with polynomials / of the network", replaced("polynomials"), 0, 2),
        Check("right off the keys' directions (%)", right_with("all others"), 0, 10)),
)

SEEDS = (
    entry(
        "eight-seeds", "Most seeds grok, each with frequencies of its own",
        f"{NANDA}, section 4 and appendix C.2 (five seeds); five of five in an independent "
        "implementation",
        f"The networks of the other figures. A different split and start end in other frequencies. "
        f"{FASTER}",
        Seeds(FAST, 8), seeds,
        "At least 56 % of eight seeds hold 99 % of the test pairs to the end (the lower end of the "
        "95 % interval for five of five), half of them by step 317, with 3 to 5 keys and at least "
        "two different sets of them.",
        Check("share of seeds that grok",
              lambda found: success(found)[0] / success(found)[1], 0.56, 1.0),
        Check("median step", over_cells(held_at, np.median),
              *further(210, 250)),
        Check("least number of keys", over_cells(lambda c: len(c.key_frequencies), min), 3, 5),
        Check("largest number of keys", over_cells(lambda c: len(c.key_frequencies), max), 3, 5),
        Check("different sets of keys", distinct_sets, 2, 8), compute=several, seeds=2),
    entry(
        "small-grokking", "The same story in a few seconds: p = 59",
        f"{NANDA}, figures 2 and 7, for p = 113; five seeds of an independent implementation",
        "A smaller modulus with 40 % of the pairs, rate 1e-2 and weight decay 3, for 400 steps.",
        LIVE, training_story,
        "The network knows 99 % of its training pairs first and holds 99 % of the others to the "
        "end from a later step; meanwhile the test loss rises above a blind guess, and the key "
        "waves alone fall below ln(p)/2 before the network does on test pairs.",
        Check("steps from memorised to grokked", of(gap), 10, 400),
        Check("highest test loss", of(lambda c: c.test_loss.max()), BLIND_LIVE, math.inf),
        Check("steps by which the key waves lead", of(lead_of_restricted), 10, 400), quick=True),
    entry(
        "small-spectrum", "Frequencies of p = 59: few, in every part of the network",
        f"{NANDA}, figure 3, for p = 113; five seeds of an independent implementation",
        "As for p = 113: shares of the embedding, of the map from neurons to logits and of the "
        "logits.",
        LIVE, spectrum,
        "Two to five key frequencies explain at least 78 % of the logits; the Gini coefficient of "
        "W_E is 0.71 to 0.92.",
        Check("key frequencies", of(lambda c: len(c.key_frequencies)), *further(3, 4)),
        Check("variance explained (%)", of(lambda c: 100 * c.explained[-1]),
              *further(90, 97, 0, 100)),
        Check("Gini of W_E", of(lambda c: c.gini_in[-1]), *further(0.79, 0.84)), quick=True),
    entry(
        "small-ablations", "The key cosines of p = 59 answer, nothing else does",
        f"{NANDA}, sections 4.4 and 5.1; an independent implementation",
        "As for p = 113, on all pairs.",
        LIVE, drawn_by(ablations),
        "The key cosines alone answer every pair, and without the keys at most 6 % are right.",
        ALL_KEYS,
        Check("accuracy without all keys (%)",
              lambda d: 100 * d.scores.without_all.accuracy, 0, 6), compute=ablated, quick=True),
    entry(
        "small-seeds", "Sixteen seeds of p = 59",
        "five of five seeds in an independent implementation",
        "The networks of the other figures of p = 59, and as many again.",
        Seeds(LIVE, 16), seeds,
        "At least 56 % hold 99 % of the test pairs to the end (the lower end of the 95 % interval "
        "for five of five), with at least two different sets of keys.",
        Check("share of seeds that grok",
              lambda found: success(found)[0] / success(found)[1], 0.56, 1.0),
        Check("different sets of keys", distinct_sets, 2, 16), compute=several, seeds=2),
)

CONDITIONS = (
    entry(
        "weight-decay", "Without weight decay no network groks in 800 steps",
        f"{NANDA}, appendix D.1 (never without; with it at 3,000 to 20,000 steps)",
        "Three networks of p = 59 for each weight decay, 800 steps at rate 1e-2. The time scale of "
        "the decay is 1/(rate × decay), 33 steps for decay 3. Strong decay groks soon, but later "
        "spikes of the training undo it for a while.",
        grid(LIVE.replace(n_steps=800, record_every=20),
             weight_decay=[0.0, 0.3, 1.0, 3.0, 5.0], seed=[0, 1, 2]), grokking_sweep,
        "No network groks without weight decay; all do with a decay of 3.",
        Check("rate of success without decay", group_rate("0"), 0, 0),
        Check("rate of success with decay 3", group_rate("3"), 1, 1), compute=grid_of, seeds=2),
    entry(
        "train-fraction", "Too few pairs never generalise, many do so at once",
        f"{NANDA}, figure 20 (10 and 20 % never, 60 % and more at once), for p = 113",
        "Three networks of p = 59 for each share of the pairs, 600 steps. Hollow: the first step "
        "with 99 %; at this rate a spike may undo it, and full dots mark from where it holds.",
        grid(LIVE.replace(n_steps=600, record_every=20),
             train_fraction=[0.1, 0.2, 0.3, 0.4, 0.6, 0.8], seed=[0, 1, 2]), grokking_sweep,
        "With 10 and 20 % of the pairs no network groks; with 60 and 80 % each reaches 99 % of the "
        "test pairs within twice the steps that it takes to know its training pairs.",
        Check("rate of success at 10 %", group_rate("0.1"), 0, 0),
        Check("rate of success at 20 %", group_rate("0.2"), 0, 0),
        Check("steps to know test / training pairs at 60 %", slowest("0.6"), 0, 2),
        Check("steps to know test / training pairs at 80 %", slowest("0.8"), 0, 2),
        compute=grid_of, seeds=2),
    entry(
        "float32-loss", "A float32 log-softmax makes a saw-tooth of the curves",
        f"released code of {NANDA}; five seeds of an independent implementation, which spike in "
        "float32 and not in the accurate form",
        "A network with 64 dimensions and 128 neurons on p = 59 at the published rate and weight "
        "decay. Below 1e-7 a pair's float32 loss is 0, its gradient vanishes, Adam's denominators "
        "shrink, and training explodes; softplus(logsumexp of the wrong - right logit) is the "
        "same number without that.",
        PUBLISHED.replace(p=59, train_fraction=0.4, d_model=64, n_heads=2, d_mlp=128, n_steps=4000,
                          record_every=20), loss_forms,
        "Within 4,000 steps the training loss leaps at least once to 100 times its least with the "
        "float32 loss, and never with the accurate one.",
        Check("leaps with the float32 loss", spike_count("float32"), 1, math.inf),
        Check("leaps with the accurate loss", spike_count("accurate"), 0, 0),
        compute=both_losses, seeds=2),
    entry(
        "clock-pizza", "A transformer with attention is a clock",
        f"{ZHONG}, section 4 (Model A and Model B); an independent implementation",
        "Gradient symmetricity is 1 for a network that sees only the sum of its two embeddings, "
        "as the mlp does. Distance irrelevance is 1 if the right logit depends on a + b alone, as "
        "a clock's, and 0 if on a - b alone, as that of a pizza of one frequency: the planted ones "
        "mark the ends of the scale. The mlp, for p = 59, uses most frequencies, whose weak spots "
        "lie at different a - b. "
        "Attention rates between a pizza's 0 and a clock's 1 are not trained here.",
        Pair(FAST, ModularConfig(p=59, train_fraction=0.5, architecture="mlp", weight_decay=3.0,
                                 d_mlp=256, n_steps=800, record_every=100)), clock_or_pizza,
        "The transformer's gradient symmetricity is nearer to the published clock's 0.334 than to "
        "the pizza's 0.994, and its distance irrelevance at least 0.72.",
        Check("gradient symmetricity", lambda d: d.symmetricity[0], -1, (0.334 + 0.994) / 2),
        Check("distance irrelevance", lambda d: d.irrelevance[0], *further(0.87, 0.96, 0, 1)),
        compute=circuits),
)

ENTRIES: tuple[Entry, ...] = (*STORY, *CIRCUIT, *SEEDS, *CONDITIONS, *THEORY)
