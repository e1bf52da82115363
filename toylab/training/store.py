"""Named arrays and a JSON header in one `.npz` file that is whole, or refused by name.

A file is a zip of uncompressed `.npy` members: the header, the arrays, and the sha256 of all of
them, so that neither damage nor an exchange of arrays goes unnoticed. Its bytes depend on the
contents alone: equal results make equal files. `numpy.load` opens it as any other npz.

Nothing is unpickled, and nothing is allocated on the word of a header: every size is first compared
with the bytes that are there.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import stat
import struct
import tokenize
import zipfile
from collections.abc import Mapping
from importlib import metadata
from typing import Any, NamedTuple, NoReturn

import numpy as np
from numpy.lib import format as npy

from toylab.errors import BudgetError, FormatError, shown
from toylab.training.atomic import replace_atomically

SCHEMA = 1
MAX_BYTES = 2**30
_OVERHEAD = 2**20  # room for the header, the names and the archive's own tables
MAX_MEMBERS = 4096
_HEADER, _DIGEST = "header", "sha256"
_KINDS = "?biufc"  # booleans and numbers
_END_OF_ZIP = struct.Struct("<4s4H2LH")  # what closes a zip without a comment
_ZIP_FAULTS = (zipfile.BadZipFile, EOFError, OSError, RuntimeError, ValueError, struct.error)
_NPY_FAULTS = (
    ValueError,
    TypeError,
    SyntaxError,
    RecursionError,
    MemoryError,
    OverflowError,
    tokenize.TokenError,
)


class Stored(NamedTuple):
    """What a file holds.

    Attributes:
        arrays: by name, in C order, with the dtype and shape that were written; writable copies.
        header: the JSON object that was written, with `schema` and `toylab` (a version) added.
    """

    arrays: dict[str, np.ndarray]
    header: dict[str, Any]


def write(
    path: str | os.PathLike[str], arrays: Mapping[str, Any], header: Mapping[str, Any]
) -> None:
    """Writes arrays and header to `path`: afterwards it holds them, or on an error what it held.

    Args:
        path: the file, replaced when it exists; its folder must exist.
        arrays: by name, of booleans or numbers.
        header: a JSON object with finite numbers.

    Raises:
        BudgetError: the arrays are larger than what `read` accepts.
        OSError: the file cannot be written.
        ValueError: an array of objects or text, or a header that JSON cannot hold.
    """
    n_bytes = sum(np.asarray(array).nbytes for array in arrays.values())
    if n_bytes > MAX_BYTES - _OVERHEAD:
        raise BudgetError(
            f"{os.fspath(path)}: the arrays take {n_bytes} bytes, more than a file may hold "
            f"({MAX_BYTES - _OVERHEAD}); save parts of it"
        )
    replace_atomically(path, encode(arrays, header))


def read(path: str | os.PathLike[str], *, max_bytes: int = MAX_BYTES) -> Stored:
    """Reads a file that `write` wrote, after checking all of it.

    Args:
        path: the file.
        max_bytes: a longer file is refused before it is read.

    Raises:
        FormatError: the file is damaged, foreign, too long, or of a newer schema; names the file.
        OSError: there is no such file, or it cannot be read.
    """
    name = os.fspath(path)
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for its writer
        _refuse(name, "is not a file")
    if status.st_size > max_bytes:
        _refuse(name, f"has {status.st_size} bytes, more than max_bytes={max_bytes}")
    with open(path, "rb") as file:
        return decode(file.read(max_bytes), name)


def encode(arrays: Mapping[str, Any], header: Mapping[str, Any]) -> bytes:
    """The bytes of the file that `write` would write; the same for equal contents."""
    full = {"schema": SCHEMA, "toylab": metadata.version("toylab"), **header}
    text = json.dumps(full, sort_keys=True, allow_nan=False).encode()
    members = {_HEADER: _to_npy(_HEADER, np.frombuffer(text, np.uint8))}
    for name in sorted(arrays):
        if name in (_HEADER, _DIGEST):
            raise ValueError(f"arrays[{name!r}]: the name is taken by the file's own member")
        members[name] = _to_npy(name, np.asarray(arrays[name]))
    members[_DIGEST] = _to_npy(_DIGEST, np.frombuffer(_digest(members), np.uint8))
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, raw in members.items():
            info = zipfile.ZipInfo(f"{name}.npy")  # dated 1980: no clock in the bytes
            info.create_system = 3
            archive.writestr(info, raw)
    return out.getvalue()


def decode(data: bytes, name: str) -> Stored:
    """The contents of a file's bytes, all of them checked first.

    Args:
        data: what `encode` returned.
        name: what an error calls the file.

    Raises:
        FormatError: as `read`.
    """
    members = _unzip(data, name)
    digest = members.pop(_DIGEST, None)
    if digest is None or _HEADER not in members:
        _refuse(name, "was not written by toylab")
    if _from_npy(digest, name, _DIGEST).tobytes() != _digest(members):
        _refuse(name, "sha256 mismatch: damaged; compute it again or restore a copy")
    header = _parse_header(_from_npy(members.pop(_HEADER), name, _HEADER).tobytes(), name)
    return Stored({key: _from_npy(raw, name, key) for key, raw in members.items()}, header)


def _digest(members: Mapping[str, bytes]) -> bytes:
    """sha256 over the members' names and bytes, which begin with dtype and shape."""
    total = hashlib.sha256()
    for name in sorted(members):
        for part in (name.encode(), members[name]):
            total.update(struct.pack("<Q", len(part)))
            total.update(part)
    return total.digest()


