"""What a Zarr array or a group of labels is, in words and numbers, without reading data."""

from __future__ import annotations

from typing import Any

import numpy as np
import zarr

from emdist.errors import DtypeError
from emdist.store.chunks import chunk_keys, unit_rows
from emdist.store.labels import label_mark
from emdist.store.location import Location, open_zarr_store
from emdist.store.plan import block_bounds, usable_dtype
from emdist.store.references import ArrayRef, open_checked


def describe_array(ref: ArrayRef) -> dict[str, Any]:
    """Shape, storage and block plan of an array; errors as `zarr_source`."""
    array = open_checked(ref)
    unit = array.shards or array.chunks
    wanted = int(np.prod([-(-n // c) for n, c in zip(array.shape, unit, strict=True)]))
    found: dict[str, Any] = {
        "kind": "array",
        "array": str(ref),
        "shape": list(array.shape),
        "dtype": str(array.dtype),
        "bytes_decoded": int(np.prod(array.shape)) * array.dtype.itemsize,
        "chunks": list(array.chunks),
        "shards": None if array.shards is None else list(array.shards),
        "codecs": [type(codec).__name__ for codec in array.compressors],
        "objects_stored": len(chunk_keys(array)),
        "objects_wanted": wanted,
        "dimensions": list(getattr(array.metadata, "dimension_names", None) or []),
    }
    try:
        usable = usable_dtype(array.dtype, str(ref))
    except DtypeError as error:
        found["cannot_be_clustered"] = str(error)
        return found
    if array.ndim != 2:
        found["cannot_be_clustered"] = f"{array.ndim} dimension(s); wanted 2, (rows, features)"
        return found
    row_bytes = array.shape[1] * usable.itemsize
    bounds = block_bounds(array.shape[0], row_bytes, unit_rows(array), None)
    found["blocks"] = len(bounds) - 1
    found["block_bytes"] = (bounds[1] - bounds[0]) * row_bytes
    return found


def describe_labels(location: Location) -> dict[str, Any] | None:
    """Outputs and progress of a group of labels; None if it is no such group."""
    mark = label_mark(location)
    if mark is None:
        return None
    group = zarr.open_group(open_zarr_store(location, read_only=True), mode="r")
    progress = np.asarray(dict(group.arrays())["progress"])
    done = np.isfinite(progress[:, 0])
    found = {
        "kind": "labels",
        "labels": str(location),
        "outputs": mark.get("outputs"),
        "blocks_done": int(done.sum()),
        "blocks": len(progress),
    }
    if "noise" in mark:
        found["noise"] = {"label": mark["noise"], "rows": float(progress[done, -1].sum())}
        found["left_out"] = {"label": mark["left_out"]}
    return found
