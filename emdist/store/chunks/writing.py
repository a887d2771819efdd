"""Direct writing: whole chunks of rows into local files, packed by the thread that made them.

The twin of `direct`. Zarr writes a chunk through an event loop that all threads of a process share,
with several copies; here it is one call of the packer, a checksum, and one file. What is stored
is what Zarr's codecs read, so that either may go on with what the other began.

Responsibilities and scores of rows between clusters are noise, which packs by a tenth at half of
the speed. Blosc knows packed bytes and, where that gains nothing, bytes as they are; which of them
a chunk will be is decided by a few slices of it, and the second costs no copy. What is stored as it
is, is summed once: its checksum tells the digest of the rows too.

A file appears whole or not at all: it is written beside its place and renamed. Like Zarr, this
waits for no disk: after a loss of power a file may be torn, which its checksum tells.
"""

from __future__ import annotations

import ctypes
import os
import struct
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache, partial, reduce
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import zarr
from numcodecs.blosc import BITSHUFFLE, MAX_BUFFERSIZE, Blosc  # type: ignore[import-untyped]
from zarr.codecs import BloscCodec, BytesCodec, Crc32cCodec, ZstdCodec

from emdist.interfaces import Array
from emdist.store.chunks.crc32c import behind, extend
from emdist.store.chunks.layout import object_key, spelled
from emdist.store.places.location import Location

#: From rows to the pieces of a file, without its checksum.
Pack: TypeAlias = Callable[[Array], list[Any]]

#: Slices that are packed to see whether a chunk will pack: how many, and bytes of each.
_SLICES, _SLICE = 4, 1 << 15
#: Of packed over plain bytes of these slices, above which a chunk is stored as it is.
_WORTH = 0.8
#: Blosc's flags for bytes as they are, and for LZ4 (c-blosc, README_CHUNK_FORMAT).
_PLAIN, _LZ4 = 0x02, 0x20
#: Bytes that are written at a time, of the file and aligned to it: the page cache takes large pages
#: for them, at half of the cost. And how many of them are then left in a processor's cache.
_PART, _CACHED = 1 << 21, 1 << 20
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0)


def packers(dtype: str, chunk: tuple[int, ...]) -> tuple[Any, ...]:
    """What chunks of a shape are packed with: a compressor and a checksum.

    LZ4 over shuffled bits, so that exponents and small labels lie together: no larger than
    Zstandard 1 for all but half-sparse responsibilities, and two to eight times as fast. It cannot
    take 2 GiB at once; Zstandard can.
    """
    if int(np.prod(chunk, dtype=np.int64)) * np.dtype(dtype).itemsize > MAX_BUFFERSIZE:
        return (ZstdCodec(level=1, checksum=True),)
    return BloscCodec(cname="lz4", clevel=5, shuffle="bitshuffle"), Crc32cCodec()


