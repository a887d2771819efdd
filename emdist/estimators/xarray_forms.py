"""Objects of xarray in the form that emdist reads: names are texts, values are arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from emdist.errors import ConfigError
from emdist.inputs.foreign import is_a
from emdist.interfaces import Array
from emdist.runtime.extras import need
from emdist.store.sources.cf import ATTRIBUTES

#: The name of a DataArray without a name of its own.
UNNAMED = "X"


def name_of(array: Any) -> str:
    """Return the name of a DataArray, by which it is a variable beside its coordinates."""
    own = array.name is not None and array.name != "" and array.name not in array.coords
    return str(array.name) if own else UNNAMED


def as_dataset(data: Any, decode: str = "cf") -> Any:
    """Return an ``xarray.Dataset`` or a DataArray as a Dataset that emdist can read.

    Names are texts. Coordinates and numbers that pandas holds become values of NumPy, and NA
    becomes NaN. Lazy values stay lazy.

    Parameters
    ----------
    data
        The object.
    decode
        "cf" to decode variables that still have the attributes of packed numbers and fill values,
        as they have after ``open_zarr(..., mask_and_scale=False)``; "none" to leave them.

    Raises
    ------
    ConfigError
        If two names are the same as texts.
    """
    found = data.to_dataset(name=name_of(data)) if is_a(data, "xarray", "DataArray") else data
    found = _named_by_texts(found)
    for name, variable in found.variables.items():
        is_index = name in found.xindexes and len(found.xindexes.get_all_coords(name)) > 1
        if isinstance(variable.dtype, np.dtype) or is_index:
            continue
        values = _of_pandas(variable.data, name in found.coords)
        if values is not None:
            found = found.assign_coords if name in found.coords else found.assign
            found = found({name: (variable.dims, values, variable.attrs)})
    return _decoded(found) if decode == "cf" else found


def decoded_array(array: Any) -> Any:
    """Return a DataArray, decoded if it still has the attributes of packed numbers."""
    if not _is_packed(array.variable):
        return array
    decoded = _decoded_variable(array.variable)
    found = array.copy(data=decoded.data)
    found.attrs = dict(decoded.attrs)
    return found


def _named_by_texts(data: Any) -> Any:
    names = [*dict.fromkeys((*data.variables, *data.dims))]
    texts = {name: str(name) for name in names if not isinstance(name, str)}
    if not texts:
        return data
    if len({str(name) for name in names}) < len(names):
        raise ConfigError(
            f"Two variables or dimensions of the xarray object have the same name as texts: "
            f"{', '.join(map(repr, names))}. Rename them."
        )
    return data.rename(texts)


def _of_pandas(values: Any, is_coordinate: bool) -> Array | None:
    """Return values of an extension dtype of pandas as an array, or None to leave them."""
    kind = str(getattr(values.dtype, "kind", "O"))
    if str(values.dtype) != "category" and kind in "biuf":
        own = getattr(values.dtype, "numpy_dtype", np.dtype(np.float64))
        missing = bool(values.isna().any())
        if missing:
            own = own if own.kind == "f" else np.dtype(np.float64)
        found: Array = values.to_numpy(dtype=own, **({"na_value": np.nan} if missing else {}))
        return found
    if not is_coordinate:
        return None
    if str(values.dtype) == "category":
        return np.asarray(values)
    if getattr(values.dtype, "tz", None) is not None:
        return np.asarray(values.tz_convert("UTC").tz_localize(None))
    return np.array([str(one) for one in values], object)


def _is_packed(variable: Any) -> bool:
    kind = getattr(variable.dtype, "kind", "O")
    return kind in "iuf" and not set(ATTRIBUTES).isdisjoint(variable.attrs)


def _decoded(data: Any) -> Any:
    packed = {
        name: _decoded_variable(variable)
        for name, variable in data.variables.items()
        if _is_packed(variable)
    }
    known = {name: one for name, one in packed.items() if name in data.coords}
    rest = {name: one for name, one in packed.items() if name not in data.coords}
    return data.assign_coords(known).assign(rest) if packed else data


def _decoded_variable(variable: Any) -> Any:
    """Return a variable decoded as xarray decodes it; what is in memory stays there."""
    xr = need("xarray", "Decoding of an xarray object")
    own = variable.copy(deep=False)  # xarray takes attributes away from what it decodes
    found = xr.conventions.decode_cf_variable(
        "x", own, concat_characters=False, decode_times=False, decode_timedelta=False
    )
    return found.load() if variable._in_memory else found
