"""Every figure of the chapter as numbers, and the ranges that four or five seeds of an independent
implementation gave at the same settings.

A measure of one training is one number or several (one a key frequency, one a head): it is within
a range when all of them are, after rounding to the digits that the range is written with.

Source: Nanda et al. 2023 (arXiv 2301.05217), figures 2-7 and Table 1, for what is measured.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Literal, NamedTuple

import jax
import numpy as np

from toylab import ModularResult
from toylab.analysis.attention_waves import attention_waves
from toylab.analysis.fourier import energy_outside
from toylab.analysis.logit_spectrum import logit_spectrum, plane_spectrum
from toylab.analysis.neurons import SINGLE_FREQUENCY, neuron_frequencies
from toylab.analysis.progress_measures import ablations
from toylab.analysis.readouts import readouts
from toylab.analysis.training_phases import GROKKED, NEVER, first_step_at, training_phases
from toylab.models.last_token import LastToken, all_pairs
from toylab.models.transformer import Transformer

Setting = Literal["published", "fast", "quadratic", "relu"]
Values = Mapping[str, Sequence[float]]


class Range(NamedTuple):
    """Two decimal numbers, whose digits say how exactly they are known."""

    low: str
    high: str

    def side(self, value: float) -> int:
        """-1 below, 0 within, 1 above; within half a unit of the last digit counts as within.

        Example: Range("0.93", "0.99") holds 0.9949 and not 0.9951.
        """
        if value < float(self.low) - _unit(self.low) / 2:
            return -1
        return int(not value <= float(self.high) + _unit(self.high) / 2)

    def __str__(self) -> str:
        low, high = (
            number if _unit(number) <= 1 else f"{float(number):g}"
            for number in (self.low, self.high)
        )
        return low if low == high else f"{low} to {high}"


def _unit(number: str) -> float:
    """What one of the last digit is worth."""
    return 10.0 ** int(Decimal(number).as_tuple().exponent)


class Measure(NamedTuple):
    """One line of the table.

    Attributes:
        name: the key in the JSON. words: for the README.
        ranges: by setting; a setting that is not in it is not compared.
        better: on which side of the range it would be no worse.
    """

    name: str
    words: str
    ranges: Mapping[Setting, Range]
    better: Literal["less", "more", "neither"] = "neither"

    def within(self, values: Sequence[float], setting: Setting) -> bool:
        """Whether there are values, and all are in the range."""
        return len(values) > 0 and not any(map(self.ranges[setting].side, values))

    def no_worse(self, values: Sequence[float], setting: Setting) -> bool:
        """Whether there are values, and all are in the range or on its better side."""
        good = {"less": -1, "more": 1, "neither": 0}[self.better]
        sides = {self.ranges[setting].side(value) for value in values}
        return len(values) > 0 and sides <= {0, good}


def _two(published: tuple[str, str], fast: tuple[str, str]) -> dict[Setting, Range]:
    return {"published": Range(*published), "fast": Range(*fast)}


TRANSFORMER = (
    Measure("train_99", "first step with 99 % of the training pairs",
            _two(("200", "200"), ("60", "70"))),
    Measure("final_loss", "final loss on all pairs",
            _two(("1.5e-7", "2.8e-7"), ("1.7e-3", "8.2e-3")), "less"),
    Measure("n_keys", "key frequencies", _two(("3", "4"), ("3", "4"))),
    Measure("readout_outside", "energy of W_L outside the keys",
            _two(("0.0016", "0.061"), ("0.011", "0.042")), "less"),
    Measure("readout_explained", "variance of each uᵀMLP and vᵀMLP in its one wave",
            _two(("0.93", "0.99"), ("0.22", "0.98")), "more"),
    Measure("readout_ratio", "coefficient of the cosine over that of the sine",
            {"published": Range("0.65", "1.08")}),
    Measure("plane_share", "logits in 4 components a key",
            _two(("0.983", "0.990"), ("0.959", "0.987")), "more"),
    Measure("explained", "logits in the key cosines",
            _two(("0.968", "0.987"), ("0.865", "0.939")), "more"),
    Measure("attention_keys", "attention of each head in key waves",
            _two(("0.93", "0.98"), ("0.87", "0.97")), "more"),
    Measure("attention_best", "attention of each head in its best wave",
            _two(("0.46", "0.97"), ("0.40", "0.94"))),
    Measure("attention_self", "attention of '=' to itself, each head",
            _two(("0.0015", "0.0069"), ("0.002", "0.013")), "less"),
    Measure("n_single", "neurons of a single frequency (share > 0.85)",
            _two(("300", "406"), ("416", "493")), "more"),
    Measure("restricted_end", "loss with nothing but the keys' waves",
            _two(("5.0e-8", "1.2e-6"), ("9.6e-4", "1.9e-3")), "less"),
    Measure("without_one", "loss without one key, for each key",
            _two(("0.004", "1.5"), ("0.30", "2.9"))),
    Measure("without_all", "loss without the keys", {"published": Range("6.1", "7.8")}),
    Measure("accuracy_without", "accuracy without the keys",
            {"published": Range("0.015", "0.028")}, "less"),
    Measure("train_accuracy_without", "accuracy without the keys, training pairs",
            {"fast": Range("0.005", "0.013")}, "less"),
    Measure("restricted_sees", "first step with a restricted loss below ln(p)/2",
            _two(("900", "4300"), ("70", "140")), "less"),
    Measure("restricted_at_90", "restricted loss when 90 % of the test pairs are right",
            _two(("0", "1.0e-3"), ("0.03", "0.15")), "less"),
    Measure("excluded_least", "least excluded loss",
            _two(("1e-5", "5e-2"), ("0.4", "1.9"))),
    Measure("excluded_end", "final excluded loss", _two(("5.8", "7.4"), ("5.8", "9.5"))),
    Measure("gini_in", "Gini coefficient of W_E", _two(("0.90", "0.94"), ("0.86", "0.90")), "more"),
    Measure("gini_out", "Gini coefficient of W_L",
            _two(("0.94", "0.95"), ("0.92", "0.94")), "more"),
    Measure("norm_peak", "largest sum of squared weights",
            _two(("3.61e3", "3.66e3"), ("2.46e3", "2.63e3"))),
    Measure("norm_end", "final sum of squared weights",
            _two(("8.8e2", "1.00e3"), ("1.08e3", "1.18e3")), "less"),
    Measure("norm_fall", "its fall from the largest",
            _two(("0.73", "0.76"), ("0.52", "0.58")), "more"),
    Measure("memorised", "end of memorisation, step", _two(("600", "1500"), ("60", "80"))),
    Measure("formed", "end of circuit formation, step",
            _two(("3000", "11000"), ("120", "150")), "less"),
    Measure("cleaned", "end of the cleanup, step",
            _two(("3800", "12300"), ("210", "250")), "less"),
)  # fmt: skip
"""The measures of the transformer."""


def _activations(quadratic: tuple[str, str], relu: tuple[str, str]) -> dict[Setting, Range]:
    return {"quadratic": Range(*quadratic), "relu": Range(*relu)}


TWO_LAYER = (
    Measure("final_loss", "final loss",
            _activations(("0.0083", "0.0094"), ("0.0469", "0.0489")), "less"),
    Measure("participation", "inverse participation ratio",
            _activations(("0.77", "0.78"), ("0.64", "0.65")), "more"),
    Measure("agreement", "neurons whose two layers have one frequency",
            _activations(("0.99", "1.00"), ("0.98", "0.99")), "more"),
    Measure("misalignment", "median of abs(D), radians",
            _activations(("0.03", "0.03"), ("0.07", "0.07")), "less"),
    Measure("aligned", "neurons with abs(D) < 0.1",
            _activations(("0.96", "0.98"), ("0.63", "0.65")), "more"),
    Measure("per_frequency", "neurons of each frequency",
            _activations(("31", "64"), ("33", "59"))),
)  # fmt: skip
"""The measures of the two-layer network."""


class Line(NamedTuple):
    """One measure over all seeds.

    Attributes:
        measure: which. within, no_worse: bool for each seed.
        low, high: the least and the greatest value of any seed; nan without values.
    """

    measure: Measure
    within: list[bool]
    no_worse: list[bool]
    low: float
    high: float


def compare(measures: Sequence[Measure], seeds: Sequence[Values], setting: Setting) -> list[Line]:
    """Each measure of a setting in all seeds; a seed without the measure is outside."""
    lines = []
    for measure in measures:
        if setting in measure.ranges:
            values = [seed.get(measure.name, ()) for seed in seeds]
            known = [value for several in values for value in several] or [math.nan]
            within = [measure.within(several, setting) for several in values]
            no_worse = [measure.no_worse(several, setting) for several in values]
            lines.append(Line(measure, within, no_worse, min(known), max(known)))
    return lines


def table(lines: Sequence[Line], setting: Setting, title: str) -> dict[str, Any]:
    """`compare` as a table of the README; seeds are numbered from 0."""
    header = ["measure", "range", "seeds within", "outside", "no worse", "least", "greatest"]
    rows = []
    for line in lines:
        outside = ", ".join(str(seed) for seed, inside in enumerate(line.within) if not inside)
        counts = [sum(line.within), outside or "-", sum(line.no_worse)]
        words = [line.measure.words, str(line.measure.ranges[setting])]
        rows.append([*words, *counts, line.low, line.high])
    return {"title": title, "header": header, "rows": rows}


def measure(result: ModularResult) -> dict[str, list[float]]:
    """All `TRANSFORMER` measures of one training on a + b, and the accuracy of the key cosines.

    A step that was not reached, and what takes key frequencies where there are none, is left out.
    """
    model = result.model
    if not isinstance(model, Transformer):
        raise TypeError(f"a {type(model).__name__} has none of these measures")
    found = _of_curves(result)
    keys = np.asarray(result.key_frequencies)
    found["n_keys"] = [float(len(keys))]
    if len(keys):
        seen = _all_pairs(model)
        found |= _of_logits(seen.logits, keys, np.asarray(result.train_pairs))
        found |= _of_parts(model, seen, keys)
    return found


_all_pairs = jax.jit(all_pairs)


def _of_curves(result: ModularResult) -> dict[str, list[float]]:
    p, step, progress = int(result.config.p), np.asarray(result.step), result.progress
    restricted = np.asarray(progress.restricted_loss)
    excluded, norm = np.asarray(progress.excluded_loss), np.asarray(progress.weight_norm)
    phases = training_phases(step, excluded, result.test_loss, result.test_accuracy, p)
    sees, at_90 = restricted < math.log(p) / 2, np.asarray(result.test_accuracy) >= 0.9
    found = {
        "train_99": first_step_at(step, result.train_accuracy, GROKKED),
        "restricted_sees": step[sees.argmax()] if sees.any() else NEVER,
        "excluded_least": excluded.min(),
        "excluded_end": excluded[-1],
        "gini_in": progress.gini_in[-1],
        "gini_out": progress.gini_out[-1],
        "norm_peak": norm.max(),
        "norm_end": norm[-1],
        "norm_fall": 1 - norm[-1] / norm.max(),
        **phases._asdict(),
    }
    if at_90.any():
        found["restricted_at_90"] = restricted[at_90.argmax()]
    return {name: [float(value)] for name, value in found.items() if value != NEVER}


def _of_logits(
    logits: jax.Array, keys: np.ndarray, train_pairs: np.ndarray
) -> dict[str, list[float]]:
    spectrum, plane = logit_spectrum(logits), plane_spectrum(logits)
    whole, trained = ablations(logits, keys), ablations(logits, keys, train_pairs)
    found = {
        "final_loss": whole.intact.loss,
        "accuracy": whole.intact.accuracy,
        "plane_share": plane.share[keys - 1].sum(),
        "explained": spectrum.cosine_share[keys - 1].sum(),
        "restricted_end": whole.only_key.loss,
        "without_one": whole.without_each.loss,
        "without_all": whole.without_all.loss,
        "accuracy_without": whole.without_all.accuracy,
        "train_accuracy_without": trained.without_all.accuracy,
        "accuracy_of_cosines": whole.only_cosines.accuracy,
    }
    return {name: np.atleast_1d(value).tolist() for name, value in found.items()}


def _of_parts(model: Transformer, seen: LastToken, keys: np.ndarray) -> dict[str, list[float]]:
    W_L = (model.W_out[0] @ model.W_U[:, :-1]).T
    cosine, sine = readouts(W_L, seen.neurons, keys)
    heads = attention_waves(seen.pattern, keys)
    found = {
        "readout_outside": energy_outside(W_L, keys),
        "readout_explained": np.concatenate([cosine.fve, sine.fve]),
        "readout_ratio": cosine.coefficient / sine.coefficient,
        "attention_keys": heads.key_share,
        "attention_best": heads.best_share,
        "attention_self": heads.self_weight,
        "n_single": (neuron_frequencies(seen.neurons).share > SINGLE_FREQUENCY).sum(),
    }
    return {name: np.atleast_1d(value).tolist() for name, value in found.items()}
