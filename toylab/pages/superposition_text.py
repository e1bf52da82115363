"""The words of the superposition page."""

from __future__ import annotations

from toylab.analysis.portrait import Portrait

__all__ = ["DIMENSIONALITY", "GRAM", "INTRODUCTION", "NOT_SHOWN", "SEE", "SOURCE", "closeness",
           "crowding", "projection", "question"]

_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight")

INTRODUCTION = (
    "A model must squeeze its features through a few hidden dimensions and give them back: "
    "x′ = f(WᵀW x + b). If few are active at once, it can keep more features than it has "
    "dimensions, in *superposition*, and pays with interference between them.")

SEE = """
- At sparsity 0.95, five features share two dimensions as a regular **pentagon**. Each owns 2/5 of a
  dimension, and a negative bias silences most of what leaks.
- Below a sparsity of about 0.775 one feature is given up, and the other four form two pairs of
  opposites, a **square**: a ReLU can tell opposites apart.
- With a decaying importance, the features that count least go first.
- A linear output gains nothing from sparsity: with a decaying importance, exactly the most
  important features stay, one for each dimension.
"""

NOT_SHOWN = """
- The features are known here, independent and equally sparse. A trained network grants none of
  this.
- The model stores and recalls; it computes nothing with its features.
- The best of a few starts need not be the best there is. Where few starts agree, raise their
  number.
- Features that look close in a projection of many dimensions may lie far apart.
"""

SOURCE = ("After Elhage et al. 2022, [Toy Models of Superposition]"
          "(https://transformer-circuits.pub/2022/toy_model/index.html).")

GRAM = ("What each output receives from each input. The diagonal is what a feature keeps of "
        "itself; everything else is interference.")

DIMENSIONALITY = (
    "The share of a dimension that a feature has to itself: 1/2 in a pair of opposites (digon), "
    "2/3 in a triangle, 3/4 in a tetrahedron, 2/5 in a pentagon.")


def question(n_hidden: int) -> str:
    """The page's title."""
    return f"How many features fit into {_dimensions(n_hidden)}?"


def projection(n_hidden: int) -> str:
    """How a flat picture shows vectors of so many dimensions."""
    if n_hidden == 1:
        return "Each feature is a number on a line: one sign or the other."
    if n_hidden == 2:
        return ("Each line from the centre is a feature, its column of W. Dashed lines join "
                "neighbours; the circle has radius 1.")
    if n_hidden == 3:
        return ("The columns of W in space, from the side and a little from above; near ones are "
                "larger.")
    return ("The columns of W along their first two principal directions; "
            f"{_dimensions(n_hidden - 2)} more cannot be seen here.")


def crowding(seen: Portrait, n_hidden: int) -> str:
    """What the chart of interference shows, and what its line means."""
    return ("What all others write along a feature's direction, as a root of squares. "
            + _bound(seen, n_hidden, seen.interference_floor,
                     f"the shortest length × √{seen.n_represented - 1} × the Welch bound; "
                     f"{seen.n_represented} vectors of that length cannot do better on average")
            + " Pale: dropped features." * (not seen.represented.all()))


def closeness(seen: Portrait, n_hidden: int) -> str:
    """What the chart of cosines shows, and what its line means."""
    return ("The largest |cos| with another feature. "
            + _bound(seen, n_hidden, seen.welch,
                     f"the Welch bound; of {seen.n_represented} directions in "
                     f"{_dimensions(n_hidden)} two must come as close"))


def _bound(seen: Portrait, n_hidden: int, bound: float, meaning: str) -> str:
    if seen.n_represented <= n_hidden:
        return f"The bound is 0: {_dimensions(n_hidden)} can hold them at right angles."
    return f"Dashed: {bound:.3g}, {meaning}."


def _dimensions(count: int) -> str:
    return f"{_NUMBERS[count]} dimension{'s' * (count > 1)}"
