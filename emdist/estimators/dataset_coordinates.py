"""Coordinates of xarray objects as Zarr arrays store them, to be copied to labels on their grid."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from emdist.interfaces import Array
from emdist.runtime.extras import need
from emdist.store.grids.coordinates import DescribingArray, encoded_fill
from emdist.store.sources.diagnosis import Region

#: Values in a chunk of a copy, if the coordinate has no chunks of its own.
_CHUNK = 1 << 22


def described_variable(data: Any, name: str) -> DescribingArray | None:
    """Return a variable of an ``xarray.Dataset`` as it would be stored, or None if there is none.

    Times become numbers with units and calendar, as xarray writes them. Lazy values stay lazy.
    """
    if name not in data.variables:
        return None
    xr = need("xarray", "Labels on a grid")
    variable = data.variables[name]
    # A coordinate of a DataArray remembers how it was stored, which is no matter of the copy.

    def encoded(one: Any) -> Any:
        return xr.conventions.encode_cf_variable(one.copy(deep=False), name=name)

    # Numbers are stored alike, whichever part is looked at, and xarray would load all of them. How
    # times are stored follows from all times.
    in_parts = variable.dtype.kind in "biuf" and not variable._in_memory
    stored = encoded(variable[tuple(slice(0, 1) for _ in variable.dims)] if in_parts else variable)
    attributes = {str(key): _plain(value) for key, value in stored.attrs.items()}
    mapping = variable.encoding.get("grid_mapping")
    if mapping is not None:
        attributes.setdefault("grid_mapping", str(mapping))
    if "_FillValue" in attributes:
        attributes["_FillValue"] = encoded_fill(attributes["_FillValue"])

    def read(region: Region) -> Array:
        part = encoded(variable[region]) if in_parts else stored[region]
        return np.asarray(part.values)

    shape = tuple(int(n) for n in variable.shape)
    dims = tuple(str(dim) for dim in variable.dims)
    return DescribingArray(name, dims, shape, _chunks(variable), stored.dtype, attributes, read)


def coordinates_text(data: Any) -> str:
    """Return the names of all coordinates that are no dimensions, as the attribute has them."""
    return " ".join(str(name) for name in data.coords if name not in data.dims)


def _chunks(stored: Any) -> tuple[int, ...]:
    if stored.chunks is not None:
        return tuple(max(sizes) for sizes in stored.chunks)
    shape = [max(1, int(n)) for n in stored.shape]
    if shape:
        shape[0] = max(1, min(shape[0], _CHUNK // math.prod(shape[1:])))
    return tuple(shape)


def _plain(value: Any) -> Any:
    """Return an attribute as JSON can hold it."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value if isinstance(value, str | int | float | bool | type(None)) else str(value)
