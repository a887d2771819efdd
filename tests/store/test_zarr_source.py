"""Laws of the Zarr source: every row once, in order, and no row that was never written."""

from __future__ import annotations

import asyncio
import itertools
import pickle
import shutil
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from zarr.codecs import BloscCodec, BytesCodec, Crc32cCodec, GzipCodec, ZstdCodec
from zarr.storage import MemoryStore

from emdist.errors import (
    CorruptChunkError,
    DataError,
    DtypeError,
    MissingChunksError,
    NotAnArrayError,
    NotFoundError,
    StorageError,
    WeightError,
)
from emdist.fit.survey import SurveyTask
from emdist.ingest.target import COMPLETE
from emdist.interfaces import Array
from emdist.store.chunks.layout import merged
from emdist.store.places.location import Location, open_zarr_store
from emdist.store.sources.references import ArrayRef, reference
from emdist.store.sources.zarr_source import ZarrSource, zarr_source

CHECKED = ZstdCodec(level=1, checksum=True)


def numbers(rows: int, features: int, dtype: str = "float32") -> Array:
    return (np.arange(1, rows * features + 1).reshape(rows, features) % 97).astype(dtype)


def stored(path: Any, x: Array, chunks: tuple[int, ...], **more: Any) -> zarr.Array[Any]:
    more = {"config": {"write_empty_chunks": True}, "compressors": None} | more
    array = zarr.create_array(path, shape=x.shape, chunks=chunks, dtype=x.dtype, **more)
    array[:] = x
    return array


def whole(source: ZarrSource) -> Array:
    return np.concatenate([source.read(i).x for i in range(len(source))])


def objects(path: Path) -> list[Path]:
    """Files of chunks or shards, in order of their keys."""
    names = (".zarray", ".zattrs", "zarr.json")
    return sorted(p for p in path.rglob("*") if p.is_file() and p.name not in names)


# ---- every row once, in order


@pytest.mark.long
@settings(max_examples=60, deadline=None)
@given(st.data())
def test_the_blocks_cover_every_row_once_and_in_order(data: st.DataObject) -> None:
    rows, features = data.draw(st.integers(1, 70)), data.draw(st.integers(1, 5))
    chunk = data.draw(st.integers(1, 20)), data.draw(st.integers(1, features))
    shard = None
    if data.draw(st.booleans()):
        times = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 2))
        shard = tuple(c * n for c, n in zip(chunk, times, strict=True))
    x = numbers(rows, features)
    array = stored(MemoryStore(), x, chunk, shards=shard)
    source = zarr_source(reference(array), None, data.draw(st.integers(1, 2000)))
    assert source.bounds[0] == 0
    assert source.bounds[-1] == rows == source.shape[0]
    assert all(a < b for a, b in pairwise(source.bounds))
    assert all(a % (shard or chunk)[0] == 0 for a in source.bounds[:-1])
    assert len({b - a for a, b in pairwise(source.bounds[:-1])}) <= 1
    for i, (a, b) in enumerate(pairwise(source.bounds)):
        block = source.read(i)
        assert (block.index, block.start, len(block.x)) == (i, a, b - a)
        assert block.mask is None
        assert block.x.tobytes() == x[a:b].tobytes()


DTYPES = ("bool", "int8", "uint8", "int16", "int64", "uint64", "float16", "float32", "float64")


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_real_dtype_is_read_as_native_rows(dtype: str, version: int, order: str) -> None:
    kind = np.dtype(dtype).newbyteorder(order)
    x = (numbers(23, 3) % (2 if dtype == "bool" else 90)).astype(kind)
    source = zarr_source(reference(stored(MemoryStore(), x, (5, 2), zarr_format=version)), None, 60)
    block = source.read(1)
    assert block.x.dtype == source.dtype
    assert block.x.dtype.isnative
    assert block.x.dtype.kind in "iuf"
    assert block.x.flags.c_contiguous
    assert np.array_equal(whole(source), x.astype(source.dtype))


