"""The npz files of `toylab.training.store`: exact round trips, and damage refused by name."""

import io
import json
import struct
import zipfile
from importlib import metadata

import numpy as np
import pytest

from toylab.errors import BudgetError, FormatError
from toylab.training import store

ARRAYS = {
    "W": np.arange(6, dtype=np.float32).reshape(2, 3) / 7,
    "b": np.array([0.1, np.nan, -0.0, np.inf]),
    "step": np.int32(-1),
    "flags": np.array([[True], [False]]),
    "phase": np.array([1 + 2j], np.complex64),
    "none": np.zeros((3, 0), np.float16),
}
VERSION = metadata.version("toylab")
LYING = "{'descr': '<f8', 'fortran_order': False, 'shape': (10000000, 1000000)}"
HEADER = {"kind": "Example", "config": {"sparsity": 0.1, "name": "größer"}}


@pytest.fixture
def data() -> bytes:
    return store.encode(ARRAYS, HEADER)


def npz(members: dict[str, bytes], **options) -> bytes:
    """A zip written by the standard library alone, with a valid digest unless one is given."""
    if "sha256" not in members:
        members = {**members, "sha256": npy(np.frombuffer(store._digest(members), np.uint8))}
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", **options) as archive:
        for name, raw in members.items():
            archive.writestr(f"{name}.npy", raw)
    return out.getvalue()


