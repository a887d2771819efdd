"""Diagnosis of failed reads: finds the chunk at fault, or that the store did not answer."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import zarr

from emdist.errors import (
    AccessDeniedError,
    CorruptChunkError,
    DataError,
    MissingChunksError,
    StorageError,
)
from emdist.interfaces import Array
from emdist.runtime.defects import is_defect
from emdist.store.chunks.controls import open_sound_arrays, read_sound_chunk
from emdist.store.chunks.layout import object_key, unit_shape
from emdist.store.places.faults import AGAIN, access_denied, first_line, is_refusal
from emdist.store.sources.chunk_files import Torn
from emdist.store.sources.references import ArrayRef, is_access_failure, shown_cause
from emdist.store.sources.strict_stores import AbsentChunk

#: A part of an array, one slice for each dimension.
Region: TypeAlias = tuple[slice, ...]


@dataclass(frozen=True)
class Request:
    """What is read of an array, for messages and for reading it again chunk by chunk.

    Attributes
    ----------
    ref
        The array.
    region
        The part of it that is read.
    block
        The index of the block for which it is read.
    dims
        The names of the dimensions; empty if the first one has the rows.
    """

    ref: ArrayRef
    region: Region
    block: int
    dims: tuple[str, ...] = ()

    def named(self, part: Region) -> str:
        """Return what messages call a part of the array."""
        if not self.dims:
            return f"rows {part[0].start}..{part[0].stop - 1}"
        each = zip(self.dims, part, strict=True)
        return ", ".join(f"{dim} {one.start}..{one.stop - 1}" for dim, one in each)


def diagnosed(asked: Request, error: Exception) -> Exception:
    """Return the error for a failed read: a damaged chunk, an unreachable store, or a defect.

    `error` is what reading raised. If it is a defect of emdist or Zarr, it is returned as it is.
    Otherwise the chunks are read again one by one to find the one at fault.
    """
    ref, region = asked.ref, asked.region
    what = f"{asked.named(region)} (block {asked.block}) of {ref}"
    if is_refusal(error):
        return AccessDeniedError(f"Reading {what} failed: {access_denied(error, AGAIN)}")
    if is_access_failure(error):
        return StorageError(
            f"Reading {what} failed: {type(error).__name__}: {first_line(error)}. Check the path, "
            f"the permissions and the network, then {AGAIN}."
        )
    try:
        array = ref.reader()
    except Exception as inner:  # noqa: BLE001  whatever it is, the array cannot be opened
        if is_defect(inner, open_sound_arrays):
            return inner
        return StorageError(
            f"{ref} can no longer be opened: {first_line(inner)}. Check that its disk is mounted "
            f"and that the path exists on every machine, then {AGAIN}."
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
    for key, chunk in _chunks(array, region):
        where = f"{asked.named(chunk)}, block {asked.block}"
        try:
            array[chunk]
        except AbsentChunk:
            return _vanished(ref, key, where)
        except Exception as inner:  # noqa: BLE001  codecs raise exceptions of any kind
            if is_access_failure(inner):
                return diagnosed(asked, inner)
            if is_defect(inner, control):
                return inner
            return _corrupt(ref, key, where, f"{type(inner).__name__}: {first_line(inner)}")
    return StorageError(
        f"Reading {what} failed once and succeeded when repeated ({type(error).__name__}: "
        f"{first_line(error)}). To continue, {AGAIN}. If the error comes back, check the memory "
        "and the disk of this machine."
    )


def torn(ref: ArrayRef, block: int, error: Torn) -> CorruptChunkError:
    """Return the error for a chunk that emdist's own reader found to be cut off."""
    key, start, why = error.args
    array = ref.reader()
    end = min(start + array.chunks[0], array.shape[0])
    return _corrupt(ref, key, f"rows {start}..{end - 1}, block {block}", f"it is cut off: {why}")


