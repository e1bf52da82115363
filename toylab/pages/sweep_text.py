"""The words of the sweep page."""

from __future__ import annotations

from collections.abc import Mapping

from toylab.pages.superposition_model import CONTROLS as MODEL_CONTROLS
from toylab.pages.sweep_model import Map, Spot

__all__ = [
    "CLICK",
    "INTRODUCTION",
    "NOT_SHOWN",
    "QUESTION",
    "SEE",
    "SOURCE",
    "address",
    "open_model",
    "progress",
    "stopped",
]

QUESTION = "When does a model begin to crowd its features?"

INTRODUCTION = (
    "Every cell is a model of its own, trained from several random starts, of which the best is "
    "shown. Two of sparsity, features and hidden dimensions change from cell to cell; everything "
    "else stays the same."
)

SEE = """
- Dense features do not share: at sparsity 0 a model with m dimensions keeps its m most useful
  features and all but drops the others, so that hardly anything interferes.
- Somewhere to the right the colour jumps: from there on more features are kept than there are
  dimensions, and interference is the price.
- With dimensions enough, at last nothing is dropped. The crowding stays, and yet the loss falls:
  features that are hardly ever active together hardly ever disturb each other. Choose *Loss* as
  the colour.
"""

NOT_SHOWN = """
- A cell is one model, the best of a few starts. A speck among equal neighbours is a local minimum
  more often than a finding; open it and try other seeds.
- The features are equally sparse and independent here, and each counts 0.85 of the one before
  unless you change it. Equally important ones have no order in which they could be dropped.
- The border is that of this toy model. Larger models have no dial for the sparsity of features.
"""

SOURCE = (
    "After Elhage et al. 2022, [Toy Models of Superposition]"
    "(https://transformer-circuits.pub/2022/toy_model/index.html), the sections on phase changes "
    "and on the sparsity at which features enter superposition."
)

CLICK = "Click a cell to see its model."


def progress(done: int, total: int, running: bool) -> str:
    """What is going on while the map grows."""
    if not running and not done:
        return "Waiting for another training to end"
    return f"{done} of {total} models" if done else f"Compiling, then {total} models"


def stopped(done: int, total: int) -> str:
    """Why a map has holes."""
    return f"Stopped after {done} of {total} models."


def open_model(spot: Spot) -> str:
    """The label of the way to one model."""
    n, m = spot.config.n_features, spot.config.n_hidden
    return f"Open {n} features in {m} dimension{'s' * (m != 1)}, sparsity {_number(spot)}"


def _number(spot: Spot) -> str:
    return f"{spot.config.sparsity:g}"


def address(spot: Spot, found: Map) -> Mapping[str, str]:
    """The part of the address that opens the model of a cell on the superposition page."""
    config = spot.config
    wanted = {
        "sparsity": _number(spot),
        "n_features": str(config.n_features),
        "n_hidden": str(config.n_hidden),
        "n_starts": str(found.n_starts),
        "importance_decay": f"{config.importance_decay:g}",
        "seed": str(found.seed),
    }
    default = {
        control.name: f"{control.default:g}"
        if isinstance(control.default, float)
        else str(control.default)
        for control in MODEL_CONTROLS
    }
    return {name: value for name, value in wanted.items() if value != default.get(name)}
