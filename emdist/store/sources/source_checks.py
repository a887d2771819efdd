"""Checks of a Zarr array and its sample weights before they become a source."""

from __future__ import annotations

from typing import Any

import zarr

from emdist.errors import MissingChunksError, WeightError
from emdist.interfaces import Floats
from emdist.store.chunks.bounded import check_memory
from emdist.store.chunks.layout import Ranges, missing_rows
from emdist.store.sources.plan import usable_dtype
from emdist.store.sources.references import ArrayRef, open_checked

#: An attribute of arrays that `emdist ingest` writes: false until the last row is written.
COMPLETE = "emdist.complete"


def checked_array(ref: ArrayRef) -> tuple[ArrayRef, zarr.Array[Any]]:
    """Return a reference with the current version of the array, and the open array."""
    array = open_checked(ref)
    attributes = array.metadata.attributes
    if isinstance(attributes, dict) and attributes.get(COMPLETE) is False:
        raise MissingChunksError(
            f"{ref} is incomplete: an `emdist ingest` into it was interrupted or is still "
            "running. Wait for it, or ingest again with --overwrite."
        )
    if array.ndim and 0 not in array.shape:
        check_memory(array)
    return ref.checked(array), array


def checked_weight(
    weight: Floats | ArrayRef | None, rows: int, missing: str
) -> tuple[Floats | ArrayRef | None, Ranges]:
    """Return the sample weights as they will be read, and the rows of their missing chunks."""
    if isinstance(weight, ArrayRef):
        weight, array = checked_array(weight)
        shape = array.shape
        if shape == (rows,) and usable_dtype(array.dtype, f"The weights in {weight}"):
            return weight, gaps_of(weight, array, missing)
    else:
        shape = (rows,) if weight is None else weight.shape
    if shape != (rows,):
        raise WeightError(
            f"Sample weights have shape {tuple(shape)}, expected ({rows},): one for each row."
        )
    return weight, ()


def gaps_of(ref: ArrayRef, array: zarr.Array[Any], missing: str) -> Ranges:
    """Return the rows of missing chunks. Raise MissingChunksError if `missing` is "raise"."""
    # Look inside shards only if the answer matters: each shard costs a request.
    gaps = missing_rows(array, inside=missing != "fill")
    if gaps and missing == "raise":
        rows = sum(stop - start for start, stop in gaps)
        shown = ", ".join(f"{a}..{b - 1}" for a, b in gaps[:5])
        raise MissingChunksError(
            f"{ref}: chunks for {rows} of {array.shape[0]} rows were never written (rows {shown}"
            f"{', ...' if len(gaps) > 5 else ''}). Zarr would read them as the fill value "
            f"{array.fill_value}. Finish writing them, or set data.missing_chunks to 'drop' to "
            "leave these rows out, or set data.missing_chunks to 'fill' to use the fill value: "
            "many writers skip chunks that contain nothing else."
        )
    return gaps
