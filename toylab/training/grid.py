"""Grids: every combination of some values of some fields, in row-major order."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

import numpy as np

from toylab.config import Config, did_you_mean
from toylab.errors import BudgetError, ConfigError, shown

__all__ = ["MAX_CELLS", "Grid", "grid"]

MAX_CELLS = 1_000_000

C = TypeVar("C", bound=Config)


@dataclasses.dataclass(frozen=True)
class Grid(Generic[C]):
    """The cells of a sweep.

    Attributes:
        config: what all cells share.
        axes: (field, values) for each axis, the slowest first.
    """

    config: C
    axes: tuple[tuple[str, tuple[Any, ...]], ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """The number of values along each axis."""
        return tuple(len(values) for _, values in self.axes)

    @property
    def configs(self) -> tuple[C, ...]:
        """The config of each cell, row-major."""
        names = [name for name, _ in self.axes]
        cells = itertools.product(*(values for _, values in self.axes))
        return tuple(self.config.replace(**dict(zip(names, cell, strict=True))) for cell in cells)

    def to_json(self) -> str:
        """One canonical line: the shared config and the axes."""
        return json.dumps(
            {"config": json.loads(self.config.to_json()), "axes": self.axes},
            sort_keys=True,
            separators=(",", ":"),
            allow_nan=False,
        )


def grid(config: C, **axes: Sequence[Any]) -> Grid[C]:
    """All combinations of the given values, the first axis slowest.

    `grid(config, sparsity=[0.5, 0.9], n_hidden=[1, 2, 3])` has shape (2, 3).

    Args:
        config: the fields that do not vary.
        axes: for each varying field (or alias, such as density) the values that it takes.

    Raises:
        ConfigError: an unknown field, an empty axis, a value out of range, or values that are equal
            (also when only float32 makes them so).
        BudgetError: more than `MAX_CELLS` cells.
    """
    plain = {name: _values(config, name, values) for name, values in axes.items()}
    if not plain:
        raise ConfigError(
            "grid: no axis is given; give a field several values, as in n_steps=[100, 200]"
        )
    targets = [config.aliases().get(name, (name,))[0] for name in plain]
    if len(set(targets)) < len(targets):
        raise ConfigError(f"grid: axes {list(plain)} set the same field twice; give one")
    cells = math.prod(len(values) for values in plain.values())
    if cells > MAX_CELLS:
        raise BudgetError(f"grid: {cells} cells; at most {MAX_CELLS} in one grid")
    for name, values in plain.items():
        complaints = [str(found) for value in values if (found := _refusal(config, name, value))]
        if complaints:
            raise ConfigError("\n".join(dict.fromkeys(complaints)))
        _require_distinct(name, values)
    return Grid(config.check(), tuple(plain.items()))


def _values(config: Config, name: str, values: Any) -> tuple[Any, ...]:
    known = [*config.rules(), *config.aliases()]
    if name not in known:
        raise ConfigError(
            f"{name}: unknown axis; {did_you_mean(name, known)}fields: {', '.join(known)}"
        )
    if hasattr(values, "tolist"):
        values = np.asarray(values).tolist()
    if isinstance(values, str) or not isinstance(values, Sequence | range):
        raise ConfigError(f"{name}={shown(values)}: an axis must be a list of values")
    if len(values) > MAX_CELLS:
        raise BudgetError(f"grid: {len(values)} cells; at most {MAX_CELLS} in one grid")
    if not values:
        raise ConfigError(f"{name}=[]: axis {name!r} is empty")
    return tuple(map(_plain_value, values))


def _plain_value(value: Any) -> Any:
    if hasattr(value, "tolist"):  # numpy and JAX, arrays and scalars
        value = np.asarray(value).tolist()
    return tuple(value) if isinstance(value, list) else value


def _require_distinct(name: str, values: tuple[Any, ...]) -> None:
    seen: dict[Any, Any] = {}
    for value in values:
        twin = _as_stored(value)
        if twin in seen:
            raise ConfigError(
                f"{name}: values {shown(seen[twin])} and {shown(value)} are the same cell "
                "(numbers are stored as float32)"
            )
        seen[twin] = value


def _as_stored(value: Any) -> Any:
    if isinstance(value, float):
        return float(np.float32(value))
    return tuple(map(_as_stored, value)) if isinstance(value, tuple) else value


def _refusal(config: Config, name: str, value: Any) -> ConfigError | None:
    """What is wrong with `value` by itself; relations between axes are checked by the sweep."""
    field, convert = config.aliases().get(name, (name, lambda given: given))
    try:
        config.check_field(field, convert(value))
    except ConfigError as error:
        return error
    return None