@pytest.mark.parametrize("dtype", ["complex64", "datetime64[s]", "S4", "U3"])
def test_other_dtypes_are_refused(dtype: str) -> None:
    array = zarr.create_array(MemoryStore(), shape=(4, 2), chunks=(2, 2), dtype=dtype)
    with pytest.raises(DtypeError, match="expected real numbers"):
        zarr_source(reference(array))


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("separator", [".", "/"])
def test_version_2_arrays_in_either_order(tmp_path: Path, order: Any, separator: Any) -> None:
    x = numbers(37, 5, "float64")
    keys = {"name": "v2", "separator": separator}
    stored(tmp_path / "x", x, (8, 3), zarr_format=2, order=order, chunk_key_encoding=keys)
    source = zarr_source(reference(str(tmp_path / "x")), None, 400)
    assert source.gaps == ()
    assert np.array_equal(whole(source), x)
    objects(tmp_path / "x")[0].unlink()
    with pytest.raises(MissingChunksError):
        zarr_source(reference(str(tmp_path / "x")))


def test_a_url_a_path_and_an_open_array_are_the_same_rows(tmp_path: Path) -> None:
    x = numbers(40, 3)
    array = stored(tmp_path / "x", x, (10, 3))
    memory = Location(f"memory://{tmp_path.name}/x")
    stored(open_zarr_store(memory, read_only=False), x, (10, 3))
    places: list[Any] = [str(tmp_path / "x"), (tmp_path / "x").as_uri(), array, memory]
    for place in places:
        source = zarr_source(reference(place), None, 240)
        assert np.array_equal(whole(source), x)
    # An open array on this disk is sent as its path, so that workers can open it.
    assert reference(array).opened is None


def test_an_array_inside_a_group(tmp_path: Path) -> None:
    group = zarr.create_group(tmp_path / "g")
    inner = group.create_array("a/b", shape=(20, 2), chunks=(6, 2), dtype="float32")
    inner[:] = numbers(20, 2)
    group.create_array("w", shape=(20,), chunks=(7,), dtype="float32")[:] = 2
    for ref in (ArrayRef(Location(str(tmp_path / "g")), "a/b"), reference(inner)):
        source = zarr_source(ref, ArrayRef(Location(str(tmp_path / "g")), "w"), 50)
        assert np.array_equal(whole(source), numbers(20, 2))
        assert source.fingerprint()["chunks_stored"] == 4
    with pytest.raises(NotAnArrayError, match=r"is a group.*: a/b\. Or say.*data\.variables"):
        zarr_source(reference(str(tmp_path / "g")))
    with pytest.raises(NotFoundError, match=r"g/ww.*did you mean 'w'"):
        zarr_source(ArrayRef(Location(str(tmp_path / "g")), "ww"))


def test_a_source_is_small_to_send_and_copies_share_one_open_array(tmp_path: Path) -> None:
    stored(tmp_path / "x", numbers(4000, 3), (10, 3))
    stored(tmp_path / "w", numbers(4000, 1)[:, 0], (13,))
    source = zarr_source(reference(str(tmp_path / "x")), reference(str(tmp_path / "w")), 1200)
    raw = pickle.dumps(source)
    assert len(raw) < 2500
    copies: list[ZarrSource] = [pickle.loads(raw) for _ in range(3)]
    assert len({id(copy.ref.reader()) for copy in copies}) == 1
    assert copies[0].ref.reader() is source.ref.reader()
    assert copies[0].ref.reader() is not copies[0].ref.reader(strict=False)
    assert np.array_equal(whole(copies[1]), whole(source))


def test_a_worker_notices_that_an_array_was_written_anew(tmp_path: Path) -> None:
    stored(tmp_path / "x", numbers(40, 3), (10, 3))
    source = zarr_source(reference(str(tmp_path / "x")), None, 240)
    assert len(whole(source)) == 40
    shutil.rmtree(tmp_path / "x")
    stored(tmp_path / "x", numbers(60, 2, "float64"), (6, 2))
    # The same process reads the new one as it is, and not by the shape of the old one.
    again = zarr_source(reference(str(tmp_path / "x")), None, 240)
    assert np.array_equal(whole(again), numbers(60, 2, "float64"))
    # A process that has not opened the old one yet must not mix them up.
    late = ArrayRef(source.ref.location, "", None, "of another time")
    with pytest.raises(DataError, match="changed while emdist read it"):
        late.reader()


# ---- weights