def put_rows(
    location: Location, array: zarr.Array[Any], a: int, b: int, value: Array, digest: int = 0
) -> int:
    """Store `value` as rows a..b of `array`, which are whole chunks.

    Parameters
    ----------
    location
        Of the root of the store that `array` is in.
    array
        Open for writing. It stores what is not simple itself.
    digest
        CRC-32C of what is stored before.

    Returns
    -------
    int
        The digest, with the rows in the array's dtype behind what it was of.
    """
    value = np.ascontiguousarray(value, array.dtype)
    pack = _packing(array) if location.is_local else None
    if pack is None:
        array[a:b] = value
        return extend(digest, value)
    size, shape = array.chunks[0], (b - a, *array.shape[1:])
    if value.shape != shape or a % size or (b % size and b != array.shape[0]):
        raise ValueError(f"{value.shape} is not rows {a}..{b} of {array.shape} by {size}")
    for at in range(a, b, size):
        key = object_key(array, (at // size, *[0] * (array.ndim - 1)))
        path = location.path / array.path / key
        digest = _put_chunk(path, pack, value[at - a : at - a + size], array, digest)
    return digest


def _put_chunk(path: Path, pack: Pack, rows: Array, array: zarr.Array[Any], digest: int) -> int:
    """Store one chunk; the digest with its rows behind it."""
    whole, size = rows, array.chunks[0]
    if len(rows) < size:  # the last of the array: every chunk is stored whole
        whole = np.full((size, *rows.shape[1:]), array.fill_value, array.dtype)
        whole[: len(rows)] = rows
    pieces = pack(whole)
    checksum = _store(path, pieces)
    if len(pieces) == 1 or whole is not rows:
        return extend(digest, rows)
    header, raw = pieces
    return behind(digest, extend(0, header), checksum, len(raw))


def _packing(array: zarr.Array[Any]) -> Pack | None:
    """How to pack whole rows as Zarr would read them, or None where that is not by `packers`."""
    codecs: Sequence[Any] = getattr(array.metadata, "codecs", ())
    if [type(codec) for codec in codecs] != [BytesCodec, BloscCodec, Crc32cCodec]:
        return None
    if array.chunks[1:] != array.shape[1:] or not array.dtype.isnative:
        return None
    endian = codecs[0].endian
    if endian is not None and spelled(endian) != "little":
        return None
    blosc = codecs[1]
    if (spelled(blosc.cname), spelled(blosc.shuffle)) != ("lz4", "bitshuffle"):
        return None
    made = Blosc("lz4", blosc.clevel, BITSHUFFLE, blosc.blocksize, typesize=blosc.typesize)
    return partial(_blosc, made, blosc.typesize)


def _blosc(codec: Any, width: int, rows: Array) -> list[Any]:
    """`rows` as a Blosc buffer: packed if some slices say that it pays, else as they are."""
    raw = rows.reshape(-1).view(np.uint8)
    if len(raw) <= _SLICES * _SLICE:
        return [codec.encode(rows)]
    # Whole items, or shuffled bits would not be of a kind.
    ends = np.linspace(0, len(raw) - _SLICE, _SLICES).astype(np.int64) // 64 * 64
    slices = [raw[at : at + _SLICE].view(rows.dtype) for at in ends]
    if sum(len(codec.encode(part)) for part in slices) < _WORTH * _SLICES * _SLICE:
        return [codec.encode(rows)]
    size = len(raw)
    header = struct.pack("<4B3I", 2, 1, _PLAIN | _LZ4, width, size, _SLICE, size + 16)
    return [header, raw]


def _store(path: Path, pieces: list[Any]) -> int:
    """One file of `pieces` and their checksum, there whole or not at all; the checksum."""
    size = sum(memoryview(piece).nbytes for piece in pieces) + 4
    # A name that Zarr's writers give too, so that what a killed process left is known as such.
    beside = path.with_suffix(f".{uuid.uuid4().hex}.partial")
    try:
        try:
            fd = os.open(beside, _FLAGS, 0o666)
        except FileNotFoundError:
            path.parent.mkdir(parents=True, exist_ok=True)
            fd = os.open(beside, _FLAGS, 0o666)
        try:
            if size > _SLICES * _SLICE:
                _reserve()(fd, 0, 0, size)
            checksum = _write_summed(fd, pieces)
        finally:
            os.close(fd)
        beside.replace(path)
        return checksum
    except BaseException:  # an interrupt leaves no unfinished file either
        with suppress(OSError):
            beside.unlink()
        raise


def _write_summed(fd: int, pieces: list[Any]) -> int:
    """Write `pieces`, the last of them the longest, and their checksum behind them; the checksum.

    What the kernel has just copied is still in the processor's cache: half of the bytes are summed
    then, and need not come from memory again. The other half is summed before, because no more
    than that stays there.
    """
    *head, last = pieces
    checksum, raw = reduce(extend, head, 0), memoryview(last).cast("B")
    at, end, summed = 0, _PART - sum(map(len, head)), 0
    while at < len(raw):
        end = min(end, len(raw))
        ahead = max(summed, end - _CACHED)
        checksum, summed = extend(checksum, raw[summed:ahead]), ahead
        _write(fd, [*head, raw[at:end]])
        head, at, end = [], end, end + _PART
    checksum = extend(checksum, raw[summed:])
    _write(fd, [checksum.to_bytes(4, "little")])
    return checksum


def _write(fd: int, pieces: list[Any]) -> None:
    left = [memoryview(piece).cast("B") for piece in pieces]
    while left:
        done = os.writev(fd, left)
        while left and done >= len(left[0]):
            done -= len(left.pop(0))
        if left:
            left[0] = left[0][done:]


@cache
def _reserve() -> Callable[[int, int, int, int], Any]:
    """Linux's fallocate: blocks of a disk that are taken at once cost less than page by page.

    Failures are left to writing. Not `os.posix_fallocate`, which writes to every page of a file
    where the file system cannot reserve.
    """
    try:
        function = ctypes.CDLL(None).fallocate
    except (AttributeError, OSError):
        return lambda fd, mode, start, size: None
    function.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_long, ctypes.c_long)
    return function
