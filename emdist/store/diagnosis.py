"""Why a block could not be read: which chunk is at fault, or that the store did not answer."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import zarr

from emdist.errors import CorruptChunkError, DataError, MissingChunksError, StorageError
from emdist.store.chunks import object_key, unit_shape
from emdist.store.references import AbsentChunk, ArrayRef, is_access_failure, said


def diagnosed(ref: ArrayRef, a: int, b: int, block: int, error: Exception) -> Exception:
    """The emdist error for a failed read: which chunk, or that the store did not answer."""
    what = f"rows {a}..{b - 1} (block {block}) of {ref}"
    if is_access_failure(error):
        return StorageError(
            f"Reading {what} failed: {type(error).__name__}: {said(error)}. Check the path, the "
            "permissions and the network, then start again with the same run."
        )
    try:
        array = ref.reader()
    except Exception as inner:  # noqa: BLE001  whatever it is, the array cannot be opened
        return StorageError(
            f"{ref} can no longer be opened: {said(inner)}. Check that its disk is mounted and "
            "the path is there on every machine, then start again with the same run."
        )
    if isinstance(error, MemoryError) or 0 in array.chunks:
        nbytes = math.prod(unit_shape(array)) * array.dtype.itemsize
        return DataError(
            f"{what} cannot be read ({error or 'out of memory'}): one chunk or shard of it, shape "
            f"{unit_shape(array)}, decodes to {nbytes} bytes. Give the process more memory, or "
            "rechunk the array."
        )
    for key, region in _chunks(array, a, b):
        rows = f"rows {region[0].start}..{region[0].stop - 1}, block {block}"
        try:
            array[region]
        except AbsentChunk:
            return _vanished(ref, key, rows)
        except Exception as inner:  # noqa: BLE001  codecs raise what they like
            if is_access_failure(inner):
                return diagnosed(ref, a, b, block, inner)
            return CorruptChunkError(
                f"Chunk {key!r} of {ref} ({rows}) cannot be decoded: {type(inner).__name__}: "
                f"{said(inner)}. Write this chunk again from its origin, or delete it and set "
                "missing_chunks to 'drop'."
            )
    return StorageError(
        f"Reading {what} failed and then succeeded ({type(error).__name__}: {said(error)}). Start "
        "again with the same run; if it comes back, check memory and disk of this machine."
    )


def _vanished(ref: ArrayRef, key: str, rows: str) -> Exception:
    try:
        ref.open()
    except Exception as error:  # noqa: BLE001  whatever it is, the array is not there now
        return StorageError(
            f"{ref} is no longer there ({type(error).__name__}). Check that its disk is mounted "
            "and the path is there on every machine, then start again with the same run."
        )
    return MissingChunksError(
        f"Chunk {key!r} of {ref} ({rows}) has vanished; it was there when the data was checked. "
        "Write it again from its origin and start again with the same run."
    )


def _chunks(array: zarr.Array[Any], a: int, b: int) -> Iterator[tuple[str, tuple[slice, ...]]]:
    """``(key of the object, region)`` of every chunk that holds some of the rows a..b."""
    unit, step = unit_shape(array), array.chunks
    starts = [range(a // step[0] * step[0], b, step[0])]
    starts += [range(0, n, c) for n, c in zip(array.shape[1:], step[1:], strict=True)]
    for corner in itertools.product(*starts):
        ends = zip(corner, step, array.shape, strict=True)
        region = tuple(slice(at, min(at + c, n)) for at, c, n in ends)
        cell = tuple(at // u for at, u in zip(corner, unit, strict=True))
        yield object_key(array, cell), region
