"""`replace_atomically` under faults: the old file or the new, no leftovers, no lies."""

import errno
import os
import subprocess
import sys

import pytest

from toylab.training.atomic import replace_atomically

OLD, NEW = b"old" * 1000, b"new!" * 5000
CALLS = ("open", "write", "fsync", "close", "replace")


def fail_at(monkeypatch, call: str, occurrence: int, error: BaseException, after: bool = False):
    """Makes the given occurrence of an os function raise, before or after it has done its work."""
    real, count = getattr(os, call), 0

    def faulty(*args, **kwargs):
        nonlocal count
        count += 1
        if count != occurrence:
            return real(*args, **kwargs)
        if after or call == "close":  # a close that fails has closed all the same
            real(*args, **kwargs)
        raise error

    monkeypatch.setattr(os, call, faulty)


def test_writes_and_replaces(tmp_path):
    path = tmp_path / "a.npz"
    replace_atomically(path, OLD)
    replace_atomically(path, NEW)
    assert path.read_bytes() == NEW
    assert os.listdir(tmp_path) == ["a.npz"]


def test_short_writes_are_continued(tmp_path, monkeypatch):
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, data[:7]))
    replace_atomically(tmp_path / "a.npz", NEW)
    assert (tmp_path / "a.npz").read_bytes() == NEW


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
@pytest.mark.parametrize("call", CALLS)
def test_a_fault_before_the_rename_leaves_the_old_file(tmp_path, monkeypatch, call, code):
    path = tmp_path / "a.npz"
    path.write_bytes(OLD)
    with monkeypatch.context() as patch:
        fail_at(patch, call, 1, OSError(code, os.strerror(code)))
        with pytest.raises(OSError, match="nothing was saved") as error:
            replace_atomically(path, NEW)
    assert error.value.errno == code
    assert error.value.filename == str(path)
    assert path.read_bytes() == OLD
    assert os.listdir(tmp_path) == ["a.npz"]


@pytest.mark.parametrize("call", ["open", "fsync", "close"])
def test_a_fault_after_the_rename_is_reported(tmp_path, monkeypatch, call):
    path = tmp_path / "a.npz"
    path.write_bytes(OLD)
    with monkeypatch.context() as patch:
        fail_at(patch, call, 2, OSError(errno.EIO, "Input/output error"))
        with pytest.raises(OSError, match="loss of power") as error:
            replace_atomically(path, NEW)
    assert str(error.value) == (
        f"[Errno {errno.EIO}] Input/output error; the file is in place, but may not survive a "
        f"loss of power: {str(path)!r}"
    )
    assert path.read_bytes() == NEW
    assert os.listdir(tmp_path) == ["a.npz"]


@pytest.mark.parametrize("call", CALLS)
def test_an_interrupt_leaves_the_old_file(tmp_path, monkeypatch, call):
    path = tmp_path / "a.npz"
    path.write_bytes(OLD)
    with monkeypatch.context() as patch:
        fail_at(patch, call, 1, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            replace_atomically(path, NEW)
    assert path.read_bytes() == OLD
    assert os.listdir(tmp_path) == ["a.npz"]


def test_a_full_disk_is_told_in_bytes(tmp_path, monkeypatch):
    path = tmp_path / "a.npz"
    fail_at(monkeypatch, "write", 1, OSError(errno.ENOSPC, "No space left on device"))
    free = type("Usage", (), {"free": 123})
    monkeypatch.setattr("toylab.training.atomic.shutil.disk_usage", lambda folder: free)
    with pytest.raises(OSError, match="No space") as error:
        replace_atomically(path, NEW)
    assert str(error.value) == (
        f"[Errno {errno.ENOSPC}] No space left on device, 20000 bytes needed, 123 free; "
        f"nothing was saved: {str(path)!r}"
    )


def test_a_cleanup_that_fails_keeps_the_first_error(tmp_path, monkeypatch):
    fail_at(monkeypatch, "write", 1, OSError(errno.EIO, "Input/output error"))
    fail_at(monkeypatch, "unlink", 1, OSError(errno.EROFS, "Read-only file system"))
    with pytest.raises(OSError, match="Input/output error") as error:
        replace_atomically(tmp_path / "a.npz", NEW)
    assert error.value.errno == errno.EIO


def test_a_temporary_file_of_another_writer_is_left_alone(tmp_path, monkeypatch):
    monkeypatch.setattr("toylab.training.atomic.secrets.token_hex", lambda n: "00")
    other = tmp_path / f".a.npz.{os.getpid()}.00.tmp"
    other.write_bytes(OLD)
    with pytest.raises(FileExistsError):
        replace_atomically(tmp_path / "a.npz", NEW)
    assert other.read_bytes() == OLD


def test_bad_places_name_the_path(tmp_path):
    (tmp_path / "file").write_bytes(OLD)
    (tmp_path / "folder").mkdir()
    with pytest.raises(FileNotFoundError, match=r"absent/a\.npz"):
        replace_atomically(tmp_path / "absent" / "a.npz", NEW)
    with pytest.raises(NotADirectoryError, match=r"file/a\.npz"):
        replace_atomically(tmp_path / "file" / "a.npz", NEW)
    with pytest.raises(IsADirectoryError, match="folder"):
        replace_atomically(tmp_path / "folder", NEW)
    with pytest.raises(OSError, match="NUL") as error:
        replace_atomically(f"{tmp_path}/a\0b", NEW)
    assert str(error.value).startswith(f"[Errno {errno.EINVAL}] a path cannot hold a NUL character")
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]


KILLER = """
import os, signal, sys, time
from toylab.training.atomic import replace_atomically

path, contents = sys.argv[1], [bytes([letter]) * 200_000 for letter in b"ab"]
for k in range(40):
    replace_atomically(path, contents[0])
    child = os.fork()
    while child == 0:
        for data in contents:
            replace_atomically(path, data)
    time.sleep(0.0005 * k)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    with open(path, "rb") as file:
        print(file.read() in contents)
"""


@pytest.mark.skipif(os.name == "nt", reason="needs fork and SIGKILL")
def test_a_killed_writer_leaves_a_whole_file(tmp_path):
    command = [sys.executable, "-W", "ignore", "-c", KILLER, str(tmp_path / "a.npz")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True"] * 40