def test_weights_in_an_array_with_other_chunks() -> None:
    x, w = numbers(50, 2), np.arange(50, dtype=">f4")
    weight = reference(stored(MemoryStore(), w, (7,)))
    source = zarr_source(reference(stored(MemoryStore(), x, (8, 2))), weight, 130)
    got = [source.read(i).weight for i in range(len(source))]
    assert all(part is not None and part.dtype == np.float64 for part in got)
    assert np.array_equal(np.concatenate(got), w.astype("f8"))  # type: ignore[arg-type]


def test_weights_of_another_length_or_dtype_are_refused() -> None:
    data = reference(stored(MemoryStore(), numbers(50, 2), (8, 2)))
    with pytest.raises(WeightError, match=r"\(49,\), expected \(50,\)"):
        zarr_source(data, np.ones(49))
    with pytest.raises(WeightError, match=r"\(50, 1\), expected \(50,\)"):
        zarr_source(data, reference(stored(MemoryStore(), np.ones((50, 1)), (7, 1))))
    with pytest.raises(DtypeError, match="The weights in"):
        zarr_source(data, reference(stored(MemoryStore(), np.ones(50, complex), (7,))))


@pytest.mark.parametrize("policy", ["raise", "drop", "fill"])
def test_weights_that_were_never_written(tmp_path: Path, policy: str) -> None:
    data = reference(stored(tmp_path / "x", numbers(50, 2), (10, 2)))
    stored(tmp_path / "w", np.ones(50), (7,), fill_value=3.0)
    (tmp_path / "w/c/1").unlink()
    weight = reference(str(tmp_path / "w"))
    if policy == "raise":
        with pytest.raises(MissingChunksError, match=r"w: chunks for 7 of 50 rows.*7\.\.13"):
            zarr_source(data, weight)
        return
    source = zarr_source(data, weight, 160, missing=policy)
    block = source.read(0)
    rows = list(range(7, 14))
    assert block.weight is not None
    if policy == "fill":
        assert block.mask is None
        assert block.weight[rows].tolist() == [3.0] * 7
    else:
        assert block.mask is not None
        assert np.flatnonzero(~block.mask).tolist() == rows
    assert np.array_equal(whole(source)[14:], numbers(50, 2)[14:])


# ---- missing chunks


@pytest.mark.parametrize("shards", [None, (20, 4)])
def test_missing_objects_by_policy(tmp_path: Path, shards: Any) -> None:
    x = numbers(130, 6)
    stored(tmp_path / "x", x, (10, 2), shards=shards, fill_value=7)
    unit, ref = (shards or (10, 2))[0], reference(str(tmp_path / "x"))
    # The middle column of one row of chunks, and a whole one.
    (tmp_path / "x/c/2/1").unlink()
    shutil.rmtree(tmp_path / "x/c/3")
    lost = range(2 * unit, 4 * unit)
    with pytest.raises(MissingChunksError, match=rf"rows {lost[0]}\.\.{lost[-1]}\b") as told:
        zarr_source(ref)
    assert "fill value 7" in str(told.value)
    assert "missing_chunks to 'drop'" in str(told.value)
    dropped = zarr_source(ref, None, 600, missing="drop")
    kept = np.concatenate([dropped.read(i).rows() for i in range(len(dropped))])
    assert sorted({*range(130)} - {*kept}) == list(lost)
    assert np.array_equal(whole(dropped)[kept], x[kept])
    filled = zarr_source(ref, None, 600, missing="fill")
    assert all(filled.read(i).mask is None for i in range(len(filled)))
    assert np.array_equal(whole(filled), zarr.open_array(tmp_path / "x", mode="r")[:])
    assert (whole(filled)[3 * unit : 4 * unit] == 7).all()


