"""Layout of Zarr arrays in a store: which objects hold which rows, and which ones are missing."""

from __future__ import annotations

import hashlib
import itertools
import math
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import Any, TypeAlias

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.abc.store import ByteRequest, RangeByteRequest, SuffixByteRequest
from zarr.codecs import BytesCodec, Crc32cCodec, ShardingCodec
from zarr.core.buffer import default_buffer_prototype
from zarr.core.common import concurrent_map
from zarr.core.sync import sync

#: Half-open row ranges, ascending and disjoint.
Ranges: TypeAlias = tuple[tuple[int, int], ...]

#: Rows of an array that grows: the axis along which it does, the first row, and the last plus 1.
RowRange: TypeAlias = tuple[int, int, int]

#: How many objects enter the fingerprint, and how many of the first and last bytes of each.
#: Checksums are among the last bytes.
_SAMPLED = 16
_ENDS = 1 << 15
#: Requests under way at a time when many objects are looked at.
_REQUESTS = 32
#: The largest number of chunks in a shard whose index is read.
_INDEX = 1 << 24
#: The offset and length of a chunk that a shard does not hold (Zarr's sharding codec, version 1.0).
_ABSENT = np.uint64(2**64 - 1)


def unit_shape(array: zarr.Array[Any]) -> tuple[int, ...]:
    """Return the shape of what one object holds: a shard, or a chunk if there are no shards."""
    return tuple(max(1, int(n)) for n in array.shards or array.chunks)


def unit_rows(array: zarr.Array[Any]) -> int:
    """Return the number of rows of a shard, or of a chunk if there are no shards."""
    return unit_shape(array)[0]


def object_key(array: zarr.Array[Any], cell: tuple[int, ...]) -> str:
    """Return the key of the object at position `cell` of the grid, relative to the array."""
    key: str = array.metadata.encode_chunk_key(cell)
    return key


def spelled(setting: Any) -> str:
    """Return a codec's setting as text. It is an enum up to zarr 3.2, and text from 3.3 on."""
    return str(getattr(setting, "value", setting))


def full_key(array: zarr.Array[Any], key: str) -> str:
    """Return `key`, which is relative to the array, relative to the root of the store."""
    return f"{array.path}/{key}" if array.path else key


def chunk_keys(array: zarr.Array[Any]) -> set[str]:
    """Return the keys of the chunk objects that exist, relative to the array.

    Leftovers of killed writers and other files that are no chunks are left out.
    """
    prefix = full_key(array, "")
    is_chunk = is_chunk_of(array)

    async def collect(keys: AsyncIterator[str]) -> list[str]:
        return [key async for key in keys]

    names = (name.removeprefix(prefix) for name in sync(collect(array.store.list_prefix(prefix))))
    return {name for name in names if is_chunk(name)}


def is_within(array: zarr.Array[Any], rows: RowRange | None) -> Callable[[str], bool]:
    """Return a function that says whether the key of an object has values of these rows only.

    Where the rows end within an object, it is left out: it is written again when the array grows.
    """
    if rows is None:
        return lambda key: True
    axis, start, stop = rows
    unit = unit_shape(array)[axis]

    def within(key: str) -> bool:
        at = int(re.findall(r"\d+", key)[axis]) * unit
        return at + unit > start and at + unit <= stop

    return within


def is_chunk_of(array: zarr.Array[Any]) -> Callable[[str], bool]:
    """Return a function that says whether a key, relative to the array, is of a chunk or shard."""
    zeros = object_key(array, (0,) * array.ndim)
    chunk = re.compile(r"\d+".join(map(re.escape, zeros.split("0"))))
    return lambda name: chunk.fullmatch(name) is not None


