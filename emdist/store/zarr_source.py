"""A 2-D Zarr array, local or in an object store, as a source of blocks of whole chunks."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import zarr
from zarr.abc.store import RangeByteRequest
from zarr.buffer.cpu import NDBuffer
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync

from emdist.errors import (
    CorruptChunkError,
    MissingChunksError,
    NotAnArrayError,
    NotFoundError,
    StorageError,
    WeightError,
)
from emdist.interfaces import Array, Block, Floats
from emdist.store.arrays import check_matrix, finite_rows
from emdist.store.location import Location, open_zarr_store
from emdist.store.plan import block_bounds, native, usable_dtype

#: Chunks whose first bytes enter the fingerprint.
_SAMPLED = 16
_HEAD = 1 << 16


@lru_cache(maxsize=64)
def _opened(location: Location, options: tuple[tuple[str, str], ...], path: str) -> zarr.Array[Any]:
    """One open array per process; `options` is part of the key because Location hashes by URL."""
    store = open_zarr_store(location, read_only=True)
    return zarr.open_array(store, mode="r", path=path)


@dataclass(frozen=True)
class ArrayRef:
    """A Zarr array by its address, opened once per process; `held` for stores without one.

    Attributes
    ----------
    location
        Of the store's root.
    path
        Of the array below it, "" for the root itself.
    held
        An open array whose store has no address (in memory): usable in this process only.
    """

    location: Location | None
    path: str = ""
    held: Any = field(default=None, repr=False)

    def open(self) -> zarr.Array[Any]:
        if self.location is None:
            array: zarr.Array[Any] = self.held
            return array
        return _opened(self.location, tuple(sorted(self.location.options.items())), self.path)

    def __str__(self) -> str:
        if self.location is None:
            return "the Zarr array in memory"
        return f"{self.location}/{self.path}" if self.path else str(self.location)


@dataclass(frozen=True)
class ZarrSource:
    """Blocks of a 2-D Zarr array. Make one with `zarr_source`.

    Attributes
    ----------
    ref
        Which array.
    rows, features
        Its shape.
    stored
        Its dtype, as text.
    bounds
        First row of each block, and `rows`.
    weight
        (n,) in memory, or the reference of a 1-D Zarr array, or None.
    missing
        "raise" or "fill"; with "drop", `gaps` are masked.
    non_finite
        "raise" (the survey refuses) or "drop" (rows are masked).
    gaps
        Half-open row ranges of chunks that were never written.
    """

    ref: ArrayRef
    rows: int
    features: int
    stored: str
    bounds: tuple[int, ...]
    weight: Floats | ArrayRef | None = None
    missing: str = "raise"
    non_finite: str = "raise"
    gaps: tuple[tuple[int, int], ...] = ()

    @property
    def shape(self) -> tuple[int, int]:
        return self.rows, self.features

    @property
    def dtype(self) -> np.dtype[Any]:
        return usable_dtype(np.dtype(self.stored), str(self.ref))

    def __len__(self) -> int:
        return len(self.bounds) - 1

    def read(self, i: int) -> Block:
        a, b = self.bounds[i], self.bounds[i + 1]
        x = native(_rows(self.ref, a, b, i))
        weight: Floats | None
        if isinstance(self.weight, ArrayRef):
            weight = _rows(self.weight, a, b, i).astype(np.float64)
        else:
            weight = None if self.weight is None else self.weight[a:b]
        return Block(i, a, x, weight, self._mask(x, a, b))

    def _mask(self, x: Array, a: int, b: int) -> Any:
        mask = finite_rows(x) if self.non_finite == "drop" else None
        if self.missing == "drop":
            for start, stop in self.gaps:
                if start < b and stop > a:
                    mask = np.ones(b - a, bool) if mask is None else mask
                    mask[max(start - a, 0) : stop - a] = False
        return mask

    def fingerprint(self) -> Mapping[str, Any]:
        """Metadata, number of chunks, and size and first bytes of up to 16 of them."""
        array = self.ref.open()
        keys = sorted(chunk_keys(array))
        metadata = hashlib.sha256(repr(sorted(_description(array).items())).encode())
        step = max(1, len(keys) // _SAMPLED)
        heads = hashlib.sha256()
        for key in keys[::step]:
            full = f"{array.path}/{key}" if array.path else key
            head = sync(
                array.store.get(full, default_buffer_prototype(), RangeByteRequest(0, _HEAD))
            )
            size = sync(array.store.getsize(full))
            heads.update(f"{key}:{size}:".encode())
            heads.update(b"" if head is None else head.to_bytes())
        return {
            "kind": "zarr",
            "array": str(self.ref),
            "shape": [self.rows, self.features],
            "dtype": self.stored,
            "metadata_sha256": metadata.hexdigest(),
            "chunks_stored": len(keys),
            "sampled_sha256": heads.hexdigest(),
        }


def _description(array: zarr.Array[Any]) -> dict[str, str]:
    """What decides how bytes become numbers; attributes may change freely."""
    whole = array.metadata.to_dict()
    return {name: repr(value) for name, value in whole.items() if name != "attributes"}


def _rows(ref: ArrayRef, a: int, b: int, block: int) -> Array:
    """Rows a..b of an array of one or two dimensions; errors name the chunk at fault."""
    array = ref.open()
    selection = (slice(a, b),) + (slice(None),) * (array.ndim - 1)
    out = np.empty((b - a, *array.shape[1:]), array.dtype)
    try:
        array.get_basic_selection(selection, out=NDBuffer.from_numpy_array(out))
    except Exception as error:
        raise _diagnosed(ref, array, a, b, block, error) from error
    return out


def _is_access_failure(error: Exception) -> bool:
    return isinstance(error, OSError) or type(error).__module__.startswith("obstore")


def _diagnosed(
    ref: ArrayRef, array: zarr.Array[Any], a: int, b: int, block: int, error: Exception
) -> Exception:
    """The emdist error for a failed read: which chunk, or that the store did not answer."""
    if _is_access_failure(error):
        return StorageError(
            f"Reading rows {a}..{b - 1} (block {block}) of {ref} failed: "
            f"{type(error).__name__}: {error}. Check the path, the permissions and the network, "
            "then start again with the same run."
        )
    unit = unit_rows(array)
    for start in range(a // unit * unit, b, unit):
        stop = min(start + unit, array.shape[0])
        try:
            array[start:stop]
        except Exception as inner:  # noqa: BLE001  codecs raise what they like
            key = array.metadata.encode_chunk_key((start // unit,) + (0,) * (array.ndim - 1))
            return CorruptChunkError(
                f"Chunk {key!r} of {ref} (rows {start}..{stop - 1}, block {block}) cannot be "
                f"decoded: {type(inner).__name__}: {inner}. Write this chunk again from its "
                "origin, or delete it and set missing_chunks to 'drop'."
            )
    return CorruptChunkError(f"Block {block} of {ref} cannot be decoded: {error}.")


def unit_rows(array: zarr.Array[Any]) -> int:
    """Rows of a shard, or of a chunk where there are none: what one object holds."""
    return max(1, int((array.shards or array.chunks)[0]))


def chunk_keys(array: zarr.Array[Any]) -> set[str]:
    """Keys of the chunk objects that exist, relative to the array."""
    prefix = f"{array.path}/" if array.path else ""

    async def collect(keys: AsyncIterator[str]) -> list[str]:
        return [key async for key in keys]

    names = sync(collect(array.store.list_prefix(prefix)))
    relative = {name.removeprefix(prefix) for name in names}
    return {
        name for name in relative if not name.rsplit("/", 1)[-1].startswith((".z", "zarr.json"))
    }


def _gaps(array: zarr.Array[Any]) -> tuple[tuple[int, int], ...]:
    """Half-open row ranges in which at least one chunk object does not exist, merged."""
    unit = array.shards or array.chunks
    stored = chunk_keys(array)
    columns = -(-array.shape[1] // unit[1]) if array.ndim == 2 else 1
    gaps: list[tuple[int, int]] = []
    for at in range(-(-array.shape[0] // unit[0])):
        cells = [(at, c) if array.ndim == 2 else (at,) for c in range(columns)]
        if all(array.metadata.encode_chunk_key(cell) in stored for cell in cells):
            continue
        start, stop = at * unit[0], min((at + 1) * unit[0], array.shape[0])
        if gaps and gaps[-1][1] == start:
            gaps[-1] = (gaps[-1][0], stop)
        else:
            gaps.append((start, stop))
    return tuple(gaps)


def reference(
    x: str | Location | zarr.Array[Any], options: Mapping[str, str] | None = None
) -> ArrayRef:
    """Where an array lies, from a path, a URL or an open ``zarr.Array``."""
    if isinstance(x, Location):
        return ArrayRef(x)
    if not isinstance(x, zarr.Array):
        return ArrayRef(Location(str(x), options or {}))
    if isinstance(x.store, zarr.storage.LocalStore):
        return ArrayRef(Location(str(x.store.root)), x.path)
    return ArrayRef(None, x.path, x)


def open_checked(ref: ArrayRef) -> zarr.Array[Any]:
    """The open array, or the error that says what is there instead."""
    try:
        return ref.open()
    except (FileNotFoundError, KeyError) as error:
        raise _nothing_there(ref) from error
    except Exception as error:
        if _is_access_failure(error):
            raise StorageError(
                f"{ref} could not be opened: {error}. Check path and permissions."
            ) from error
        raise NotAnArrayError(
            f"{ref} is not a Zarr array: {error}. Name a Zarr array, or bring the file into one "
            "with `emdist ingest`."
        ) from error


def _nothing_there(ref: ArrayRef) -> Exception:
    location = ref.location
    if location is None or not location.is_local:
        return NotFoundError(f"There is no Zarr array at {ref}. Check the URL and its options.")
    path = location.path
    if path.is_file():
        return NotAnArrayError(
            f"{ref} is a file, not a Zarr array. Bring it into one with "
            f"`emdist ingest {path.name} {path.stem}.zarr`."
        )
    if path.is_dir():
        members = sorted(p.parent.name for p in path.glob("*/zarr.json"))
        members += sorted(p.parent.name for p in path.glob("*/.zarray"))
        inside = (
            f" It is a group; name one of its arrays: {', '.join(members[:8])}." if members else ""
        )
        return NotAnArrayError(
            f"{ref} is a folder without an array's metadata (zarr.json or .zarray).{inside} "
            "Name a Zarr array, or make one with `emdist ingest`."
        )
    siblings = sorted(p.name for p in path.parent.glob("*")) if path.parent.is_dir() else []
    from emdist.plugins import nearest

    return NotFoundError(
        f"There is nothing at {ref}{nearest(path.name, siblings)}. Check the path; relative paths "
        "start at the folder where the command runs."
    )


def _checked_weight(weight: Floats | ArrayRef | None, rows: int) -> None:
    if weight is None:
        return
    shape = open_checked(weight).shape if isinstance(weight, ArrayRef) else weight.shape
    if shape != (rows,):
        raise WeightError(
            f"Sample weights have shape {tuple(shape)}; wanted ({rows},), one for each row."
        )


def zarr_source(
    ref: ArrayRef,
    weight: Floats | ArrayRef | None = None,
    block_bytes: int | None = None,
    missing: str = "raise",
    non_finite: str = "raise",
) -> ZarrSource:
    """A 2-D Zarr array as a source, checked as far as its metadata and keys allow.

    Raises
    ------
    NotFoundError, NotAnArrayError, ShapeError, DtypeError, MissingChunksError, WeightError
    """
    array = open_checked(ref)
    check_matrix(array.shape, str(ref))
    dtype = usable_dtype(array.dtype, str(ref))
    _checked_weight(weight, array.shape[0])
    gaps = _gaps(array) if missing != "fill" else ()
    if gaps and missing == "raise":
        rows = sum(stop - start for start, stop in gaps)
        shown = ", ".join(f"{a}..{b - 1}" for a, b in gaps[:5])
        raise MissingChunksError(
            f"{ref}: chunks for {rows} of {array.shape[0]} rows were never written (rows {shown}"
            f"{', ...' if len(gaps) > 5 else ''}); Zarr would read them as the fill value "
            f"{array.fill_value}. Finish writing them, or set missing_chunks to 'drop' to leave "
            "these rows out, or to 'fill' if the fill value is meant."
        )
    row_bytes = array.shape[1] * max(array.dtype.itemsize, dtype.itemsize)
    bounds = block_bounds(array.shape[0], row_bytes, unit_rows(array), block_bytes)
    return ZarrSource(
        ref,
        array.shape[0],
        array.shape[1],
        str(array.dtype),
        bounds,
        weight,
        missing,
        non_finite,
        gaps,
    )
