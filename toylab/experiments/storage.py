"""Results on disk: `save(result, path)` and `load(path)`.

A Result is stored as its arrays, each under its path (`model.W`, `history.loss`), beside a JSON
tree that says what it is made of. Loading builds only the classes named below; a new experiment
adds its own.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from toylab.config import Config
from toylab.errors import ConfigError, ConfigTypeError, FormatError, shown
from toylab.experiments.modular import ModularConfig, ModularResult, Progress
from toylab.experiments.superposition import History, SuperpositionConfig, SuperpositionResult
from toylab.models.mlp import PairMLP
from toylab.models.toy import ToyModel
from toylab.models.transformer import Transformer
from toylab.training import store
from toylab.training.fingerprint import fingerprint
from toylab.training.grid import Grid, grid

__all__ = ["load", "save"]

Result = SuperpositionResult | ModularResult
_RESULTS = {cls.__name__: cls for cls in (SuperpositionResult, ModularResult)}
_RECORDS = {cls.__name__: cls for cls in (*_RESULTS.values(), History, Progress)}
_MODELS = {cls.__name__: cls for cls in (ToyModel, Transformer, PairMLP)}
_CONFIGS: dict[str, type[Config]] = {
    cls.__name__: cls for cls in (SuperpositionConfig, ModularConfig)
}

Arrays = dict[str, np.ndarray]
Node = dict[str, Any]


def save(result: Result, path: str | os.PathLike[str], *, command: str = "") -> None:
    """Writes a Result as one `.npz` file, atomically; equal files for equal results and setting.

    The file also holds the versions and settings of this process.

    Args:
        result: of a run, a solve or a sweep.
        path: the file, replaced when it exists; its folder must exist.
        command: how to make the result again, for a reader of the file's header.

    Raises:
        ConfigTypeError: not a Result.
        OSError: the file cannot be written; an existing one is as it was.
    """
    kind = type(result).__name__
    if kind not in _RESULTS:
        raise ConfigTypeError(
            f"result={shown(result)}: must be one of {list(_RESULTS)}, got {kind}"
        )
    arrays: Arrays = {}
    tree = _describe(result, "", arrays)
    header = {"tree": tree, "fingerprint": fingerprint()._asdict(), "command": command}
    store.write(path, arrays, header)


def load(path: str | os.PathLike[str]) -> Result:
    """Reads a Result that `save` wrote: the same config, and arrays with the same bits.

    Args:
        path: the file.

    Raises:
        FormatError: the file is damaged, foreign, or of a newer version; names the file.
        OSError: there is no such file, or it cannot be read.
    """
    stored = store.read(path)
    try:
        result = _build(stored.header["tree"], stored.arrays)
    except ConfigError as error:
        raise FormatError(f"{os.fspath(path)}: {error}") from error
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise FormatError(f"{os.fspath(path)}: does not hold a Result of this version") from error
    if type(result).__name__ not in _RESULTS:
        raise FormatError(f"{os.fspath(path)}: does not hold a Result of this version")
    return result


def _describe(value: Any, name: str, arrays: Arrays) -> Node:
    """The JSON node of a part of a Result; puts its arrays into `arrays`."""
    kind = type(value).__name__
    if isinstance(value, Config):
        return {"is": kind, "fields": json.loads(value.to_json())}
    if isinstance(value, Grid):
        return {"is": kind, "config": _describe(value.config, name, arrays), "axes": value.axes}
    if isinstance(value, nnx.Module):
        fields = {key: field for key, field in vars(value).items() if not key.startswith("_")}
        return {"is": kind, "fields": _describe_fields(fields, name, arrays)}
    if isinstance(value, nnx.Variable):
        return _describe(value[...], name, arrays)
    if hasattr(value, "_asdict"):
        return {"is": kind, "fields": _describe_fields(value._asdict(), name, arrays)}
    if isinstance(value, tuple):
        items = dict(enumerate(value))
        return {"is": "tuple", "items": list(_describe_fields(items, name, arrays).values())}
    if isinstance(value, jax.Array | np.ndarray | np.generic):
        arrays[name] = np.asarray(value)
        return {"is": "jax" if isinstance(value, jax.Array) else "numpy", "array": name}
    return {"is": "value", "value": value}


def _describe_fields(fields: Mapping[Any, Any], name: str, arrays: Arrays) -> dict[Any, Node]:
    prefix = f"{name}." if name else ""
    return {key: _describe(value, f"{prefix}{key}", arrays) for key, value in fields.items()}


def _build(node: Node, arrays: Arrays) -> Any:
    kind = node["is"]
    if kind in _CONFIGS:
        return _CONFIGS[kind].from_json(json.dumps(node["fields"]))
    build: Callable[..., Any] | None = (_RECORDS | _MODELS).get(kind)
    if build is not None:
        return build(**{key: _build(field, arrays) for key, field in node["fields"].items()})
    if kind == "Grid":
        axes = {name: [_frozen(value) for value in values] for name, values in node["axes"]}
        return grid(_build(node["config"], arrays), **axes)
    if kind == "tuple":
        return tuple(_build(item, arrays) for item in node["items"])
    if kind in ("jax", "numpy"):
        array = arrays[node["array"]]
        return jnp.asarray(array) if kind == "jax" else array
    if kind == "value":
        return node["value"]
    raise KeyError(kind)


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