def npy(array: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


def header_member(**changes) -> bytes:
    return json_member(json.dumps({"schema": 1, "toylab": "0.1.0", **changes}))


def json_member(text: str) -> bytes:
    return npy(np.frombuffer(text.encode(), np.uint8))


def raw_npy(description: str, payload: bytes = b"") -> bytes:
    text = description.encode().ljust(245) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + payload


def test_round_trip_keeps_bits_dtypes_shapes_and_header(tmp_path):
    store.write(tmp_path / "a.npz", ARRAYS, HEADER)
    stored = store.read(tmp_path / "a.npz")
    assert sorted(stored.arrays) == sorted(ARRAYS)
    for name, array in ARRAYS.items():
        assert stored.arrays[name].dtype == array.dtype
        assert stored.arrays[name].shape == array.shape
        assert stored.arrays[name].tobytes() == array.tobytes()
    assert {key: stored.header[key] for key in HEADER} == HEADER
    assert stored.header["schema"] == 1
    stored.arrays["W"][0, 0] = 9.0  # a copy that may be written to


def test_numpy_opens_the_file(tmp_path):
    store.write(tmp_path / "a.npz", ARRAYS, HEADER)
    with np.load(tmp_path / "a.npz") as archive:
        np.testing.assert_array_equal(archive["W"], ARRAYS["W"])
        assert json.loads(archive["header"].tobytes())["kind"] == "Example"


def test_equal_contents_make_equal_bytes_in_any_order(data):
    reordered = dict(reversed(list(ARRAYS.items())))
    assert store.encode(reordered, dict(reversed(HEADER.items()))) == data


def test_memory_order_does_not_show():
    plain = np.arange(6.0).reshape(2, 3)
    assert store.encode({"a": plain}, {}) == store.encode({"a": np.asfortranarray(plain)}, {})
    assert store.encode({"a": plain}, {}) == store.encode({"a": np.repeat(plain, 2, 1)[:, ::2]}, {})


def payload(data: bytes) -> set[int]:
    """Where the members' bytes lie; the rest of a zip is names, lengths, dates, attributes."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        starts = [(info.header_offset + 30 + len(info.filename), info.file_size)
                  for info in archive.infolist()]  # fmt: skip
    return {offset for start, size in starts for offset in range(start, start + size)}


def test_every_bit_flip_is_refused_unless_it_only_changes_a_date_or_attribute(data):
    whole, inside, refusals = store.decode(data, "a.npz"), payload(data), []
    bits = range(0, 8 * len(data), 3)
    for bit in bits:
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << (bit % 8)
        try:
            stored = store.decode(bytes(damaged), "a.npz")
        except FormatError as error:
            refusals.append(str(error))
            continue
        assert bit // 8 not in inside
        assert stored.header == whole.header
        assert sorted(stored.arrays) == sorted(whole.arrays)
        assert all(stored.arrays[k].tobytes() == v.tobytes() for k, v in whole.arrays.items())
    assert all(text.startswith("a.npz: ") for text in refusals)
    assert len(refusals) > len(bits) * len(inside) / len(data)


def test_every_truncation_is_refused(data):
    for length in range(len(data)):
        with pytest.raises(FormatError, match=r"^a\.npz: "):
            store.decode(data[:length], "a.npz")


def test_zeroed_and_random_blocks_are_refused(data):
    rng = np.random.default_rng(0)
    for _ in range(200):
        start = int(rng.integers(len(data) - 64))
        damaged = data[:start] + rng.bytes(64) + data[start + 64 :]
        with pytest.raises(FormatError, match=r"^a\.npz: "):
            store.decode(damaged, "a.npz")


@pytest.mark.parametrize(
    ("contents", "text"),
    [
        (b"", "is empty"),
        (b"# no npz", "is not an npz file"),
        (b"PK\3\4", "is truncated, or has bytes after its end"),
        (npz({}, compression=zipfile.ZIP_STORED), "was not written by toylab"),
        (npz({"header": header_member(), "sha256": npy(np.zeros(32, np.uint8))}),
         "sha256 mismatch: damaged; compute it again or restore a copy"),
        (npz({"header": header_member(schema=7, toylab="9.1")}),
         f"written by toylab 9.1 (schema 7), this is toylab {VERSION} (schema 1); "
         "update toylab to read it"),
        (npz({"header": header_member(schema=True)}), "its header names no schema"),
        (npz({"header": json_member("[1]")}), "its header names no schema"),
        (npz({"header": json_member("{")}),
         "its header is not JSON: 'Expecting property name enclosed in double quotes: "
         "line 1 column 2 (char 1)'"),
        (npz({"header": header_member(), "a": npy(np.array([{}], object))}),
         "member 'a' holds Python objects; refused"),
        (npz({"header": header_member(), "a": npy(np.array(["text"]))}),
         "member 'a' cannot be read: 'not a plain array of booleans or numbers'"),
        (npz({"header": header_member(), "a": npy(np.ones((2, 3), order="F"))}),
         "member 'a' cannot be read: 'not a plain array of booleans or numbers'"),
        (npz({"header": header_member(), "a": raw_npy(
            LYING, b"8 bytes.")}),
         "member 'a' cannot be read: 'claims 80000000000000 bytes and has 8'"),
        (npz({"header": header_member(), "a": b"\x93NUMPY\x03\x00"}),
         "member 'a' cannot be read: 'unknown npy version'"),
        (npz({"header": header_member(), "a": npy(np.zeros(10**6))},
             compression=zipfile.ZIP_DEFLATED),
         "holds compressed members, which toylab does not write"),
    ],
)  # fmt: skip
def test_refusals_name_the_file_and_the_reason(contents, text):
    with pytest.raises(FormatError) as error:
        store.decode(contents, "cells/ab.npz")
    assert str(error.value) == f"cells/ab.npz: {text}"


@pytest.mark.parametrize(
    "description",
    [
        "{'descr': '<f8', 'fortran_order': False, 'shape': (0, 10" + "0" * 40 + ")}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (-1, 0)}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (" + "0," * 70 + ")}",
        "{'descr': ('<f8', (2,)), 'fortran_order': False, 'shape': ()}",
        "{'descr': '<f9', 'fortran_order': False, 'shape': ()}",
        "[" * 230,
        "-" * 240 + "1",
    ],
)
def test_headers_that_numpy_chokes_on_are_refused(description):
    contents = npz({"header": header_member(), "a": raw_npy(description)})
    with pytest.raises(FormatError, match=r"^a\.npz: member 'a' cannot be read: "):
        store.decode(contents, "a.npz")


def test_deeply_nested_json_is_refused():
    contents = npz({"header": json_member("[" * 10**5)})
    with pytest.raises(FormatError, match=r"^a\.npz: its header is not JSON: "):
        store.decode(contents, "a.npz")


def test_a_million_members_are_refused_before_they_are_read():
    many = npz({f"{i:0450}": b"" for i in range(5000)})
    with pytest.raises(FormatError) as error:
        store.decode(many, "a.npz")
    assert str(error.value) == "a.npz: has more than 4096 members"
    closing = bytearray(many)
    closing[-14:-10] = b"\1\0\1\0"  # a lie about the count leaves the directory's length
    with pytest.raises(FormatError) as error:
        store.decode(bytes(closing), "a.npz")
    assert str(error.value) == "a.npz: has more than 4096 members"


def test_members_that_overlap_are_refused(data):
    """Two directory entries for one stretch of bytes would read more than the file holds."""
    directory_bytes, start = struct.unpack("<LL", data[-10:-2])
    directory = data[start : start + directory_bytes]
    count = data.count(b"PK\1\2")
    copies = 40
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, count * copies, count * copies,
                      directory_bytes * copies, start, 0)  # fmt: skip
    with pytest.raises(FormatError) as error:
        store.decode(data[:start] + directory * copies + end, "a.npz")
    assert str(error.value).startswith("a.npz: ")


def test_two_members_of_one_name_are_refused():
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a.npy", b"1")
        archive.writestr("a", b"2")
    with pytest.raises(FormatError) as error:
        store.decode(out.getvalue(), "a.npz")
    assert str(error.value) == "a.npz: holds two members of one name"


def test_zip64_is_refused(data):
    locator = b"PK\6\7" + bytes(16)
    with pytest.raises(FormatError) as error:
        store.decode(data[:-22] + locator + data[-22:], "a.npz")
    assert str(error.value) == "a.npz: is a zip64 file, which toylab does not write"


def test_arrays_of_two_files_cannot_be_exchanged(data):
    other = {**ARRAYS, "W": ARRAYS["W"] + 1}
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {info.filename[:-4]: archive.read(info) for info in archive.infolist()}
    with zipfile.ZipFile(io.BytesIO(store.encode(other, HEADER))) as archive:
        members["W"] = archive.read("W.npy")
    with pytest.raises(FormatError, match="sha256 mismatch"):
        store.decode(npz(members), "a.npz")


def test_a_long_file_is_refused_before_it_is_read(tmp_path):
    with open(tmp_path / "a.npz", "wb") as file:
        file.truncate(2**41)  # sparse: takes no room
    with pytest.raises(FormatError) as error:
        store.read(tmp_path / "a.npz")
    assert str(error.value) == (
        f"{tmp_path / 'a.npz'}: has 2199023255552 bytes, more than max_bytes=1073741824"
    )


def test_what_is_not_a_file_is_refused(tmp_path):
    with pytest.raises(FormatError) as error:
        store.read(tmp_path)
    assert str(error.value) == f"{tmp_path}: is not a file"
    with pytest.raises(FileNotFoundError):
        store.read(tmp_path / "absent.npz")


@pytest.mark.parametrize("array", [np.array([None]), np.array(["a"]), np.array([b"a"])])
def test_only_numbers_are_written(array):
    with pytest.raises(ValueError, match="must be of booleans or numbers") as error:
        store.encode({"a": array}, {})
    assert str(error.value) == (
        f"arrays['a']: must be of booleans or numbers, got dtype {array.dtype}"
    )


def test_names_of_own_members_are_taken():
    with pytest.raises(ValueError, match="taken") as error:
        store.encode({"sha256": np.zeros(1)}, {})
    assert str(error.value) == "arrays['sha256']: the name is taken by the file's own member"


def test_headers_hold_no_nan():
    with pytest.raises(ValueError, match="not JSON compliant"):
        store.encode({}, {"loss": float("nan")})


def test_what_could_not_be_read_again_is_not_written(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "MAX_BYTES", store._OVERHEAD + 100)
    store.write(tmp_path / "fits.npz", {"W": np.zeros(100, np.uint8)}, {})
    with pytest.raises(BudgetError) as caught:
        store.write(tmp_path / "large.npz", {"W": np.zeros(101, np.uint8)}, {})
    assert str(caught.value) == (
        f"{tmp_path / 'large.npz'}: the arrays take 101 bytes, more than a file may hold (100); "
        "save parts of it"
    )
    assert not (tmp_path / "large.npz").exists()