@pytest.mark.parametrize("index", ["start", "end"])
def test_chunks_missing_inside_a_shard(tmp_path: Path, index: Any) -> None:
    # 53 rows: the last shard has chunks beyond the end, which are not missed.
    shard = {"shape": (20, 4), "index_location": index}
    array = zarr.create_array(
        tmp_path / "x", shape=(53, 5), chunks=(4, 2), shards=shard, dtype="float32"
    )
    array[:] = numbers(53, 5)
    ref = reference(str(tmp_path / "x"))
    assert zarr_source(ref).gaps == ()
    array[24:28, 2:4] = 0  # equal to the fill value: this one chunk is left out of its shard
    with pytest.raises(MissingChunksError, match=r"4 of 53 rows .*rows 24\.\.27.*leave these"):
        zarr_source(ref)
    source = zarr_source(ref, None, 200, missing="drop")
    assert source.gaps == ((24, 28),)
    kept = np.delete(np.arange(53), np.arange(24, 28))
    assert np.array_equal(whole(source)[kept], numbers(53, 5)[kept])
    assert np.array_equal(whole(zarr_source(ref, None, 200, missing="fill")), array[:])


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60))), st.integers(1, 50))
def test_merged_ranges_hold_the_same_rows_once(ranges: list[tuple[int, int]], rows: int) -> None:
    got = merged(ranges, rows)
    wanted = {r for a, b in ranges for r in range(a, min(b, rows))}
    assert list(itertools.chain.from_iterable(range(a, b) for a, b in got)) == sorted(wanted)
    assert all(a[1] < b[0] for a, b in pairwise(got))


def test_what_is_no_chunk_counts_neither_for_nor_against(tmp_path: Path) -> None:
    stored(tmp_path / "x", numbers(40, 2), (10, 2))
    ref = reference(str(tmp_path / "x"))
    before = zarr_source(ref).fingerprint()
    for junk in ("c/0/.DS_Store", f"c/1/0.{'0' * 32}.partial", "c/README", "notes.txt"):
        (tmp_path / "x" / junk).write_text("junk")
    assert zarr_source(ref).fingerprint() == before
    (tmp_path / "x/c/1/0").unlink()
    with pytest.raises(MissingChunksError):
        zarr_source(ref)


@pytest.mark.long
def test_looking_for_missing_chunks_takes_time_in_proportion(tmp_path: Path) -> None:
    few, many = (_seconds_of_looking(tmp_path / str(n), n) for n in (2000, 16_000))
    # Eight times as many chunks: with the square of their number it would be 64 times as long.
    assert many < 20 * few, f"{few:.2f} s of CPU for 2,000 chunks, {many:.2f} s for 16,000"


def _seconds_of_looking(path: Path, n: int) -> float:
    """CPU time to find the gaps among `n` chunks of a row each, every second of them missing."""
    zarr.create_array(path, shape=(n, 1), chunks=(1, 1), dtype="uint8", compressors=None)
    for at in range(n):
        folder = path / f"c/{at}"
        folder.mkdir(parents=True)
        if at % 2:
            (folder / "0").write_bytes(b"\1")
    began = time.process_time()
    source = zarr_source(reference(str(path)), None, 1000, missing="drop")
    for i in range(len(source)):
        source.read(i) if i < 3 else source._mask(np.ones((1000, 1), np.uint8), i)
    spent = time.process_time() - began
    assert len(source.gaps) == n // 2
    return spent


# ---- what vanishes while a run is at work


@pytest.mark.parametrize("policy", ["raise", "drop", "fill"])
@pytest.mark.parametrize("kind", ["local", "memory", "held", "shard"])
def test_a_chunk_that_vanishes_is_not_read_as_the_fill_value(
    tmp_path: Path, kind: str, policy: str
) -> None:
    location = Location(f"memory://{tmp_path.name}-{policy}/x")
    place: Any = tmp_path / "x"
    if kind == "memory":
        place = open_zarr_store(location, read_only=False)
    elif kind == "held":
        place = MemoryStore()
    shards = (20, 2) if kind == "shard" else None
    array = stored(place, numbers(80, 2), (10, 2), shards=shards)
    ref = reference(location if kind == "memory" else array)
    source = zarr_source(ref, None, 160, missing=policy)
    assert np.array_equal(whole(source), numbers(80, 2))
    asyncio.run(array.store.delete("c/1/0"))
    lost = 1 if kind == "shard" else 0
    with pytest.raises(MissingChunksError, match=r"Chunk 'c/1/0' .*has been deleted") as told:
        source.read(lost)
    assert f"block {lost})" in str(told.value)
    source.read(lost + 1)


def test_weights_that_vanish_are_not_zero(tmp_path: Path) -> None:
    stored(tmp_path / "x", numbers(40, 2), (10, 2))
    stored(tmp_path / "w", np.ones(40), (10,))
    source = zarr_source(reference(str(tmp_path / "x")), reference(str(tmp_path / "w")), 160)
    source.read(0)
    (tmp_path / "w/c/1").unlink()
    with pytest.raises(MissingChunksError, match=r"Chunk 'c/1' of .*/w"):
        source.read(0)


