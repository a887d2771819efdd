"""Coordinates of xarray objects as Zarr arrays store them, to be copied to labels on their grid."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from emdist import store
from emdist.estimators.xarray_forms import plain
from emdist.interfaces import Array
from emdist.runtime.extras import need

if TYPE_CHECKING:
    from emdist.store.grids.coordinates import Coordinates, DescribingArray
    from emdist.store.sources.diagnosis import Region

#: Values in a chunk of a copy, if the coordinate has no chunks of its own.
_CHUNK = 1 << 22


def described_variable(data: Any, name: str) -> DescribingArray | None:
    """Return a variable of an ``xarray.Dataset`` as it would be stored, or None if there is none.

    Times become numbers with units and calendar, as xarray writes them. Lazy values stay lazy. An
    index of several levels is none: its levels are coordinates. What cannot be stored is an array
    that cannot be read.
    """
    if name not in data.variables:
        return None
    xr = need("xarray", "Labels on a grid")
    variable = data.variables[name]
    if name in data.indexes and data.indexes[name].nlevels > 1:
        if name in data.dims:
            return None
        variable = xr.Variable(variable.dims, variable.values, variable.attrs)
    numbers = variable.dtype.kind in "biuf"

    def encoded(one: Any) -> Any:
        one = one.copy(deep=False)
        if numbers:
            # xarray remembers how a file packed them, which may not suit the present values.
            one.encoding = {}
        return xr.conventions.encode_cf_variable(one, name=name)

    # Numbers are stored alike, whichever part is looked at, and xarray would load all of them. How
    # times are stored follows from all times.
    try:
        looked_at = variable[tuple(slice(0, 1) for _ in variable.dims)] if numbers else variable
        stored = encoded(looked_at)
    except Exception as error:  # noqa: BLE001  objects of any kind may be there
        return _unreadable(name, variable, error)
    attributes = {str(key): plain(value) for key, value in stored.attrs.items()}
    mapping = variable.encoding.get("grid_mapping")
    if mapping is not None:
        attributes.setdefault("grid_mapping", str(mapping))
    if "_FillValue" in attributes:
        attributes["_FillValue"] = store.grids.coordinates.encoded_fill(attributes["_FillValue"])

    def read(region: Region) -> Array:
        part = encoded(variable[region]) if numbers else stored[region]
        return np.asarray(part.values)

    shape = tuple(int(n) for n in variable.shape)
    dims = tuple(str(dim) for dim in variable.dims)
    return store.grids.coordinates.DescribingArray(
        name, dims, shape, _chunks(variable), stored.dtype, attributes, read
    )


def _unreadable(name: str, variable: Any, error: Exception) -> DescribingArray:
    """Return a variable that xarray cannot store, as an array that `error` keeps from reading."""

    def read(region: Region) -> Array:
        raise error

    shape = tuple(int(n) for n in variable.shape)
    dims = tuple(str(dim) for dim in variable.dims)
    return store.grids.coordinates.DescribingArray(
        name, dims, shape, _chunks(variable), np.dtype(object), {}, read
    )


def decoded_coordinates(coordinates: Coordinates) -> dict[str, Any]:
    """Return the coordinates of a grid as variables of xarray, decoded, by name.

    Those that cannot be read are left out, and those that cannot be decoded stay as they are
    stored, both with a warning. Bounds of cells are no coordinates.
    """
    xr = need("xarray", "The result on the grid of the samples")
    found: dict[str, Any] = {}
    for one in coordinates.arrays:
        if one.dims != (one.name,) and one.name not in coordinates.auxiliary:
            continue
        try:
            values = one.read(tuple(slice(0, n) for n in one.shape))
        except Exception as error:  # noqa: BLE001  codecs and stores raise exceptions of any kind
            _warn(store.grids.coordinates.told_unreadable({one.name: _why(error)}))
            continue
        stored = xr.Variable(one.dims, values, dict(one.attributes))
        try:
            attributes = dict(one.attributes)
            if "_FillValue" in attributes:
                attributes["_FillValue"] = store.grids.coordinates.decoded_fill(
                    attributes["_FillValue"], one.dtype
                )
            coded = xr.Variable(one.dims, values, attributes)
            # One-byte texts along a dimension are texts, and not the characters of one.
            decode = xr.conventions.decode_cf_variable
            found[one.name] = decode(one.name, coded, stack_char_dim=False).load()
        except Exception as error:  # noqa: BLE001  xarray raises exceptions of any kind
            found[one.name] = stored
            _warn(
                f"The coordinate {one.name} has the values that are stored, because xarray cannot "
                f"decode it ({_why(error)})."
            )
    return found


def _why(error: Exception) -> str:
    return f"{type(error).__name__}: {store.places.faults.first_line(error)}"


def _warn(message: str) -> None:
    warnings.warn(message, RuntimeWarning, stacklevel=6)


def _chunks(stored: Any) -> tuple[int, ...]:
    if stored.chunks is not None:
        return tuple(max(sizes) for sizes in stored.chunks)
    shape = [max(1, int(n)) for n in stored.shape]
    if shape:
        shape[0] = max(1, min(shape[0], _CHUNK // math.prod(shape[1:])))
    return tuple(shape)
