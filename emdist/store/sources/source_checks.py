"""What must hold of a Zarr array, and of its weights, before they become a source."""

from __future__ import annotations

from typing import Any

import zarr

from emdist.errors import MissingChunksError, WeightError
from emdist.interfaces import Floats
from emdist.store.chunks.bounded import check_memory
from emdist.store.chunks.layout import Ranges, missing_rows
from emdist.store.sources.plan import usable_dtype
from emdist.store.sources.references import ArrayRef, open_checked

#: An attribute of arrays that ingest writes: false until the last row is there.
COMPLETE = "emdist.complete"


def checked_array(ref: ArrayRef) -> tuple[ArrayRef, zarr.Array[Any]]:
    """The open array and a reference that holds it to what it is now."""
    array = open_checked(ref)
    attributes = array.metadata.attributes
    if isinstance(attributes, dict) and attributes.get(COMPLETE) is False:
        raise MissingChunksError(
            f"{ref} was not written to its end: an `emdist ingest` into it was cut off or is "
            "still at work. Wait for it, or ingest again with --overwrite."
        )
    if array.ndim and 0 not in array.shape:
        check_memory(array)
    return ref.checked(array), array


def checked_weight(
    weight: Floats | ArrayRef | None, rows: int, missing: str
) -> tuple[Floats | ArrayRef | None, Ranges]:
    """Weights as they will be read, and the rows for which they were never written."""
    if isinstance(weight, ArrayRef):
        weight, array = checked_array(weight)
        shape = array.shape
        if shape == (rows,) and usable_dtype(array.dtype, f"The weights in {weight}"):
            return weight, gaps_of(weight, array, missing)
    else:
        shape = (rows,) if weight is None else weight.shape
    if shape != (rows,):
        raise WeightError(
            f"Sample weights have shape {tuple(shape)}; wanted ({rows},), one for each row."
        )
    return weight, ()


def gaps_of(ref: ArrayRef, array: zarr.Array[Any], missing: str) -> Ranges:
    """Rows whose chunks were never written; MissingChunksError if the policy is to raise."""
    # Inside of shards only where it matters: each costs a request.
    gaps = missing_rows(array, inside=missing != "fill")
    if gaps and missing == "raise":
        rows = sum(stop - start for start, stop in gaps)
        shown = ", ".join(f"{a}..{b - 1}" for a, b in gaps[:5])
        raise MissingChunksError(
            f"{ref}: chunks for {rows} of {array.shape[0]} rows were never written (rows {shown}"
            f"{', ...' if len(gaps) > 5 else ''}); Zarr would read them as the fill value "
            f"{array.fill_value}. Finish writing them, or set data.missing_chunks to 'drop' to "
            "leave these rows out, or set data.missing_chunks to 'fill' if the fill value is "
            "meant: many writers leave out chunks that hold nothing else."
        )
    return gaps
