"""Feature names of a stored Zarr array, written by `emdist ingest` or as an xarray coordinate."""

from __future__ import annotations

import logging
from typing import Any

import zarr

from emdist.inputs.names import Names, coordinate_names
from emdist.store.sources.coordinate_values import array_beside, coordinate_values
from emdist.store.sources.references import ArrayRef

logger = logging.getLogger(__name__)

#: The attribute in which `emdist ingest` stores feature names: a list of d strings.
FEATURE_NAMES = "feature_names"

#: Names of more features than this are not read: each takes about a hundred bytes.
_MOST = 1 << 18


def stored_names(array: zarr.Array[Any], ref: ArrayRef) -> Names:
    """Return the names of the columns of a 2-D array, or None if no readable names are stored.

    `ref` is the reference of `array`.
    """
    if array.ndim != 2 or array.shape[1] > _MOST:
        return None
    listed = array.attrs.get(FEATURE_NAMES)
    if isinstance(listed, list) and len(listed) == array.shape[1]:
        texts = tuple(name for name in listed if isinstance(name, str))
        if len(texts) == len(listed):
            return texts
    if listed is not None:
        # Another tool may have written it, or the array was resized since. So warn, and raise
        # nothing.
        held = f"{len(listed)} entries" if isinstance(listed, list) else type(listed).__name__
        logger.warning(
            "the attribute %s of %s is not a list of %d texts, one for each feature (%s); emdist "
            "ignores it and does not check the order of the features",
            FEATURE_NAMES, array.path or array.store, array.shape[1], held,
        )  # fmt: skip
    return _coordinate(array, ref)


def _coordinate(array: zarr.Array[Any], ref: ArrayRef) -> Names:
    """Return the values of the 1-D array beside `array` that is named as its second dimension."""
    dims = getattr(array.metadata, "dimension_names", None)
    # Zarr format 2 has no metadata field for them.
    dims = dims or array.attrs.get("_ARRAY_DIMENSIONS")
    if not isinstance(dims, list | tuple) or len(dims) != 2:
        return None
    dim = dims[1]
    beside = array_beside(ref, dim) if isinstance(dim, str) and dim else None
    try:
        if beside is None or beside.shape != (array.shape[1],):
            return None
        values = coordinate_values(beside, str(dim))
    except Exception:  # noqa: BLE001  stores raise anything; then there are no names
        return None
    return None if values is None else coordinate_names(str(dim), values)
