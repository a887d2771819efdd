"""Bombs: files of kilobytes that decode to gigabytes, or claim to, are an error and no memory.

Each is read in a child that may not take more than `ALLOWED` bytes beyond what its imports took.
"""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import os
import shutil
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from numcodecs import BZ2, LZ4, LZMA, Blosc, GZip, Zlib, Zstd, blosc, lz4, zstd
from zarr.codecs import BloscCodec, Crc32cCodec, GzipCodec, TransposeCodec, ZstdCodec

from emdist.jobs.job import Job
from emdist.jobs.run import open_job
from emdist.settings.config import make_config
from emdist.store.chunks.bounded import bounded, content_size
from emdist.store.runs.sealed import Seal, document
from tests.support.paths import environment

ALLOWED, HUGE = 128 << 20, 256 << 20
ROWS = np.random.default_rng(0).normal(size=(60, 3)).astype("f4")

PACKED: dict[str, dict[str, Any]] = {
    "plain": {"compressors": None},
    "zstd": {"compressors": ZstdCodec(checksum=True)},
    "blosc": {"compressors": BloscCodec()},
    "gzip": {"compressors": GzipCodec()},
    "zstd and a checksum": {"compressors": [ZstdCodec(), Crc32cCodec()]},
    "a checksum and zstd": {"compressors": [Crc32cCodec(), ZstdCodec()]},
    "transposed": {"filters": TransposeCodec(order=(1, 0)), "compressors": GzipCodec()},
    "sharded": {"shards": (40, 3), "compressors": GzipCodec()},
    "sharded zstd": {"shards": (40, 3), "compressors": ZstdCodec()},
    **{
        f"v2 {codec.codec_id}": {"zarr_format": 2, "compressors": codec}
        for codec in (Zlib(), BZ2(), LZMA(), LZ4(), Blosc(), Zstd(), GZip())
    },
}


def stored(path: Path, **how: Any) -> Path:
    array = zarr.create_array(path, shape=ROWS.shape, chunks=(20, 3), dtype="f4", **how)
    array[:] = ROWS
    return path


@pytest.mark.parametrize("how", PACKED)
def test_what_is_no_bomb_reads_as_ever(how: str, tmp_path: Path) -> None:
    path = stored(tmp_path / "x.zarr", **PACKED[how])
    array = zarr.open_array(path, mode="r")
    assert np.array_equal(np.asarray(bounded(array)[:]), ROWS)
    assert np.array_equal(np.asarray(bounded(array)[7:31, 1:]), ROWS[7:31, 1:])
    assert bounded(array).metadata.to_dict() == array.metadata.to_dict()


def test_a_frame_without_its_size_is_read_if_it_holds_the_chunk(tmp_path: Path) -> None:
    """As streaming writers leave them: the field of the size is not there."""
    path = stored(tmp_path / "x.zarr", compressors=ZstdCodec())
    chunk = path / "c/1/0"
    chunk.write_bytes(_without_size(zstd.decompress(chunk.read_bytes())))
    array = bounded(zarr.open_array(path, mode="r"))
    assert np.array_equal(np.asarray(array[:]), ROWS)
    chunk.write_bytes(_without_size(bytes(4096)))
    with pytest.raises(RuntimeError):
        array[20:40]


def test_frames_that_make_up_a_chunk_are_read(tmp_path: Path) -> None:
    path = stored(tmp_path / "x.zarr", compressors=ZstdCodec())
    chunk = path / "c/1/0"
    raw = zstd.decompress(chunk.read_bytes())
    chunk.write_bytes(bytes(zstd.compress(raw[:100])) + bytes(zstd.compress(raw[100:])))
    array = bounded(zarr.open_array(path, mode="r"))
    assert np.array_equal(np.asarray(array[:]), ROWS)


def _without_size(data: bytes) -> bytes:
    """A Zstandard frame of one raw block and unknown size (RFC 8878, section 3.1.1)."""
    frame = b"\x28\xb5\x2f\xfd\x00\x58" + (len(data) << 3 | 1).to_bytes(3, "little") + data
    assert content_size(memoryview(frame)) == -1
    return frame


