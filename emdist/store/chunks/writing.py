"""Direct writing: writes whole chunks of rows to local files, in the thread that computed them.

This is the counterpart of `emdist.store.sources.direct`. Zarr writes a chunk through an event loop
that all threads of a process share, with several copies. Here it is one call of the compressor, a
checksum and one file. Zarr's codecs read what is stored, so either program can continue what the
other began.

Responsibilities and scores of rows between clusters are noise: they shrink by a tenth, at half of
the speed. Blosc has packed buffers and, where packing gains nothing, buffers with plain bytes. A
few slices of a chunk decide which of them it becomes. A plain buffer needs no copy.

A file appears whole or not at all, because it is written under a temporary name and renamed. Like
Zarr, this does not wait for the disk. After a loss of power a file may be cut off, which its
checksum shows.
"""

from __future__ import annotations

import itertools
import os
import struct
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial, reduce
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import zarr
from numcodecs.blosc import BITSHUFFLE, MAX_BUFFERSIZE, Blosc  # type: ignore[import-untyped]
from zarr.codecs import BloscCodec, BytesCodec, Crc32cCodec, ZstdCodec

from emdist.interfaces import Array
from emdist.store.chunks.crc32c import extend
from emdist.store.chunks.layout import object_key, spelled
from emdist.store.places.location import Location

#: A function that turns rows into the pieces of a file, without its checksum.
Pack: TypeAlias = Callable[[Array], list[Any]]

#: The slices of a chunk that are packed as a test: their number, and the bytes of each.
_SLICES, _SLICE = 4, 1 << 15
#: If the packed slices exceed this share of their plain size, the chunk is stored unpacked.
_WORTH = 0.8
#: Blosc's flags for plain bytes and for LZ4 (c-blosc, README_CHUNK_FORMAT).
_PLAIN, _LZ4 = 0x02, 0x20
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0)


def packers(dtype: str, chunk: tuple[int, ...]) -> tuple[Any, ...]:
    """Return the compressor and the checksum for chunks of a given shape and dtype.

    The compressor is LZ4 over shuffled bits, which brings exponents and small labels together.
    Chunks are no larger than with Zstandard 1, except for half-sparse responsibilities, and are
    packed two to eight times as fast. Blosc cannot take 2 GiB at once, so larger chunks use
    Zstandard.
    """
    if int(np.prod(chunk, dtype=np.int64)) * np.dtype(dtype).itemsize > MAX_BUFFERSIZE:
        return (ZstdCodec(level=1, checksum=True),)
    return BloscCodec(cname="lz4", clevel=5, shuffle="bitshuffle"), Crc32cCodec()


def put_part(
    location: Location,
    array: zarr.Array[Any],
    region: tuple[slice, ...],
    value: Array,
    digest: int = 0,
) -> int:
    """Store `value` as a part of `array`. The part must consist of whole chunks.

    Parameters
    ----------
    location
        The root of the store that holds `array`.
    array
        The array, open for writing. Zarr writes it where the codecs are others.
    region
        The part, along each dimension. It ends at a chunk's end, or at the end of the array.
    value
        Its values.
    digest
        The CRC-32C of all bytes that were stored before.

    Returns
    -------
    int
        The CRC-32C of these bytes, followed by the values in the array's dtype.
    """
    value = np.ascontiguousarray(value, array.dtype)
    pack = _packing(array) if location.is_local else None
    if pack is None:
        array[region] = value
        return extend(digest, value)
    pieces = list(zip(region, array.chunks, array.shape, strict=True))
    if value.shape != tuple(part.stop - part.start for part, _, _ in pieces) or any(
        part.start % size or (part.stop % size and part.stop != n) for part, size, n in pieces
    ):
        raise ValueError(
            f"values of shape {value.shape} do not fill {region} of an array of shape "
            f"{array.shape} with chunks of shape {array.chunks}"
        )
    firsts = [range(part.start, part.stop, size) for part, size, _ in pieces]
    for first in itertools.product(*firsts):
        cell = tuple(at // size for at, size in zip(first, array.chunks, strict=True))
        inside = tuple(
            slice(at - part.start, min(at + size, part.stop) - part.start)
            for at, (part, size, _) in zip(first, pieces, strict=True)
        )
        _put_chunk(location.path / array.path / object_key(array, cell), pack, value[inside], array)
    return extend(digest, value)


def _put_chunk(path: Path, pack: Pack, values: Array, array: zarr.Array[Any]) -> None:
    """Store one chunk."""
    if values.shape != array.chunks:  # At the end of the array: Zarr stores chunks at full size.
        whole = np.full(array.chunks, array.fill_value, array.dtype)
        whole[tuple(map(slice, values.shape))] = values
        values = whole
    _store(path, pack(np.ascontiguousarray(values)))


def _packing(array: zarr.Array[Any]) -> Pack | None:
    """Return the function that packs whole chunks for Zarr, or None if the codecs are others."""
    codecs: Sequence[Any] = getattr(array.metadata, "codecs", ())
    if [type(codec) for codec in codecs] != [BytesCodec, BloscCodec, Crc32cCodec]:
        return None
    if not array.dtype.isnative:
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
    """Return `rows` as a Blosc buffer, packed if packing some slices of it pays."""
    raw = rows.reshape(-1).view(np.uint8)
    if len(raw) <= _SLICES * _SLICE:
        return [codec.encode(rows)]
    # Slices begin at whole items, because shuffled bits of other offsets would not be comparable.
    ends = np.linspace(0, len(raw) - _SLICE, _SLICES).astype(np.int64) // 64 * 64
    slices = [raw[at : at + _SLICE].view(rows.dtype) for at in ends]
    if sum(len(codec.encode(part)) for part in slices) < _WORTH * _SLICES * _SLICE:
        return [codec.encode(rows)]
    size = len(raw)
    header = struct.pack("<4B3I", 2, 1, _PLAIN | _LZ4, width, size, _SLICE, size + 16)
    return [header, raw]


def _store(path: Path, pieces: list[Any]) -> None:
    """Write one file of `pieces` and their checksum, whole or not at all."""
    checksum = reduce(extend, pieces, 0)
    # Zarr's writers use the same form of name, so leftovers of killed processes are recognised.
    beside = path.with_suffix(f".{uuid.uuid4().hex}.partial")
    try:
        try:
            fd = os.open(beside, _FLAGS, 0o666)
        except FileNotFoundError:
            path.parent.mkdir(parents=True, exist_ok=True)
            fd = os.open(beside, _FLAGS, 0o666)
        try:
            _write(fd, [*pieces, checksum.to_bytes(4, "little")])
        finally:
            os.close(fd)
        beside.replace(path)
    except BaseException:  # even an interrupt must leave no unfinished file
        with suppress(OSError):
            beside.unlink()
        raise


def _write(fd: int, pieces: list[Any]) -> None:
    """Write all of `pieces` to `fd`. One call of writev may write less than it was given."""
    left = [memoryview(piece).cast("B") for piece in pieces]
    while left:
        done = os.writev(fd, left)
        while left and done >= len(left[0]):
            done -= len(left.pop(0))
        if left:
            left[0] = left[0][done:]
