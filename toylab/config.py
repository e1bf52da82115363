"""Configs: frozen dataclasses that are pytrees, check themselves, and travel as JSON or key=value.

A config lists its fields once, each with the rule that it must obey:

    @config
    class PendulumConfig(Config):
        n_steps: int = integer(100, low=0)
        length: float = real(1.0, low=0.0, low_open=True)

Real numbers are the leaves of the pytree (they can be stacked and traced); integers and choices are
static. Nothing is checked on construction, because a pytree is rebuilt with tracers inside: entry
points call `check()`, which reports every violation at once.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Self, TypeVar, dataclass_transform

import jax
import numpy as np
from jax.core import Tracer

from toylab.errors import ConfigError, ConfigTypeError, shown

__all__ = ["Config", "Rule", "choice", "config", "did_you_mean", "integer", "per_item", "real"]


@dataclasses.dataclass(frozen=True)
class Rule:
    """What one field may hold, and how its text form is read.

    Attributes:
        kind: `int`, `float`, `items` (a float, or one for each item) or `choice`.
        low, high: the inclusive range; `low_open` and `high_open` exclude the end itself.
        options: the words that a `choice` may take.
        note: why the range ends where it does, appended to the message.
    """

    kind: str
    low: float = -math.inf
    high: float = math.inf
    low_open: bool = False
    high_open: bool = False
    options: tuple[str, ...] = ()
    note: str = ""

    @property
    def interval(self) -> str:
        """The range in words, `1..4096` for integers and `[0, 1)` for real numbers."""
        if self.kind == "int":
            return (
                f"an integer >= {self.low}"
                if math.isinf(self.high)
                else (f"an integer in {self.low}..{self.high}")
            )
        left, right = "(["[not self.low_open], ")]"[not self.high_open]
        return f"in {left}{self.low:g}, {self.high:g}{right}"

    def complaint(self, value: object) -> tuple[str, bool] | None:
        """What is wrong with `value`, and whether its type is; None when nothing is."""
        if self.kind == "choice":
            return self._choice_complaint(value)
        number = int if self.kind == "int" else float
        allowed = (int, np.integer) if number is int else (int, float, np.integer, np.floating)
        if isinstance(value, bool | np.bool_) or not isinstance(value, allowed):
            article = "an int" if number is int else "a number"
            return f"must be {article}, got {type(value).__name__}", True
        inside = (value > self.low if self.low_open else value >= self.low) and (
            value < self.high if self.high_open else value <= self.high
        )
        if isinstance(value, float | np.floating) and not math.isfinite(value):
            return f"must be finite and {self.interval}", False
        if not inside:
            return f"must be {self.interval}" + (f"; {self.note}" if self.note else ""), False
        return None

    def _choice_complaint(self, value: object) -> tuple[str, bool] | None:
        if not isinstance(value, str):
            return f"must be a str, got {type(value).__name__}", True
        if value in self.options:
            return None
        return f"{did_you_mean(value, self.options)}must be one of {list(self.options)}", False

    def parse(self, name: str, text: str) -> Any:
        """The value that `text` spells, for the command line and the app's address bar."""
        if self.kind == "choice":
            return text
        number = int if self.kind == "int" else float
        try:
            parts = [number(part) for part in text.split(":")]
        except ValueError:
            word = "an int" if number is int else "a number"
            raise ConfigError(f"{name}={shown(text)}: must be {word}") from None
        if len(parts) > 1 and self.kind != "items":
            raise ConfigError(f"{name}={shown(text)}: must be a single value")
        return parts[0] if len(parts) == 1 else tuple(parts)


def _field(default: Any, rule: Rule) -> Any:
    return dataclasses.field(default=default, metadata={"rule": rule})


def integer(default: int, low: int, high: float = math.inf, note: str = "") -> Any:
    """A field that holds an int in low..high; static, so a new value compiles anew."""
    return _field(default, Rule("int", low, high, note=note))