def _runs(nbytes: int) -> bytes:
    """A Zstandard frame of unknown size: blocks of 128 KiB of one byte, four bytes each."""
    block, size = 1 << 17, (1 << 17) << 3 | 1 << 1
    blocks = b"".join(
        (size | int(last)).to_bytes(3, "little") + b"\0"
        for last in (i == nbytes // block - 1 for i in range(nbytes // block))
    )
    return b"\x28\xb5\x2f\xfd\x00\x58" + blocks


def _streamed(make: Any, nbytes: int) -> bytes:
    piece = bytes(1 << 20)
    return b"".join([make.compress(piece) for _ in range(nbytes >> 20)]) + bytes(make.flush())


def _packed_zeros(name: str) -> bytes:
    """Something small that decodes to `HUGE` zeros."""
    if name == "zstd":
        return bytes(zstd.compress(np.zeros(HUGE, np.uint8), 1))
    if name == "blosc":
        return bytes(blosc.compress(np.zeros(HUGE, np.uint8), b"zstd", 1))
    if name == "lz4":
        return bytes(lz4.compress(np.zeros(HUGE, np.uint8)))
    makers: dict[str, Callable[[], Any]] = {
        "gzip": lambda: zlib.compressobj(1, zlib.DEFLATED, 31),
        "zlib": lambda: zlib.compressobj(1),
        "bz2": lambda: bz2.BZ2Compressor(1),
        "lzma": lambda: lzma.LZMACompressor(preset=0),
    }
    return _streamed(makers[name](), HUGE)


def _v3(codec: Any) -> Callable[[Path, bytes], None]:
    def make(path: Path, packed: bytes) -> None:
        stored(path, compressors=codec)
        (path / "c/1/0").write_bytes(packed)

    return make


def _v2(codec: Any) -> Callable[[Path, bytes], None]:
    def make(path: Path, packed: bytes) -> None:
        stored(path, zarr_format=2, compressors=codec)
        (path / "1.0").write_bytes(packed)

    return make


def _in_a_shard(path: Path, packed: bytes) -> None:
    import google_crc32c

    stored(path, shards=(60, 3), compressors=GzipCodec())
    file = path / "c/0/0"
    index = np.frombuffer(file.read_bytes()[-52:-4], "<u8").copy()
    index[2:4] = file.stat().st_size, len(packed)
    tail = index.tobytes()
    checksum = int(google_crc32c.value(tail)).to_bytes(4, "little")
    file.write_bytes(file.read_bytes() + packed + tail + checksum)


def _holes(path: Path) -> None:
    stored(path, compressors=ZstdCodec())
    os.truncate(path / "c/1/0", HUGE)


def _holes_plain(path: Path) -> None:
    stored(path, compressors=None)
    os.truncate(path / "c/1/0", HUGE)


def _holes_in_metadata(path: Path) -> None:
    stored(path)
    os.truncate(path / "zarr.json", HUGE)


def _claims(**fields: Any) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        stored(path)
        tree = json.loads((path / "zarr.json").read_text())
        if "chunk" in fields:
            tree["chunk_grid"]["configuration"]["chunk_shape"] = fields["chunk"]
        tree["shape"] = fields.get("shape", tree["shape"])
        (path / "zarr.json").write_text(json.dumps(tree))

    return make


def _bomb(name: str, put: Callable[[Path, bytes], None]) -> Callable[[Path], None]:
    return lambda path: put(path, _packed_zeros(name))


BOMBS: dict[str, Callable[[Path], None]] = {
    "zstd": _bomb("zstd", _v3(ZstdCodec())),
    "zstd without its size": lambda path: _v3(ZstdCodec())(path, _runs(HUGE)),
    "two zstd frames": lambda path: _v3(ZstdCodec())(
        path, bytes(zstd.compress(ROWS[:20])) + _runs(HUGE)
    ),
    "blosc": _bomb("blosc", _v3(BloscCodec())),
    "gzip": _bomb("gzip", _v3(GzipCodec())),
    "two gzip members": lambda path: _v3(GzipCodec())(
        path, gzip.compress(ROWS[:20].tobytes()) + _packed_zeros("gzip")
    ),
    "gzip in a shard": lambda path: _in_a_shard(path, _packed_zeros("gzip")),
    "v2 zlib": _bomb("zlib", _v2(Zlib())),
    "v2 bz2": _bomb("bz2", _v2(BZ2())),
    "v2 lzma": _bomb("lzma", _v2(LZMA())),
    "v2 lz4": _bomb("lz4", _v2(LZ4())),
    "v2 blosc": _bomb("blosc", _v2(Blosc())),
    "v2 zstd": _bomb("zstd", _v2(Zstd())),
    "a file of holes": _holes,
    "a plain file of holes": _holes_plain,
    "metadata of holes": _holes_in_metadata,
    "a chunk of 2^50 rows": _claims(chunk=[2**50, 3]),
    "2^60 rows": _claims(shape=[2**60, 3]),
    "2^60 rows and one chunk": _claims(shape=[2**60, 3], chunk=[2**60, 3]),
    "2^60 features": _claims(shape=[60, 2**60], chunk=[60, 2**60]),
}

MODEL = {"name": "diagonal", "n_components": 2}


def configuration(place: Path, data: Path) -> dict[str, Any]:
    return {
        "data": {"path": str(data), "block_size": "240 B"},
        "model": MODEL,
        "fit": {"seed": 1, "max_iter": 2},
        "cluster": {"kind": "threads", "threads": 1},
        "run": {"folder": str(place.parent), "key": place.name},
    }


def _finished(place: Path, data: Path) -> None:
    with open_job(make_config(configuration(place, data))) as job:
        assert isinstance(job, Job)
        job.complete()


def _header(change: Callable[[dict[str, Any]], None]) -> Callable[[Path], None]:
    """A model whose safetensors header claims something else, and a manifest that vouches."""

    def make(run: Path) -> None:
        state, manifest = run / "final/model.safetensors", run / "final/model.json"
        data = state.read_bytes()
        size = int.from_bytes(data[:8], "little")
        header = json.loads(data[8 : 8 + size])
        change(header)
        text = json.dumps(header).encode()
        data = len(text).to_bytes(8, "little") + text + data[8 + size :]
        state.write_bytes(data)
        told = json.loads(manifest.read_text())
        told["files"] = {state.name: [Seal.of(data).entry()]}
        manifest.write_bytes(document(told))

    return make


def _shape(shape: list[int]) -> Callable[[Path], None]:
    def change(header: dict[str, Any]) -> None:
        name = next(name for name in header if name != "__metadata__")
        header[name]["shape"] = shape

    return _header(change)


def _huge_state(run: Path) -> None:
    """A state of holes, of a size that its manifest states."""
    manifest = json.loads((run / "final/model.json").read_text())
    manifest["files"]["model.safetensors"][0]["size"] = 1 << 45
    (run / "final/model.json").write_bytes(document(manifest))
    os.truncate(run / "final/model.safetensors", 1 << 40)


def _chunk(name: str) -> Callable[[Path], None]:
    return lambda run: (run / "labels.zarr" / name).write_bytes(_packed_zeros("zstd")) and None


def _layout(*numbers: int) -> Callable[[Path], None]:
    """Labels that claim so many rows, rows of a block and components; the metadata agrees."""

    def make(run: Path) -> None:
        rows, block, k = numbers
        group, progress = run / "labels.zarr/zarr.json", run / "labels.zarr/progress/zarr.json"
        tree = json.loads(group.read_text())
        tree["attributes"]["emdist"]["layout"] = list(numbers)
        group.write_text(json.dumps(tree))
        tree = json.loads(progress.read_text())
        tree["shape"] = [-(-rows // block), 3 + k]
        tree["chunk_grid"]["configuration"]["chunk_shape"] = [1, 3 + k]
        progress.write_text(json.dumps(tree))

    return make


RUNS: dict[str, Callable[[Path], None]] = {
    "header with 2^60 numbers": _shape([2**60]),
    "header with no rows of 2^60": _shape([0, 2**60]),
    "header of 2^62 bytes": lambda run: (run / "final/model.safetensors").write_bytes(
        (2**62).to_bytes(8, "little")
    ) and None,
    "a state of holes": _huge_state,
    "a chunk of labels": _chunk("labels/c/1"),
    "a chunk of progress": _chunk("progress/c/1/0"),
    "2^40 blocks": _layout(2**40, 1, 2),
    "2^50 components": _layout(60, 20, 2**50),
    "2^20 components": _layout(60, 20, 2**20 - 3),
}  # fmt: skip

CHILD = """
import json, sys
import emdist, emdist.cli
from pathlib import Path
from emdist.settings.config import make_config
from emdist.errors import EmdistError
from emdist.jobs.inspect import inspect
from emdist.jobs.job import Job
from emdist.jobs.run import open_job
from emdist.store.places.location import Location
from emdist.store.sources.zarr_source import reference, zarr_source

def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM"))

def tried(act):
    try:
        act()
    except EmdistError as error:
        assert len(str(error)) < 2000
        return type(error).__name__
    return "answer"

def dropping(place):
    source = zarr_source(reference(place), corrupt="drop")
    for i in range(len(source)):
        source.read(i)

def again(values):
    with open_job(make_config(values)) as job:
        if isinstance(job, Job):
            job.complete()

# What is imported and compiled is no bomb.
emdist.KMeans(2, max_iter=2).fit(sys.argv[1])
for line in sys.stdin:
    place, values = json.loads(line)
    Path("/proc/self/clear_refs").write_text("5")
    before = peak()
    if values is None:
        acts = [
            lambda: inspect(Location(place)),
            lambda: emdist.KMeans(2, max_iter=2).fit(place),
            lambda: dropping(place),
        ]
    else:
        acts = [
            lambda: inspect(Location(place + "/labels.zarr"), verify=True),
            lambda: emdist.load(place),
            lambda: again(values),
        ]
    print(json.dumps([[tried(act) for act in acts], peak() - before]), flush=True)
"""


def told(good: Path, cases: list[tuple[Path, Any]]) -> list[tuple[list[str], int]]:
    """How each case ended in a child, and the bytes that it took beyond what was there."""
    if not Path("/proc/self/clear_refs").exists():
        pytest.skip("there is no /proc here to read a peak from")
    lines = "".join(json.dumps([str(path), values]) + "\n" for path, values in cases)
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(good)], input=lines,
        capture_output=True, text=True, timeout=200, check=False,
        env=environment(), cwd=good.parent,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def _is_bomb(path: Path) -> bool:
    """Whether what is there takes little room on the disk."""
    return sum(p.stat().st_blocks * 512 for p in path.rglob("*")) < 8 << 20


@pytest.mark.long
def test_bombs_in_arrays_are_an_error_within_the_memory(tmp_path: Path) -> None:
    good = stored(tmp_path / "good.zarr")
    for bomb, make in BOMBS.items():
        make(tmp_path / bomb)
        assert _is_bomb(tmp_path / bomb), bomb
    found = told(good, [(tmp_path / bomb, None) for bomb in BOMBS])
    for bomb, (names, grown) in zip(BOMBS, found, strict=True):
        print(bomb, names, f"{grown >> 20} MiB")
        assert grown < ALLOWED, bomb
        assert names[1] != "answer", bomb
        # A chunk that is one is left out like any that does not decode.
        assert (names[2] == "answer") == (names[1] == "CorruptChunkError"), bomb


@pytest.mark.long
def test_bombs_in_runs_models_and_labels_are_an_error_or_made_again(tmp_path: Path) -> None:
    good, whole = stored(tmp_path / "good.zarr"), tmp_path / "whole"
    _finished(whole, good)
    cases: list[tuple[Path, Any]] = []
    for bomb, make in RUNS.items():
        place = tmp_path / bomb.replace("^", "")
        shutil.copytree(whole, place)
        make(place)
        assert _is_bomb(place), bomb
        cases.append((place, configuration(place, good)))
    for bomb, (names, grown) in zip(RUNS, told(good, cases), strict=True):
        print(bomb, names, f"{grown >> 20} MiB")
        assert grown < ALLOWED, bomb
        assert "answer" in names, bomb  # what is whole is read, or it is made again
