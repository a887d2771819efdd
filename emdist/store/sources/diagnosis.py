"""Diagnosis of failed reads: finds the chunk at fault, or that the store did not answer."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from functools import partial
from typing import Any

import zarr

from emdist.errors import CorruptChunkError, DataError, MissingChunksError, StorageError
from emdist.interfaces import Array
from emdist.runtime.defects import is_defect
from emdist.store.chunks.controls import open_sound_arrays, read_sound_chunk
from emdist.store.chunks.layout import Ranges, merged, object_key, unit_shape
from emdist.store.places.faults import first_line
from emdist.store.sources.chunk_files import Torn
from emdist.store.sources.references import ArrayRef, is_access_failure, shown_cause
from emdist.store.sources.strict_stores import AbsentChunk
from emdist.wording import either

_AGAIN = either("try again", "start the same run again")


def diagnosed(ref: ArrayRef, a: int, b: int, block: int, error: Exception) -> Exception:
    """Return the error for a failed read: a damaged chunk, an unreachable store, or a defect.

    `error` is what reading rows a..b raised. If it is a defect of emdist or Zarr, it is returned as
    it is. Otherwise the chunks are read again one by one to find the one at fault.
    """
    what = f"rows {a}..{b - 1} (block {block}) of {ref}"
    if is_access_failure(error):
        return StorageError(
            f"Reading {what} failed: {type(error).__name__}: {first_line(error)}. Check the path, "
            f"the permissions and the network, then {_AGAIN}."
        )
    try:
        array = ref.reader()
    except Exception as inner:  # noqa: BLE001  whatever it is, the array cannot be opened
        if is_defect(inner, open_sound_arrays):
            return inner
        return StorageError(
            f"{ref} can no longer be opened: {first_line(inner)}. Check that its disk is mounted "
            f"and that the path exists on every machine, then {_AGAIN}."
        )
    control = partial(read_sound_chunk, array)
    if not isinstance(error, AbsentChunk) and is_defect(error, control):
        return error
    if isinstance(error, MemoryError) or 0 in array.chunks:
        nbytes = math.prod(unit_shape(array)) * array.dtype.itemsize
        return DataError(
            f"{what} cannot be read ({first_line(error)}): one chunk or shard of shape "
            f"{unit_shape(array)} decodes to {nbytes} bytes. Give the process more memory, or "
            "rechunk the array."
        )
    for key, region in _chunks(array, a, b):
        rows = f"rows {region[0].start}..{region[0].stop - 1}, block {block}"
        try:
            array[region]
        except AbsentChunk:
            return _vanished(ref, key, rows)
        except Exception as inner:  # noqa: BLE001  codecs raise exceptions of any kind
            if is_access_failure(inner):
                return diagnosed(ref, a, b, block, inner)
            if is_defect(inner, control):
                return inner
            return _corrupt(ref, key, rows, f"{type(inner).__name__}: {first_line(inner)}")
    return StorageError(
        f"Reading {what} failed once and succeeded when repeated ({type(error).__name__}: "
        f"{first_line(error)}). To continue, {_AGAIN}. If the error comes back, check the memory "
        "and the disk of this machine."
    )


def torn(ref: ArrayRef, block: int, error: Torn) -> CorruptChunkError:
    """Return the error for a chunk that emdist's own reader found to be cut off."""
    key, start, why = error.args
    array = ref.reader()
    end = min(start + array.chunks[0], array.shape[0])
    return _corrupt(ref, key, f"rows {start}..{end - 1}, block {block}", f"it is cut off: {why}")


def _corrupt(ref: ArrayRef, key: str, rows: str, why: str) -> CorruptChunkError:
    return CorruptChunkError(
        f"Chunk {key!r} of {ref} ({rows}) cannot be decoded: {why}. Write this chunk again from "
        "the original data. Or leave its rows out: set data.corrupt_chunks to 'drop', or delete "
        "the chunk and set data.missing_chunks to 'drop'."
    )


def salvaged(
    ref: ArrayRef, a: int, b: int, block: int, out: Array, gaps: Ranges, missing: str
) -> Ranges:
    """Fill `out` with rows a..b of every chunk that decodes. Return the rows of the other chunks.

    Any other failure raises the error that `diagnosed` returns. `gaps` and `missing` are those of
    the source.
    """
    lost: list[tuple[int, int]] = []
    for key, (rows, *columns) in _chunks(ref.reader(), a, b):
        region = (slice(max(rows.start, a), min(rows.stop, b)), *columns)
        start, stop = region[0].start, region[0].stop
        at = (slice(start - a, stop - a), *columns)
        is_gap = any(first <= start < last for first, last in gaps)
        try:
            keep = not (is_gap and missing == "drop")
            out[at] = ref.reader(strict=not is_gap)[region] if keep else 0
        except AbsentChunk:
            raise _vanished(ref, key, f"rows {start}..{stop - 1}, block {block}") from None
        except Exception as error:  # codecs raise exceptions of any kind
            # If the process has too little memory, that says nothing about the chunk.
            if is_access_failure(error) or isinstance(error, MemoryError):
                raise diagnosed(ref, a, b, block, error) from shown_cause(ref, error)
            if is_defect(error, partial(read_sound_chunk, ref.reader())):
                raise
            out[at] = 0
            lost.append((start, stop))
    return merged(lost, b)


def _vanished(ref: ArrayRef, key: str, rows: str) -> Exception:
    """Return the error for a chunk that is missing now: the array is gone, or only the chunk."""
    try:
        ref.open()
    except Exception as error:  # noqa: BLE001  whatever it is, the array is not there now
        if is_defect(error, open_sound_arrays):
            return error
        return StorageError(
            f"{ref} is no longer there ({type(error).__name__}). Check that its disk is mounted "
            f"and that the path exists on every machine, then {_AGAIN}."
        )
    return MissingChunksError(
        f"Chunk {key!r} of {ref} ({rows}) has been deleted since the data was checked. Write it "
        f"again from the original data, then {_AGAIN}."
    )


def _chunks(array: zarr.Array[Any], a: int, b: int) -> Iterator[tuple[str, tuple[slice, ...]]]:
    """Yield ``(key of the object, region)`` for every chunk that holds some of the rows a..b."""
    unit, step = unit_shape(array), array.chunks
    starts = [range(a // step[0] * step[0], b, step[0])]
    starts += [range(0, n, c) for n, c in zip(array.shape[1:], step[1:], strict=True)]
    for corner in itertools.product(*starts):
        ends = zip(corner, step, array.shape, strict=True)
        region = tuple(slice(at, min(at + c, n)) for at, c, n in ends)
        cell = tuple(at // u for at, u in zip(corner, unit, strict=True))
        yield object_key(array, cell), region
