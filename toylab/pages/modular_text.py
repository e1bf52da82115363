"""The words of the modular-addition page; every number in them is measured."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from toylab.analysis.training_phases import NEVER
from toylab.pages.modular_inside import REST, Neuron
from toylab.pages.modular_model import Moment, View, name_phase

__all__ = [
    "ACCURACY",
    "NEAR_RIGHT",
    "NOT_SHOWN",
    "NO_WAVES",
    "NUMBERS",
    "ORDERED",
    "OUTPUTS",
    "SEE",
    "SOURCE",
    "STRIP",
    "TAKE_OUT",
    "activation",
    "introduction",
    "loss",
    "percent",
    "question",
    "reads",
    "spectrum",
    "story",
    "take_out",
    "waiting",
    "writes",
]

BADGES = {
    "Memorising": "gray",
    "Circuit forming": "blue",
    "Cleaning up": "violet",
    "Grokked": "green",
}
WAVES = 0.01  # a frequency with less of the logits is not worth a word

SEE = """
- The network first learns its training pairs by heart. On all others it gets *worse* than a blind
  guess: it is sure of wrong answers.
- Waves of a few frequencies grow in the logits long before the test accuracy does. The
  **restricted loss**, of these waves alone, falls while the test loss is still high.
- The **excluded loss**, of the training pairs without these waves, falls and then rises: what was
  learned by heart is given up. Then the network *groks*.
- Neurons settle on one frequency each. One that reads cos(w a + φ) and cos(w b + φ) writes
  cos(w c + 2φ).
- For each answer c the logit is a sum of waves cos(w (a + b − c)). All their crests meet at one
  place alone, the right answer. Take all frequencies out and nothing is left. Take *everything
  else* out when the test accuracy has just begun to rise, and it is far higher at once.
- Without weight decay, or with few training pairs, the waves do not form here. With many training
  pairs there is no delay to watch.
"""

NOT_SHOWN = """
- The learning rate is ten times the paper's and the weight decay two or three times, so that one
  can watch. The phases are the same; their lengths are not.
- Which frequencies win depends on the seed and on rounding. That there are few, and what they do,
  does not.
- Taking waves out of the logits says what the logits need. It does not say which weights make
  them.
- Numbers on a circle are a task with a symmetry. Most of what language models learn has none, and
  sudden jumps in them need not be of this kind.
"""

SOURCE = (
    "After Nanda et al. 2023, [Progress measures for grokking via mechanistic interpretability]"
    "(https://arxiv.org/abs/2301.05217), and Power et al. 2022, [Grokking]"
    "(https://arxiv.org/abs/2201.02177). Phases that align: He et al. 2026, "
    "[arXiv 2602.16849](https://arxiv.org/abs/2602.16849)."
)

ACCURACY = "Share of pairs whose largest logit is the right answer."
STRIP = (
    "Each dot is a neuron, at the frequency that explains most of it. Above 85 % it counts as "
    "having one frequency. **Click one.**"
)
TAKE_OUT = (
    "A key frequency goes with all of its waves. Everything else is what neither they nor "
    "the mean over pairs explain."
)
ORDERED = (
    "Each number a stands at k·a mod p, the place where the neuron's wave finds it. What is "
    "repeated k times becomes one turn of the circle."
)
OUTPUTS = "The logits of all answers. Green is the right one, red a wrong one that is larger."
NEAR_RIGHT = (
    "What each key frequency adds to the logits of the answers around the right one (its "
    "colour), and the sum (dots)."
)
NO_WAVES = (
    "There are no key frequencies, whose waves would be drawn here: at the end of this "
    "training none has more than 1 % of the logits."
)
NUMBERS = {
    "Step": "Training steps done.",
    "Training pairs right": "Accuracy on the pairs that the network is trained on.",
    "Test pairs right": "Accuracy on the pairs that it never sees.",
    "Logits in waves": "Share of the logits' variance in the key frequencies: those that hold more "
    "than 1 % at the end (while training runs: now).",
}


def question(p: int) -> str:
    """The page's title."""
    return f"How does a network add modulo {p}?"


def introduction(p: int, n_train: int) -> str:
    """What is trained, in two sentences."""
    return (
        f"A small transformer reads two numbers and must say a + b mod {p}, as on a clock with {p} "
        f"hours. It trains on {n_train:,} of the {p * p:,} pairs. Such a network may learn them by "
        "heart first, and much later, almost at once, know all the others: it *groks*. Watch one, "
        "and look at what it has found."
    )


def waiting(running: bool) -> str:
    """What a training without a record does."""
    return "Compiling…" if running else "Waiting for another training to end…"


