"""Direct writing: whole chunks of rows into local files, packed by the thread that made them.

The twin of `direct`. Zarr writes a chunk through an event loop that all threads of a process share,
with several copies; here it is one call of the packer, a checksum, and one file. What is stored
is what Zarr would store, byte for byte, so that either may go on with what the other began.

A file appears whole or not at all: it is written beside its place and renamed. Like Zarr, this
waits for no disk: after a loss of power a file may be torn, which its checksum tells.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias

import google_crc32c
import numpy as np
import zarr
from numcodecs.blosc import MAX_BUFFERSIZE, Blosc  # type: ignore[import-untyped]
from zarr.codecs import BloscCodec, BytesCodec, Crc32cCodec, ZstdCodec

from emdist.interfaces import Array
from emdist.store.chunks import object_key
from emdist.store.location import Location

Pack: TypeAlias = Callable[[Array], Any]


def packers(dtype: str, chunk: tuple[int, ...]) -> tuple[Any, ...]:
    """What chunks of a shape are packed with: a compressor and a checksum.

    LZ4 over shuffled bits, so that exponents and small labels lie together: no larger than
    Zstandard 1 for all but half-sparse responsibilities, and two to eight times as fast. It cannot
    take 2 GiB at once; Zstandard can.
    """
    if int(np.prod(chunk, dtype=np.int64)) * np.dtype(dtype).itemsize > MAX_BUFFERSIZE:
        return (ZstdCodec(level=1, checksum=True),)
    return BloscCodec(cname="lz4", clevel=5, shuffle="bitshuffle"), Crc32cCodec()


def put_rows(location: Location, array: zarr.Array[Any], a: int, b: int, value: Array) -> None:
    """Store `value` as rows a..b of `array`, which are whole chunks.

    Parameters
    ----------
    location
        Of the root of the store that `array` is in.
    array
        Open for writing. It stores what is not simple itself.
    """
    pack = _packing(array) if location.is_local else None
    if pack is None:
        array[a:b] = value
        return
    size, shape = array.chunks[0], (b - a, *array.shape[1:])
    if value.shape != shape or a % size or (b % size and b != array.shape[0]):
        raise ValueError(f"{value.shape} is not rows {a}..{b} of {array.shape} by {size}")
    value = np.ascontiguousarray(value, array.dtype)
    for at in range(a, b, size):
        rows = value[at - a : at - a + size]
        if len(rows) < size:  # the last of the array: every chunk is stored whole
            whole = np.full((size, *rows.shape[1:]), array.fill_value, array.dtype)
            whole[: len(rows)] = rows
            rows = whole
        key = object_key(array, (at // size, *[0] * (array.ndim - 1)))
        packed = pack(rows)
        checksum = google_crc32c.value(packed).to_bytes(4, "little")
        _store(location.path / array.path / key, (packed, checksum))


def _packing(array: zarr.Array[Any]) -> Pack | None:
    """How to pack whole rows as Zarr would, or None where that is not one of `packers`."""
    codecs: Sequence[Any] = getattr(array.metadata, "codecs", ())
    if [type(codec) for codec in codecs] != [BytesCodec, BloscCodec, Crc32cCodec]:
        return None
    if array.chunks[1:] != array.shape[1:] or not array.dtype.isnative:
        return None
    endian = codecs[0].endian
    if endian is not None and endian.value != "little":
        return None
    blosc = codecs[1]
    shuffle = ("noshuffle", "shuffle", "bitshuffle").index(blosc.shuffle.value)
    made = Blosc(
        blosc.cname.value, blosc.clevel, shuffle, blosc.blocksize, typesize=blosc.typesize
    )  # fmt: skip
    encode: Pack = made.encode
    return encode


def _store(path: Path, parts: tuple[Any, ...]) -> None:
    """One file of `parts`, there whole or not at all."""
    # A name that Zarr's writers give too, so that what a killed process left is known as such.
    partial = path.with_suffix(f".{uuid.uuid4().hex}.partial")
    try:
        try:
            file = partial.open("xb")
        except FileNotFoundError:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = partial.open("xb")
        with file:
            for part in parts:
                file.write(part)
        partial.replace(path)
    except BaseException:
        with suppress(OSError):
            partial.unlink()
        raise