def _unzip(data: bytes, name: str) -> dict[str, bytes]:
    _check_zip_directory(data, name)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            infos = archive.infolist()
            if any(info.compress_type != zipfile.ZIP_STORED for info in infos):
                _refuse(name, "holds compressed members, which toylab does not write")
            if sum(info.file_size for info in infos) > len(data):
                _refuse(name, "claims more bytes than it has")
            members = {info.filename.removesuffix(".npy"): archive.read(info) for info in infos}
    except FormatError:
        raise
    except _ZIP_FAULTS as error:
        _refuse(name, f"damaged: {shown(str(error))}")
    if len(members) < len(infos):
        _refuse(name, "holds two members of one name")
    return members


def _check_zip_directory(data: bytes, name: str) -> None:
    """Refuses what the zip module would have to read at length before it could be judged."""
    if not data:
        _refuse(name, "is empty")
    if not data.startswith(b"PK\3\4"):
        _refuse(name, "is not an npz file")
    ending = data[-_END_OF_ZIP.size :]
    if len(ending) < _END_OF_ZIP.size or not ending.startswith(b"PK\5\6"):
        _refuse(name, "is truncated, or has bytes after its end")
    if data[: -_END_OF_ZIP.size][-20:].startswith(b"PK\6\7"):
        _refuse(name, "is a zip64 file, which toylab does not write")
    n_members, directory_bytes = _END_OF_ZIP.unpack(ending)[4:6]
    if n_members > MAX_MEMBERS or directory_bytes > 512 * MAX_MEMBERS:
        _refuse(name, f"has more than {MAX_MEMBERS} members")


def _to_npy(name: str, array: np.ndarray) -> bytes:
    if array.dtype.kind not in _KINDS:
        raise ValueError(
            f"arrays[{name!r}]: must be of booleans or numbers, got dtype {array.dtype}"
        )
    out = io.BytesIO()
    contiguous = np.ascontiguousarray(array).reshape(array.shape)
    npy.write_array(out, contiguous, version=(1, 0), allow_pickle=False)
    return out.getvalue()


def _from_npy(raw: bytes, name: str, member: str) -> np.ndarray:
    label = f"member {shown(member)}"
    stream = io.BytesIO(raw)
    try:
        if npy.read_magic(stream) != (1, 0):
            raise ValueError("unknown npy version")
        shape, fortran_order, dtype = npy.read_array_header_1_0(stream)
        if dtype.hasobject:
            _refuse(name, f"{label} holds Python objects; refused")
        if dtype.kind not in _KINDS or fortran_order or min(shape, default=0) < 0:
            raise ValueError("not a plain array of booleans or numbers")
        claimed, there = dtype.itemsize * math.prod(shape), len(raw) - stream.tell()
        if claimed != there:
            raise ValueError(f"claims {claimed} bytes and has {there}")
        return np.frombuffer(raw[stream.tell() :], dtype).reshape(shape).copy()
    except FormatError:
        raise
    except _NPY_FAULTS as error:
        _refuse(name, f"{label} cannot be read: {shown(str(error))}")


def _parse_header(text: bytes, name: str) -> dict[str, Any]:
    try:
        header = json.loads(text)
    except (ValueError, RecursionError) as error:
        _refuse(name, f"its header is not JSON: {shown(str(error))}")
    schema = header.get("schema") if isinstance(header, dict) else None
    if type(schema) is not int or schema < 1:
        _refuse(name, "its header names no schema")
    if schema > SCHEMA:
        writer, here = header.get("toylab"), metadata.version("toylab")
        _refuse(
            name,
            f"written by toylab {writer} (schema {schema}), this is toylab {here} "
            f"(schema {SCHEMA}); update toylab to read it",
        )
    return header


def _refuse(name: str, why: str) -> NoReturn:
    raise FormatError(f"{name}: {why}")
