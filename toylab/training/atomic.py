"""Writing a file so that it is never seen half done."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil

from toylab.errors import shown


def replace_atomically(path: str | os.PathLike[str], data: bytes) -> None:
    """Makes `data` the contents of `path`; readers see the old file or the new one, never a part.

    A temporary file in the same folder is written, synced to the disk and renamed over the path;
    then the folder is synced. On an error the temporary file is removed and an existing file stays
    as it was. Only when the last step fails is the new file in place, and the error says so.

    Args:
        path: the file; its folder must exist.
        data: all of its bytes.

    Raises:
        OSError: with the path, and with needed and free bytes when the disk is full.
    """
    target = os.path.abspath(os.fspath(path))
    if "\0" in target:
        raise OSError(errno.EINVAL, "a path cannot hold a NUL character", shown(target))
    folder, name = os.path.split(target)
    temporary = os.path.join(folder, f".{name[:64]}.{os.getpid()}.{secrets.token_hex(8)}.tmp")
    try:
        _write_new(temporary, data)
        os.replace(temporary, target)
    except BaseException as error:
        if not isinstance(error, FileExistsError):  # then it is another writer's
            with contextlib.suppress(OSError):
                os.unlink(temporary)
        if isinstance(error, OSError):
            raise _explained(error, target, len(data)) from error
        raise
    _sync_folder(folder, target)


def _write_new(path: str, data: bytes) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags, 0o666)
    try:
        rest = memoryview(data)
        while rest:  # a write may be short
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_folder(folder: str, target: str) -> None:
    if os.name == "nt":  # a folder cannot be opened there
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        text = f"{error.strerror}; the file is in place, but may not survive a loss of power"
        raise OSError(error.errno, text, target) from error


def _explained(error: OSError, target: str, needed: int) -> OSError:
    text = error.strerror or str(error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        free = shutil.disk_usage(os.path.dirname(target)).free
        text = f"{text}, {needed} bytes needed, {free} free"
    return OSError(error.errno, f"{text}; nothing was saved", target)
