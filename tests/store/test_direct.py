"""The quick reader gives Zarr's bits, or leaves the reading to Zarr."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numcodecs
import numpy as np
import pytest
import zarr
from zarr.codecs import BloscCodec, BytesCodec, GzipCodec, ZstdCodec

import emdist.store.sources.zarr_source as module
from emdist.composition.caching import kept_source
from emdist.composition.make import make_engine
from emdist.engines.threads import LocalEngine
from emdist.errors import ConfigError, CorruptChunkError, EmdistError, MissingChunksError
from emdist.interfaces import Array
from emdist.runtime.cache import RESIDENT
from emdist.settings.config import ClusterSection
from emdist.store.sources.arrays import array_source
from emdist.store.sources.chunk_files import ChunkFiles, Unusual, chunk_files
from emdist.store.sources.direct import is_mapped, read_rows
from emdist.store.sources.references import reference
from emdist.store.sources.resident import Keep
from emdist.store.sources.zarr_source import ZarrSource, zarr_source
from emdist.sums import Sums
from tests.support.fitting import Setting, blobs, prepare, run, same_bits

V2: dict[str, Any] = {"zarr_format": 2}
QUICK: dict[str, dict[str, Any]] = {
    "raw": {"compressors": None},
    "raw v2": {"compressors": None, **V2},
    "zstd": {"compressors": ZstdCodec(level=1, checksum=True)},
    "zstd without checksum": {"compressors": ZstdCodec(level=3)},
    "zstd v2": {"compressors": numcodecs.Zstd(1), **V2},
    "blosc": {"compressors": BloscCodec(cname="lz4", shuffle="bitshuffle")},
    "blosc v2": {"compressors": numcodecs.Blosc("zstd", 1), **V2},
    "raw shards": {"compressors": None, "shards": (20, 3)},
    "zstd shards": {"compressors": ZstdCodec(level=1, checksum=True), "shards": (20, 3)},
}
ZARRS: dict[str, dict[str, Any]] = {
    "gzip": {"compressors": GzipCodec()},
    "big end first": {"compressors": None, "serializer": BytesCodec(endian="big")},
    "columns first v2": {"compressors": None, "order": "F", **V2},
    "rows cut": {"compressors": None, "chunks": (5, 2)},
}


def rows_of(dtype: str, n: int = 93) -> Array:
    rng = np.random.default_rng(n)
    if np.dtype(dtype).kind == "f":
        return rng.standard_normal((n, 3)).astype(dtype)
    return rng.integers(0, 100, (n, 3)).astype(dtype)


def written(path: Path, x: Array, **more: Any) -> ZarrSource:
    keywords = {"chunks": (5, 3), "config": {"write_empty_chunks": True}} | more
    array = zarr.create_array(path, shape=x.shape, dtype=x.dtype, **keywords)
    array[:] = x
    return zarr_source(reference(str(path)), None, 20 * 3 * x.dtype.itemsize)


def files_of(source: ZarrSource) -> ChunkFiles:
    files = chunk_files(source.ref)
    assert files is not None
    return files


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8", "int64"])
@pytest.mark.parametrize("way", QUICK)
def test_the_quick_reader_reads_what_zarr_reads(way: str, dtype: str, tmp_path: Path) -> None:
    x = rows_of(dtype)
    source = written(tmp_path / "x", x, **QUICK[way])
    files, bounds = files_of(source), source.bounds
    for a, b in itertools.pairwise(bounds):
        np.testing.assert_array_equal(read_rows(files, a, b), x[a:b])
    for i in range(len(source)):
        block = source.read(i)
        assert block.x.flags.c_contiguous
        assert block.x.flags.writeable
        np.testing.assert_array_equal(block.x, x[block.start : block.start + len(block.x)])


@pytest.mark.parametrize("way", ZARRS)
def test_what_is_not_simple_is_left_to_zarr(way: str, tmp_path: Path) -> None:
    x = rows_of("float32")
    source = written(tmp_path / "x", x, **ZARRS[way])
    assert chunk_files(source.ref) is None
    np.testing.assert_array_equal(np.concatenate([source.read(i).x for i in range(5)]), x)


@pytest.mark.parametrize(
    "more", [{"chunks": (20, 3)}, {"shards": (20, 3)}, {"chunks": (20, 3), **V2}]
)
def test_rows_of_one_uncompressed_file_are_mapped(more: dict[str, Any], tmp_path: Path) -> None:
    x = rows_of("float32")
    source = written(tmp_path / "x", x, compressors=None, **more)
    block = source.read(1)
    assert is_mapped(block.x)
    # A private map: whoever writes into a block leaves the file alone.
    block.x[:] = 0
    np.testing.assert_array_equal(source.read(1).x, x[20:40])


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def lengthen(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"12345678")


def empty(path: Path) -> None:
    path.write_bytes(b"")


def scramble(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[-9] ^= 0xFF
    path.write_bytes(raw)


def other_length(path: Path) -> None:
    """A frame that is in order, of half as many rows."""
    path.write_bytes(numcodecs.Zstd(1).encode(b"x" * 30))


@pytest.mark.parametrize(
    ("way", "damage"),
    [
        *(("raw", d) for d in (cut, empty)),
        *(("zstd", d) for d in (cut, empty, scramble, other_length)),
        ("blosc", empty),
        *(("raw shards", d) for d in (cut, empty, scramble)),
        *(("zstd shards", d) for d in (cut, empty, scramble)),
    ],
)
def test_damage_is_found_and_told_as_zarrs_reader_tells_it(
    way: str, damage: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = written(tmp_path / "x", rows_of("float32"), **QUICK[way])
    source.read(1)
    damage(files_of(source).path(20 // files_of(source).unit))
    with pytest.raises(CorruptChunkError) as told:
        source.read(1)
    monkeypatch.setattr(module, "chunk_files", lambda ref: None)
    with pytest.raises(CorruptChunkError) as wanted:
        source.read(1)
    assert str(told.value) == str(wanted.value)


def test_a_blosc_chunk_that_was_cut_off_is_refused(tmp_path: Path) -> None:
    """Its decoder would read on past the end of the bytes that it was given."""
    source = written(tmp_path / "x", rows_of("float32"), **QUICK["blosc"])
    cut(files_of(source).path(5))
    with pytest.raises(CorruptChunkError, match=r"'c/5/0' of .*/x \(rows 25\.\.29, block 1\)"):
        source.read(1)


def test_a_longer_file_is_not_mapped(tmp_path: Path) -> None:
    source = written(tmp_path / "x", rows_of("float32"), **QUICK["raw"])
    lengthen(files_of(source).path(4))
    with pytest.raises(Unusual):
        read_rows(files_of(source), 20, 40)
    with pytest.raises(EmdistError):
        source.read(1)


def test_a_chunk_that_vanished_is_named(tmp_path: Path) -> None:
    source = written(tmp_path / "x", rows_of("float32"), **QUICK["zstd"])
    files_of(source).path(5).unlink()
    with pytest.raises(MissingChunksError, match="has been deleted"):
        source.read(1)


def test_chunks_that_were_never_written_are_left_to_zarr(tmp_path: Path) -> None:
    x = rows_of("float32")
    source = written(tmp_path / "x", x, **QUICK["raw"])
    files_of(source).path(5).unlink()
    dropping = zarr_source(source.ref, None, 240, missing="drop")
    np.testing.assert_array_equal(dropping.read(1).valid()[0], np.delete(x[20:40], range(5, 10), 0))


def test_weights_in_chunks_of_their_own(tmp_path: Path) -> None:
    x = rows_of("float32")
    source = written(tmp_path / "x", x, **QUICK["zstd"])
    weight = np.arange(93.0)
    zarr.create_array(tmp_path / "w", shape=(93,), dtype="f8", chunks=(7,))[:] = weight
    both = zarr_source(source.ref, reference(str(tmp_path / "w")), 240)
    found = [both.read(i).weight for i in range(len(both))]
    np.testing.assert_array_equal(np.concatenate([w for w in found if w is not None]), weight)


# ---- resident blocks


def keeping(source: ZarrSource, blocks: float, owner: str = "run") -> ZarrSource:
    return replace(source, keep=Keep(owner, int(blocks * source.read(0).x.nbytes)))


def test_a_fixed_part_of_the_blocks_stays_in_memory(tmp_path: Path) -> None:
    x = rows_of("float32")
    source = keeping(written(tmp_path / "x", x, **QUICK["zstd"]), 2.5)
    try:
        first = [source.read(i) for i in range(len(source))]
        again = [source.read(i) for i in range(len(source))]
        assert [a is b for a, b in zip(first, again, strict=True)] == [True, True] + [False] * 3
        assert RESIDENT.nbytes <= source.keep.budget if source.keep else False
        np.testing.assert_array_equal(np.concatenate([block.x for block in again]), x)
        # Another run's blocks take their place.
        other = keeping(source, 2.5, "other")
        assert other.read(3) is other.read(3)
        assert other.read(4) is other.read(4)
        assert source.read(0) is not first[0]
    finally:
        RESIDENT.forget("run")
        RESIDENT.forget("other")
    assert RESIDENT.nbytes == 0


def test_mapped_rows_are_not_kept(tmp_path: Path) -> None:
    source = keeping(
        written(tmp_path / "x", rows_of("float32"), chunks=(20, 3), compressors=None), 9.0
    )
    assert source.read(1) is not source.read(1)
    assert RESIDENT.nbytes == 0


@pytest.mark.parametrize("way", ["raw", "raw shards", "zstd", "gzip"])
def test_a_fit_has_the_same_bits_mapped_read_and_resident(way: str, tmp_path: Path) -> None:
    x, _ = blobs(93, 3, 3, dtype="float32")
    source = written(tmp_path / "x", x, **(QUICK | ZARRS)[way])
    setting = Setting("diagonal", fit={"max_iter": 5})
    in_memory = run(prepare(replace(array_source(x), bounds=source.bounds), setting))
    same_bits(run(prepare(source, setting)), in_memory)
    try:
        same_bits(run(prepare(keeping(source, 3.0), setting)), in_memory)
        assert (RESIDENT.nbytes > 0) == (way != "raw shards")  # which are mapped
    finally:
        RESIDENT.forget("run")


@pytest.mark.parametrize("kind", ["threads", "local"])
def test_a_job_keeps_blocks_within_its_memory_and_forgets_them(kind: str, tmp_path: Path) -> None:
    source = written(tmp_path / "x", rows_of("float32"), **QUICK["zstd"])
    processes = {} if kind == "threads" else {"processes": False}
    section = ClusterSection(kind=kind, memory="1 GiB", **processes)
    with (
        make_engine(section, source) as engine,
        kept_source(section, source, engine) as kept,
    ):
        assert isinstance(kept, ZarrSource)
        assert kept.keep is not None
        assert 0 < kept.keep.budget < 1 << 30
        kept.read(0)
        assert RESIDENT.nbytes == kept.read(0).x.nbytes
    assert RESIDENT.nbytes == 0


def test_memory_that_cannot_hold_the_blocks_is_refused(tmp_path: Path) -> None:
    source = written(tmp_path / "x", rows_of("float32"), **QUICK["zstd"])
    section = ClusterSection(memory="100 MiB")
    with (
        pytest.raises(ConfigError, match=r"cluster\.memory is 100 MiB.*need about 25\d MiB"),
        make_engine(section, source) as engine,
        kept_source(section, source, engine),
    ):
        pass


@pytest.mark.parametrize("threads", [1, 2])
def test_blocks_to_come_are_asked_for_and_never_too_many(threads: int, tmp_path: Path) -> None:
    source = written(tmp_path / "x", rows_of("float32"), **QUICK["zstd"])
    seen: list[tuple[str, int]] = []

    class Watched:
        def expect(self, i: int) -> None:
            seen.append(("expect", i))
            source.expect(i)

    @dataclass
    class Task:
        source: Any = field(default_factory=Watched)

        def __call__(self, i: int) -> Sums:
            seen.append(("read", i))
            return Sums({"x": source.read(i).x.sum(axis=0, dtype=np.float64)})

    LocalEngine(threads).map_reduce(Task(), range(len(source)))
    for i in range(1, len(source)):
        assert seen.index(("expect", i)) < seen.index(("read", i))
        read = sum(kind == "read" for kind, _ in seen[: seen.index(("expect", i))])
        assert i - read <= threads + 1


def test_files_that_are_gone_are_no_fault_of_whoever_expects_them(tmp_path: Path) -> None:
    source = written(tmp_path / "x", rows_of("float32"), **QUICK["zstd"])
    files_of(source).path(5).unlink()
    source.expect(1)