def story(now: Moment, p: int, view: View | None = None) -> str:
    """One sentence on one record, after the name of its phase."""
    phase = name_phase(now, p, view)
    held = _held(now, () if view is None else view.keys)
    train, test = percent(now.train_accuracy), percent(now.test_accuracy)
    said = {
        "Memorising": f"{train} of the training pairs are right, and {test} of the others. "
        f"Guessing gives {percent(1 / p)}.",
        "Circuit forming": f"{train} of the training pairs are right. Loss on the others: "
        f"{now.test_loss:.2g} (guessing: {math.log(p):.3g}). {held}",
        "Cleaning up": f"{test} of the pairs that it never saw are right. {held}",
        "Grokked": f"{test} of the pairs that it never saw are right. {held}",
    }[phase]
    if view is not None and now.step == view.moments[-1].step and view.phases.cleaned == NEVER:
        said += f" It has not grokked within {now.step:,} steps."
    return f":{BADGES[phase]}-badge[{phase}] {said}"


def _held(now: Moment, keys: Sequence[int]) -> str:
    found = sorted(keys) or [int(k) + 1 for k in np.flatnonzero(now.share > WAVES)]
    share = sum(float(now.share[k - 1]) for k in found)
    if not found:
        return "No frequency holds 1 % of the logits."
    if len(found) > 8:
        return f"{len(found)} frequencies hold {percent(share)} of the logits."
    many = len(found) > 1
    return (
        f"Frequenc{'ies' if many else 'y'} {_listed(found)} hold{'s' * (not many)} "
        f"{percent(share)} of the logits."
    )


def loss(view: View | None, p: int) -> str:
    """What the chart of losses shows, and where the phases end."""
    if view is None:
        return f"A blind guess has ln {p} = {math.log(p):.3g}. Dashed curves follow at the end."
    memorised, formed, cleaned = (int(step) for step in view.phases)
    told = []
    if 0 <= memorised < formed:
        told.append(
            f"Grey: circuit formation, from the least excluded loss (step {memorised}) to "
            f"the last test loss above ln {p} ({formed})."
        )
    elif memorised != NEVER:
        told.append(f"The excluded loss is least at step {memorised}.")
    if cleaned != NEVER:
        told.append(f"Test accuracy stays at 99 % from step {cleaned}.")
    return " ".join(told) or "No phase of the training has ended."


def spectrum(view: View | None) -> str:
    """What the chart of frequencies shows."""
    text = "How much of the logits is a wave of a + b − c with that frequency."
    if view is None:
        return text
    return text + (
        " Numbers and ticks: the key frequencies at the end."
        if view.keys
        else " No frequency has more than 1 % at the end, so there are no key frequencies."
    )


def take_out(choice: int) -> str:
    """A frequency, or the rest, as an option."""
    return "everything else" if choice == REST else f"k = {choice}"


def activation(seen: Neuron) -> str:
    """What one neuron's activation is made of."""
    if not seen.frequency:
        return "This neuron has the same activation for every pair."
    return (
        f"For every pair (a, b): the more colour, the more active. Frequency {seen.frequency} "
        f"explains {percent(seen.share)} of it."
    )


def reads(seen: Neuron) -> str:
    """The wave that a neuron reads."""
    if not seen.frequency:
        return "Its mean activation for each a."
    return (
        f"Its mean activation for each a (dots) and their wave cos(w a + φ), "
        f"w = 2π·{seen.frequency}/{len(seen.writes)}: φ = {_angle(seen.phase[0])}. For b, "
        f"φ = {_angle(seen.phase[1])}."
    )


def writes(seen: Neuron) -> str:
    """The wave that a neuron writes, and its phase against those that it reads."""
    if not seen.frequency:
        return "Its weight on each logit."
    both = math.remainder(seen.phase[0] + seen.phase[1], 2 * math.pi)
    return (
        f"Its weight on the logit of each c (dots) and their wave cos(w c + ψ): "
        f"ψ = {_angle(seen.phase[2])}. The phases that it reads add up to {_angle(both)}."
    )


def _angle(radians: float) -> str:
    return f"{radians:.2f}".replace("-", "−")


def percent(share: float) -> str:
    """A share in percent, finer near none and all, and 100 % only for all."""
    fine = 0 < share < 0.1 or 0.99 <= share < 1
    return f"{min(100 * share, 99.9):.1f} %" if fine else f"{100 * share:.0f} %"


def _listed(numbers: Sequence[int]) -> str:
    *first, last = map(str, numbers)
    return f"{', '.join(first)} and {last}" if first else last