def real(
    default: float,
    low: float,
    high: float,
    *,
    low_open: bool = False,
    high_open: bool = False,
    note: str = "",
) -> Any:
    """A field that holds one finite number; a leaf, so that values can be stacked."""
    return _field(default, Rule("float", low, high, low_open, high_open, note=note))


def per_item(
    default: float, low: float, high: float, *, high_open: bool = False, note: str = ""
) -> Any:
    """A field that holds one finite number for all items, or a tuple with one for each."""
    return _field(default, Rule("items", low, high, False, high_open, note=note))


def choice(default: str, options: tuple[str, ...]) -> Any:
    """A field that holds one of a few words; static."""
    return _field(default, Rule("choice", options=options))


def did_you_mean(word: str, options: Any) -> str:
    """`did you mean 'relu'? `, or nothing when no option is close."""
    close = difflib.get_close_matches(str(word), list(options), n=1)
    return f"did you mean {close[0]!r}? " if close else ""


class Config:
    """What every config can do; concrete configs are made by the `config` decorator."""

    @classmethod
    @functools.cache
    def rules(cls) -> dict[str, Rule]:
        """The rule of each field, in the order of the fields."""
        return {f.name: f.metadata["rule"] for f in dataclasses.fields(cls)}  # type: ignore[arg-type]

    @classmethod
    def aliases(cls) -> dict[str, tuple[str, Callable[[Any], Any]]]:
        """Other spellings: name -> (field, conversion of the given value to the field's)."""
        return {}

    def relations(self) -> Iterator[str]:
        """Violations that involve several fields; asked only when each field alone is sound."""
        return iter(())

    def notices(self) -> list[str]:
        """Remarks on a valid but unusual choice."""
        return []

    def check(self) -> Self:
        """The config with plain Python values, or an error that lists every violation.

        Under a JAX trace the leaves have no values yet, and the config is returned as it is.

        Raises:
            ConfigError: `<field>=<value>: <what is allowed>`, one line for each violation.
            ConfigTypeError: the same, when a value has the wrong type.
        """
        if any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(self)):
            return self
        wrong_type, complaints, plain = False, [], {}
        for name, rule in self.rules().items():
            value = plain[name] = _plain(getattr(self, name), rule)
            for text, is_type in _field_complaints(name, value, rule):
                complaints.append(text)
                wrong_type |= is_type
        if not complaints:
            checked = dataclasses.replace(self, **plain)  # type: ignore[type-var]
            complaints = list(checked.relations())
            if not complaints:
                return checked
        raise (ConfigTypeError if wrong_type else ConfigError)("\n".join(complaints))

    def check_field(self, name: str, value: Any) -> None:
        """Check one value against its field's rule alone; raises as `check` does."""
        rule = self.rules()[name]
        found = list(_field_complaints(name, _plain(value, rule), rule))
        if found:
            kind = ConfigTypeError if any(is_type for _, is_type in found) else ConfigError
            raise kind("\n".join(text for text, _ in found))

    def replace(self, **changes: Any) -> Self:
        """A copy with some fields changed; `density=` and other aliases are understood."""
        current = {f: getattr(self, f) for f in self.rules()}
        for name in changes:
            current.pop(self.aliases().get(name, (name,))[0], None)
        return type(self)(**{**current, **changes})

    def to_json(self) -> str:
        """One canonical line of JSON: sorted keys, no spaces, the same for equal configs."""
        checked = self.check()
        fields = {name: getattr(checked, name) for name in self.rules()}
        return json.dumps(fields, sort_keys=True, separators=(",", ":"), allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The checked config that `to_json` wrote; refuses unknown or repeated keys and NaN."""
        try:
            fields = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
        except RecursionError:
            raise ConfigError(f"config={shown(text)}: is nested too deeply") from None
        except json.JSONDecodeError as error:
            raise ConfigError(f"config={shown(text)}: is not JSON ({error})") from None
        if not isinstance(fields, dict):
            raise ConfigError(f"config={shown(text)}: must be a JSON object of fields")
        return cls(**fields).check()

    @classmethod
    def from_strings(cls, texts: Mapping[str, str]) -> Self:
        """The checked config for key=value words; one value for each item is joined by `:`."""
        rules, aliases = cls.rules(), cls.aliases()
        values, complaints = {}, []
        for name, text in texts.items():
            rule = rules.get(aliases.get(name, (name,))[0])
            if rule is None:
                complaints.append(_unknown(cls, name))
                continue
            try:
                values[name] = rule.parse(name, text)
            except ConfigError as error:
                complaints.append(str(error))
        if complaints:
            raise ConfigError("\n".join(complaints))
        return cls(**values).check()

    def fingerprint(self) -> str:
        """Twenty hex digits that name the config: the start of the sha256 of its canonical JSON."""
        text = f"{type(self).__name__} {self.to_json()}"
        return hashlib.sha256(text.encode()).hexdigest()[:20]


_C = TypeVar("_C", bound=type[Config])


@dataclass_transform(frozen_default=True, field_specifiers=(integer, real, per_item, choice))
def config(cls: _C) -> _C:
    """Make `cls` a frozen dataclass and a pytree whose leaves are its real numbers.

    Its constructor takes keywords only, answers an unknown one with the nearest known name, and
    converts aliases. It checks no values (see the module's first paragraph).
    """
    cls = dataclasses.dataclass(frozen=True, kw_only=True)(cls)
    leaves = [name for name, rule in cls.rules().items() if rule.kind in ("float", "items")]
    static = [name for name in cls.rules() if name not in leaves]
    plain_init = cls.__init__

    @functools.wraps(plain_init)
    def __init__(self: Any, *args: Any, **given: Any) -> None:
        if args:
            raise ConfigTypeError(
                f"{cls.__name__}({shown(args[0])}, ...): takes keyword arguments only; "
                f"write {next(iter(cls.rules()))}=..."
            )
        unknown = [
            _unknown(cls, k) for k in given if k not in cls.rules() and k not in cls.aliases()
        ]
        if unknown:
            raise ConfigError("\n".join(unknown))
        for name, (target, convert) in cls.aliases().items():
            if name in given and target in given:
                raise ConfigError(
                    f"{name}={shown(given[name])}: {target} is given as well; give one"
                )
            if name in given:
                given[target] = convert(given.pop(name))
        plain_init(self, **given)

    cls.__init__ = __init__
    jax.tree_util.register_dataclass(cls, data_fields=leaves, meta_fields=static)
    return cls


def _unknown(cls: type[Config], name: str) -> str:
    known = [*cls.rules(), *cls.aliases()]
    return f"{name}: unknown field of {cls.__name__}; {did_you_mean(name, known)}fields: " + (
        ", ".join(known)
    )


def _plain(value: Any, rule: Rule) -> Any:
    """Numpy and JAX values as plain Python ones, lists as tuples; anything else untouched."""
    if isinstance(value, np.ndarray | jax.Array | np.generic):
        value = np.asarray(value).tolist()
    if isinstance(value, list):
        value = tuple(value)
    if isinstance(value, int) and not isinstance(value, bool) and rule.kind in ("float", "items"):
        return float(value) if abs(value) < 1e300 else math.inf if value > 0 else -math.inf
    if isinstance(value, tuple) and rule.kind == "items":
        return tuple(_plain(v, Rule("float")) for v in value)
    return value


def _field_complaints(name: str, value: Any, rule: Rule) -> Iterator[tuple[str, bool]]:
    if rule.kind == "items" and isinstance(value, tuple):
        named = [(f"{name}[{i}]", item) for i, item in enumerate(value)]
    else:
        named = [(name, value)]
    for spelled, item in named:
        if found := rule.complaint(item):
            yield f"{spelled}={shown(item)}: {found[0]}", found[1]


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ConfigError("config: a key occurs twice")
    return fields


def _no_constant(word: str) -> None:
    raise ConfigError(f"config: {word} is not allowed; numbers must be finite")
