"""Chunks that emdist writes past Zarr are those that Zarr's codecs read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st
from numcodecs import Blosc
from zarr.codecs import ZstdCodec

from emdist.interfaces import Array
from emdist.store.chunks import writing as chunk_writing
from emdist.store.chunks.crc32c import extend
from emdist.store.chunks.writing import packers, put_part
from emdist.store.places.location import Location

ROWS, CHUNK = 130_000, 50_000


def values(kind: str) -> Array:
    rng = np.random.default_rng(0)
    if kind == "labels":
        return rng.integers(0, 9, ROWS).astype("i4")
    if kind == "score":
        return rng.standard_normal(ROWS)
    if kind == "sure":  # responsibilities of separated clusters
        return np.eye(4, dtype="f4")[rng.integers(4, size=ROWS)]
    return rng.random((ROWS, 4)).astype("f4")


def created(path: Path, like: Array, compressors: Any = None) -> zarr.Array[Any]:
    chunks = (CHUNK, *like.shape[1:])
    return zarr.create_array(
        path,
        name="rows",
        shape=like.shape,
        chunks=chunks,
        dtype=like.dtype,
        fill_value=np.nan if like.dtype.kind == "f" else -1,
        compressors=compressors or packers(str(like.dtype), chunks),
    )


def stored(path: Path) -> dict[str, bytes]:
    folder = path / "rows" / "c"
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def put_rows(
    place: Location, array: zarr.Array[Any], a: int, b: int, x: Array, digest: int = 0
) -> int:
    region = (slice(a, b), *(slice(0, n) for n in array.shape[1:]))
    return put_part(place, array, region, x, digest)


def put(path: Path, array: zarr.Array[Any], x: Array) -> None:
    for a in range(0, len(x), CHUNK):
        b = min(a + CHUNK, len(x))
        put_rows(Location(str(path)), array, a, b, x[a:b])


@pytest.mark.parametrize("kind", ["labels", "score", "sure", "unsure"])
def test_zarr_reads_what_was_written_past_it(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = values(kind)
    ours, zarrs = created(tmp_path / "a", x), created(tmp_path / "b", x)
    zarrs[:] = x

    def forbidden(*arguments: object) -> None:
        raise AssertionError("Zarr was asked to write")

    monkeypatch.setattr(zarr.Array, "__setitem__", forbidden)
    put(tmp_path / "a", ours, x)
    assert np.array_equal(np.asarray(ours[:]), x)
    mine, theirs = stored(tmp_path / "a"), stored(tmp_path / "b")
    assert mine.keys() == theirs.keys(), "the same files, and none left over"
    if kind in ("labels", "sure"):
        assert mine == theirs, "packed as Zarr packs"
        assert sum(map(len, mine.values())) < 0.2 * x.nbytes
    else:
        # As it is, behind a header of 16 bytes and before a checksum of 4.
        size = CHUNK * x.nbytes // ROWS
        # The last has a tail of fill values, which packs.
        assert sorted(map(len, mine.values()))[1:] == 2 * [16 + size + 4]


def test_the_last_chunk_is_filled_up(tmp_path: Path) -> None:
    x = values("score")
    array = created(tmp_path, x)
    put(tmp_path, array, x)
    tail = np.frombuffer(Blosc().decode(stored(tmp_path)["2"][:-4]), "f8")
    assert np.array_equal(tail[: ROWS % CHUNK], x[-(ROWS % CHUNK) :])
    assert np.isnan(tail[ROWS % CHUNK :]).all()


@pytest.mark.parametrize("kind", ["labels", "unsure"])
@pytest.mark.parametrize("at", [3, 12, 1000, -5, -1])
def test_any_byte_that_changes_is_noticed(tmp_path: Path, kind: str, at: int) -> None:
    x = values(kind)
    array = created(tmp_path, x)
    put(tmp_path, array, x)
    file = next(p for p in (tmp_path / "rows" / "c" / "0").parent.rglob("*") if p.is_file())
    raw = bytearray(file.read_bytes())
    raw[at] ^= 1
    file.write_bytes(bytes(raw))
    with pytest.raises(ValueError, match="checksum"):
        array[:]


def test_arrays_packed_otherwise_are_left_to_zarr(tmp_path: Path) -> None:
    x = values("unsure")
    array = created(tmp_path, x, ZstdCodec(level=1, checksum=True))  # labels of earlier versions
    put(tmp_path, array, x)
    assert np.array_equal(np.asarray(array[:]), x)
    memory = zarr.create_array(
        zarr.storage.MemoryStore(), shape=x.shape, chunks=(CHUNK, 4), dtype=x.dtype
    )  # fmt: skip
    put_rows(Location("memory://elsewhere"), memory, 0, ROWS, x)
    assert np.array_equal(np.asarray(memory[:]), x)


def test_rows_that_are_not_whole_chunks_are_refused(tmp_path: Path) -> None:
    x = values("score")
    array, place = created(tmp_path, x), Location(str(tmp_path))
    for a, b, n in ((1, CHUNK, CHUNK - 1), (0, CHUNK - 1, CHUNK - 1), (0, CHUNK, 7)):
        with pytest.raises(ValueError, match="do not fill"):
            put_rows(place, array, a, b, x[:n])
    assert stored(tmp_path) == {}


def test_a_write_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    x = values("score")
    array, asked = created(tmp_path, x), []

    def full(fd: int, pieces: list[memoryview]) -> int:
        asked.append(fd)
        if len(asked) == 1:
            return os.write(fd, pieces[0])  # less than it was given
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(chunk_writing.os, "writev", full)
    with pytest.raises(OSError, match="No space"):
        put_rows(Location(str(tmp_path)), array, 0, CHUNK, x[:CHUNK])
    assert stored(tmp_path) == {}


@pytest.mark.parametrize("most", [1, 17, 4096])
def test_a_kernel_that_takes_little_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    x = np.arange(60.0)
    array = zarr.create_array(
        tmp_path, name="rows", shape=60, chunks=60, dtype="f8", compressors=packers("f8", (60,))
    )

    def slow(fd: int, pieces: list[memoryview]) -> int:
        return os.write(fd, pieces[0][:most])

    monkeypatch.setattr(chunk_writing.os, "writev", slow)
    put_rows(Location(str(tmp_path)), array, 0, 60, x)
    assert np.array_equal(np.asarray(array[:]), x)


@pytest.mark.parametrize("kind", ["labels", "score", "sure", "unsure"])
def test_the_digest_is_of_the_rows_however_they_are_stored(tmp_path: Path, kind: str) -> None:
    x = values(kind)
    ours, zarrs = created(tmp_path / "a", x), created(tmp_path / "b", x, ZstdCodec())
    wanted = google_crc32c.extend(google_crc32c.value(b"before"), x.tobytes())
    for place, array in ((tmp_path / "a", ours), (tmp_path / "b", zarrs)):
        # Of several chunks, the last of them not full.
        digest = extend(0, b"before")
        digest = put_rows(Location(str(place)), array, 0, CHUNK, x[:CHUNK], digest)
        digest = put_rows(Location(str(place)), array, CHUNK, ROWS, x[CHUNK:], digest)
        assert digest == wanted


def test_the_digest_is_of_rows_in_the_type_they_are_stored_in(tmp_path: Path) -> None:
    x = values("unsure")
    array = created(tmp_path, x)
    digest = put_rows(Location(str(tmp_path)), array, 0, ROWS, x.astype("f8"))
    assert digest == google_crc32c.value(x.tobytes())


def test_what_blosc_cannot_take_is_for_zstandard() -> None:
    assert isinstance(packers("f4", (1 << 22, 200))[0], ZstdCodec)
    assert not isinstance(packers("f4", (1 << 22, 100))[0], ZstdCodec)


@given(st.binary(max_size=300), st.integers(0, 2**32 - 1), st.integers(0, 300))
def test_checksums_are_those_of_google_crc32c(data: bytes, crc: int, cut: int) -> None:
    assert extend(crc, data) == google_crc32c.extend(crc, data)
    assert extend(extend(0, data[:cut]), np.frombuffer(data[cut:], "u1")) == google_crc32c.value(
        data
    )