def cut_off(asked: Request, key: str, part: Region, why: object) -> CorruptChunkError:
    """Return the error for a chunk of which emdist's own reader found that it is cut off."""
    where = f"{asked.named(part)}, block {asked.block}"
    return _corrupt(asked.ref, key, where, f"it is cut off: {why}")


def _corrupt(ref: ArrayRef, key: str, rows: str, why: str) -> CorruptChunkError:
    return CorruptChunkError(
        f"Chunk {key!r} of {ref} ({rows}) cannot be decoded: {why}. Write this chunk again from "
        "the original data. Or leave its rows out: set data.corrupt_chunks to 'drop', or delete "
        "the chunk and set data.missing_chunks to 'drop'."
    )


def salvaged(
    asked: Request,
    out: Array,
    is_gap: Callable[[Region], bool],
    missing: str,
    corrupt: str = "drop",
) -> list[Region]:
    """Fill `out` with every chunk that decodes. Return the regions of the others.

    Parameters
    ----------
    asked
        What is read.
    out
        Gets the values; zeros where there are none.
    is_gap
        Whether a region lies in a chunk that was missing when the array was checked.
    missing, corrupt
        The policies of the source. With `missing` "drop", values of gaps are 0, and the gaps are
        returned too.

    Raises
    ------
    Exception
        What `diagnosed` returns for any other failure, and for chunks that do not decode unless
        `corrupt` is "drop".
    """
    ref, lost = asked.ref, list[Region]()
    begin = [part.start for part in asked.region]
    for key, chunk in _chunks(ref.reader(), asked.region):
        part = tuple(
            slice(max(one.start, whole.start), min(one.stop, whole.stop))
            for one, whole in zip(chunk, asked.region, strict=True)
        )
        at = tuple(slice(one.start - n, one.stop - n) for one, n in zip(part, begin, strict=True))
        gap = is_gap(part)
        if gap and missing == "drop":
            out[at] = 0
            lost.append(part)
            continue
        try:
            out[at] = ref.reader(strict=not gap)[part]
        except AbsentChunk:
            where = f"{asked.named(part)}, block {asked.block}"
            raise _vanished(ref, key, where) from None
        except Exception as error:  # codecs raise exceptions of any kind
            # If the process has too little memory, that says nothing about the chunk.
            broken = is_access_failure(error) or isinstance(error, MemoryError)
            if broken or corrupt != "drop":
                raise diagnosed(asked, error) from shown_cause(ref, error)
            if is_defect(error, partial(read_sound_chunk, ref.reader())):
                raise
            out[at] = 0
            lost.append(part)
    return lost


def _vanished(ref: ArrayRef, key: str, rows: str) -> Exception:
    """Return the error for a chunk that is missing now: the array is gone, or only the chunk."""
    try:
        ref.open()
    except Exception as error:  # noqa: BLE001  whatever it is, the array is not there now
        if is_defect(error, open_sound_arrays):
            return error
        return StorageError(
            f"{ref} is no longer there ({type(error).__name__}). Check that its disk is mounted "
            f"and that the path exists on every machine, then {AGAIN}."
        )
    return MissingChunksError(
        f"Chunk {key!r} of {ref} ({rows}) has been deleted since the data was checked. Write it "
        f"again from the original data, then {AGAIN}."
    )


def _chunks(array: zarr.Array[Any], region: Region) -> Iterator[tuple[str, Region]]:
    """Yield ``(key of the object, chunk)`` for every chunk that holds a part of `region`."""
    unit, step = unit_shape(array), array.chunks
    starts = [range(one.start // c * c, one.stop, c) for one, c in zip(region, step, strict=True)]
    for corner in itertools.product(*starts):
        ends = zip(corner, step, array.shape, strict=True)
        chunk = tuple(slice(at, min(at + c, n)) for at, c, n in ends)
        cell = tuple(at // u for at, u in zip(corner, unit, strict=True))
        yield object_key(array, cell), chunk
