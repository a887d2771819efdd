"""Values of coordinates that are stored as Zarr arrays, decoded as xarray does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import zarr

from emdist.interfaces import Array
from emdist.store.sources.cf import packing
from emdist.store.sources.references import ArrayRef

#: Coordinates longer than this are not read: a selection or a name by position is meant then.
_LONGEST = 1 << 24


def array_beside(ref: ArrayRef, name: str) -> zarr.Array[Any] | None:
    """Return the array `name` of the group that holds the array `ref`, or None.

    An array that is the root of its store may lie in the folder of a group.
    """
    try:
        around = ref.above()
        if not ref.path:
            if ref.location is None or ref.location.parent == ref.location:
                return None
            around = ArrayRef(ref.location.parent)
            around.open_group()  # Other folders may have arrays of that name.
        return around.below(name).open()
    except Exception:  # noqa: BLE001  stores raise anything; then there is no such array
        return None


def coordinate_values(array: zarr.Array[Any], dim: str) -> Array | None:
    """Return the values of `array`, the coordinate of dimension `dim`.

    Packed numbers, and numbers that are times by their attributes, are decoded. None if the array
    has not one dimension, or too many values.
    """
    if array.ndim != 1 or array.shape[0] > _LONGEST:
        return None
    values = np.asarray(array[:])
    how = packing(array, dim) if array.dtype.kind in "iuf" else None
    return _times(values if how is None else how.decode(values), dict(array.attrs))


def _times(values: Array, attrs: Mapping[str, Any]) -> Array:
    """Return times and differences of time as xarray decodes them, if it is installed.

    Dates of the usual calendars become datetime64, others objects of cftime.
    """
    units = attrs.get("units")
    lengths = str(attrs.get("dtype", "")).startswith("timedelta64")
    if not isinstance(units, str) or not (" since " in units or lengths):
        return values
    try:
        import xarray as xr
    except ImportError:
        return values
    kept = {name: attrs[name] for name in ("units", "calendar", "dtype") if name in attrs}
    coded = xr.Dataset({"time": ("time", values, kept)})
    try:
        decoded: Array = xr.decode_cf(coded)["time"].values
    except (ValueError, TypeError, OverflowError):  # no date, or cftime is not installed
        return values
    return decoded