def missing_rows(array: zarr.Array[Any], inside: bool = True) -> Ranges:
    """Return the rows of which at least one chunk was never written.

    Parameters
    ----------
    array
        A Zarr array of one or two dimensions.
    inside
        Whether to look for missing chunks inside the shards that exist, which takes one small read
        of each shard.
    """
    unit = unit_shape(array)
    counts = [-(-n // c) for n, c in zip(array.shape, unit, strict=True)]
    there = stored_cells(array, counts)
    # Loop over the stored objects and not over all possible ones: metadata can claim any number of
    # chunks.
    columns = math.prod(counts[1:])
    held = Counter(cell[0] for cell in there)
    full = sorted(at for at, n in held.items() if n == columns)
    edges = [-1, *full, counts[0]]
    found = [((a + 1) * unit[0], b * unit[0]) for a, b in itertools.pairwise(edges) if b - a > 1]
    if inside and array.shards is not None:
        found += _missing_in_shards(array, there)
    return merged(found, array.shape[0])


def stored_cells(array: zarr.Array[Any], counts: list[int]) -> list[tuple[int, ...]]:
    """Return the grid positions of the objects that exist, sorted."""
    cells = []
    for key in chunk_keys(array):
        numbers = re.findall(r"\d+", key)
        cell = tuple(map(int, numbers)) if len(numbers) == array.ndim else ()
        inside = bool(cell) and all(at < n for at, n in zip(cell, counts, strict=True))
        # For example, "c/007" is no name of a chunk.
        if inside and object_key(array, cell) == key:
            cells.append(cell)
    return sorted(cells)


def merged(ranges: Iterable[tuple[int, int]], rows: int) -> Ranges:
    """Return the union of row ranges, cut off at `rows`."""
    out: list[tuple[int, int]] = []
    for start, stop in sorted(ranges):
        stop = min(stop, rows)
        if start >= stop:
            continue
        if out and start <= out[-1][1]:
            out[-1] = (out[-1][0], max(out[-1][1], stop))
        else:
            out.append((start, stop))
    return tuple(out)


def _missing_in_shards(
    array: zarr.Array[Any], cells: list[tuple[int, ...]]
) -> Iterator[tuple[int, int]]:
    """Yield row ranges with missing chunks inside the shards at `cells`, by their indexes."""
    unit, inner = unit_shape(array), array.chunks
    for cell, absent in missing_inside(array, cells):
        first = cell[0] * unit[0]
        for r in np.flatnonzero(absent.reshape(len(absent), -1).any(axis=1)):
            yield first + int(r) * inner[0], first + (int(r) + 1) * inner[0]


def missing_inside(
    array: zarr.Array[Any], cells: list[tuple[int, ...]]
) -> Iterator[tuple[tuple[int, ...], NDArray[np.bool_]]]:
    """Yield the shards at `cells`, with which of their chunks are missing, by their indexes.

    Chunks that are wholly outside the array are left out. Shards whose index only Zarr can read
    are not looked into.
    """
    unit, inner = unit_shape(array), array.chunks
    codecs = getattr(array.metadata, "codecs", ())
    codec = next(c for c in codecs if isinstance(c, ShardingCodec))
    grid = tuple(n // c for n, c in zip(unit, inner, strict=True))
    if math.prod(grid) > _INDEX:
        # Nobody writes such a large index, and a sparse file of that size can occupy no disk space.
        return
    tail = sum({BytesCodec: 0, Crc32cCodec: 4}.get(type(c), 1 << 62) for c in codec.index_codecs)
    if tail >= 1 << 62:
        return  # The index is packed in a way that only Zarr can read.
    size = 16 * math.prod(grid) + tail
    at_start = spelled(codec.index_location) == "start"

    async def index(cell: tuple[int, ...]) -> bytes:
        place = RangeByteRequest(0, size) if at_start else SuffixByteRequest(size)
        key = full_key(array, object_key(array, cell))
        found = await array.store.get(key, default_buffer_prototype(), place)
        return b"" if found is None else found.to_bytes()

    for cell, raw in zip(
        cells, sync(concurrent_map([(c,) for c in cells], index, _REQUESTS)), strict=True
    ):
        if len(raw) != size:
            continue  # The shard is cut off; reading it will report that.
        table = np.frombuffer(raw, "<u8", 2 * math.prod(grid)).reshape(*grid, 2)
        # In the last shards, chunks that are wholly outside the array are never written.
        inside = tuple(
            slice(0, -(-(n - c * u) // i))
            for n, c, u, i in zip(array.shape, cell, unit, inner, strict=True)
        )
        yield cell, (table[inside] == _ABSENT).all(axis=-1)


def metadata_digest(array: zarr.Array[Any], grows: bool = False) -> str:
    """Return the sha256 of the metadata that decide how bytes become numbers; not of attributes.

    If the array `grows`, its shape does not count either.
    """
    whole = array.metadata.to_dict()
    left_out = ("attributes", "shape") if grows else ("attributes",)
    kept = {name: repr(value) for name, value in whole.items() if name not in left_out}
    return hashlib.sha256(repr(sorted(kept.items())).encode()).hexdigest()


def sampled_digest(array: zarr.Array[Any], keys: list[str]) -> str:
    """Return the sha256 of size, first and last bytes of up to 16 objects, spread over `keys`."""
    chosen = [keys[i] for i in _spread(len(keys))]
    digest = hashlib.sha256()

    async def look(key: str) -> bytes:
        full, prototype = full_key(array, key), default_buffer_prototype()
        size = await array.store.getsize(full)
        ends: list[ByteRequest] = [
            RangeByteRequest(0, min(_ENDS, size)),
            SuffixByteRequest(min(_ENDS, size)),
        ]
        parts = [await array.store.get(full, prototype, end) for end in ends] if size else []
        return b"".join([f"{key}:{size}:".encode(), *(p.to_bytes() for p in parts if p)])

    for part in sync(concurrent_map([(key,) for key in chosen], look, _REQUESTS)):
        digest.update(part)
    return digest.hexdigest()


def _spread(n: int) -> NDArray[np.int64]:
    """Return up to 16 positions below `n`, including the first and the last."""
    return np.unique(np.linspace(0, n - 1, min(n, _SAMPLED)).astype(np.int64))