def test_an_array_that_vanishes_is_a_failure_of_storage(tmp_path: Path) -> None:
    stored(tmp_path / "x", numbers(40, 2), (10, 2))
    source = zarr_source(reference(str(tmp_path / "x")), None, 160, missing="fill")
    source.read(0)
    (tmp_path / "x").rename(tmp_path / "unmounted")
    with pytest.raises(StorageError, match=r"no longer there.*mounted"):
        source.read(0)
    (tmp_path / "unmounted").rename(tmp_path / "x")
    assert np.array_equal(whole(source), numbers(40, 2))


# ---- rows that are not finite


def test_rows_that_are_not_finite_by_policy() -> None:
    x = numbers(30, 3)
    x[4, 1], x[17, 0], x[29, 2] = np.nan, np.inf, -np.inf
    ref = reference(stored(MemoryStore(), x, (10, 3)))
    raising = zarr_source(ref, None, 120)
    with pytest.raises(ValueError, match=r"block 1 \(rows 10\.\.19\).*row 17 has inf in feature 0"):
        SurveyTask(raising, 2, 10, 0)(1)
    dropping = zarr_source(ref, None, 120, non_finite="drop")
    rows = np.concatenate([dropping.read(i).rows() for i in range(3)])
    assert rows.tolist() == [i for i in range(30) if i not in (4, 17, 29)]
    assert dropping.read(1).valid()[0].shape == (9, 3)


def test_sums_that_overflow_are_no_reason_to_drop_a_row() -> None:
    x = np.full((20, 2), 1.7e308)
    source = zarr_source(reference(stored(MemoryStore(), x, (5, 2))), non_finite="drop")
    assert source.read(0).mask is None


# ---- corrupt chunks


def flip(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 3] ^= 4
    path.write_bytes(raw)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def empty(path: Path) -> None:
    path.write_bytes(b"")


CODECS = {
    "zstd": {"compressors": CHECKED},
    "crc32c": {"compressors": Crc32cCodec()},
    "blosc": {"compressors": [BloscCodec(), Crc32cCodec()]},
    "gzip": {"compressors": GzipCodec()},
}


@pytest.mark.parametrize("shards", [None, (30, 3)])
@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("damage", [flip, truncate, empty])
def test_a_corrupt_chunk_is_named(
    tmp_path: Path, damage: Callable[[Path], None], codec: str, shards: Any
) -> None:
    x = np.random.default_rng(0).normal(size=(120, 5)).astype("f4")
    stored(tmp_path / "x", x, (10, 3), shards=shards, **CODECS[codec])
    source = zarr_source(reference(str(tmp_path / "x")), None, 1200)
    path = tmp_path / "x/c/3/1"
    damage(path)
    first = 90 if shards else 30
    block = next(i for i, b in enumerate(source.bounds[1:]) if first < b)
    with pytest.raises(CorruptChunkError, match=r"Chunk 'c/3/1' of .*/x \(rows (\d+)") as told:
        source.read(block)
    assert f"block {block})" in str(told.value)
    assert "missing_chunks to 'drop'" in str(told.value)
    assert any(f"(rows {at}.." in str(told.value) for at in range(first, first + 30, 10))
    # The remedy in the message works.
    path.unlink()
    dropping = zarr_source(reference(str(tmp_path / "x")), None, 1200, missing="drop")
    assert (
        sum(len(dropping.read(i).rows()) for i in range(len(dropping))) == 120 - (shards or [10])[0]
    )


def test_a_truncated_chunk_without_codec_is_named(tmp_path: Path) -> None:
    stored(tmp_path / "x", numbers(40, 2), (10, 2))
    source = zarr_source(reference(str(tmp_path / "x")), None, 160)
    truncate(tmp_path / "x/c/3/0")
    with pytest.raises(CorruptChunkError, match=r"'c/3/0'.*rows 30\.\.39, block 1"):
        source.read(1)


def test_a_store_that_fails_is_no_corrupt_chunk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Packed in a way that is left to Zarr, whose store it is that fails.
    stored(tmp_path / "x", numbers(40, 2), (10, 2), compressors=GzipCodec())
    source = zarr_source(reference(str(tmp_path / "x")), None, 160)
    source.read(0)

    async def fail(*args: Any, **keywords: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(zarr.storage.LocalStore, "get", fail)
    with pytest.raises(
        StorageError, match=r"rows 0\.\.19 \(block 0\).*Permission denied.*same run"
    ):
        source.read(0)


# ---- fingerprint


def change_size(path: Path) -> None:
    zarr.open_array(path, mode="r+").append(numbers(10, 2))


def change_bytes(path: Path) -> None:
    zarr.open_array(path, mode="r+")[35, 1] = 0.5


def change_metadata(path: Path) -> None:
    text = (path / "zarr.json").read_text()
    (path / "zarr.json").write_text(text.replace('"fill_value": 0.0', '"fill_value": 1.0'))


def change_attributes(path: Path) -> None:
    zarr.open_array(path, mode="r+").attrs["note"] = "by hand"


@pytest.mark.parametrize("change", [change_size, change_bytes, change_metadata])
def test_the_fingerprint_changes_with_the_data(
    tmp_path: Path, change: Callable[[Path], None]
) -> None:
    stored(tmp_path / "x", numbers(40, 2), (10, 2), compressors=CHECKED)
    ref = reference(str(tmp_path / "x"))
    before = zarr_source(ref).fingerprint()
    change(tmp_path / "x")
    assert zarr_source(ref).fingerprint() != before


def test_the_fingerprint_does_not_change_with_attributes(tmp_path: Path) -> None:
    stored(tmp_path / "x", numbers(40, 2), (10, 2))
    ref = reference(str(tmp_path / "x"))
    before = zarr_source(ref).fingerprint()
    change_attributes(tmp_path / "x")
    assert zarr_source(ref).fingerprint() == before
    shutil.copytree(tmp_path / "x", tmp_path / "copy")
    copied = zarr_source(reference(str(tmp_path / "copy"))).fingerprint()
    assert {**copied, "array": ""} == {**before, "array": ""}


def test_a_changed_end_of_a_long_chunk_changes_the_fingerprint(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(60_000, 2))
    array = stored(tmp_path / "x", x, (30_000, 2), compressors=CHECKED)
    before = zarr_source(reference(str(tmp_path / "x"))).fingerprint()
    array[15_000, 0] = 0.5  # far from both ends, and in the checksum at the last one
    assert zarr_source(reference(str(tmp_path / "x"))).fingerprint() != before


def test_the_fingerprint_covers_the_weights(tmp_path: Path) -> None:
    stored(tmp_path / "x", numbers(40, 2), (10, 2))
    array = stored(tmp_path / "w", np.ones(40), (10,))
    refs = reference(str(tmp_path / "x")), reference(str(tmp_path / "w"))
    before = zarr_source(*refs).fingerprint()
    array[3] = 2
    assert zarr_source(*refs).fingerprint() != before


# ---- an ingest that was cut off


@pytest.mark.parametrize("missing", ["raise", "drop", "fill"])
def test_an_array_that_was_not_written_to_its_end_is_refused(missing: str) -> None:
    good = stored(MemoryStore(), numbers(40, 2), (10, 2), attributes={COMPLETE: True})
    torn = stored(MemoryStore(), numbers(40, 2), (10, 2), attributes={COMPLETE: False})
    weights = stored(MemoryStore(), np.ones(40), (10,), attributes={COMPLETE: False})
    assert len(zarr_source(reference(good), missing=missing)) == 1
    with pytest.raises(MissingChunksError, match=r"is incomplete.*ingest again"):
        zarr_source(reference(torn), missing=missing)
    with pytest.raises(MissingChunksError, match="is incomplete"):
        zarr_source(reference(good), reference(weights), missing=missing)


def test_codecs_that_change_nothing_read_alike(tmp_path: Path) -> None:
    x = numbers(50, 3, "float64")
    for at, more in enumerate(
        [{"compressors": BloscCodec()}, {"serializer": BytesCodec(endian="big")}]
    ):
        stored(tmp_path / str(at), x, (8, 3), **more)
        assert np.array_equal(whole(zarr_source(reference(str(tmp_path / str(at))))), x)
