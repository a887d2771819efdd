"""Objects of xarray in the form that emdist reads: names are texts, values are arrays."""

from __future__ import annotations

import uuid
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from emdist import store
from emdist.errors import ConfigError, DtypeError
from emdist.inputs.foreign import is_a
from emdist.interfaces import Array
from emdist.runtime.extras import need

if TYPE_CHECKING:
    from emdist.store.sources.cf import Packing

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
    decoded = decoded_variable(array.variable, name_of(array))
    if decoded is array.variable:
        return array
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


def _decoded(data: Any) -> Any:
    """Return a Dataset decoded as far as its attributes are right.

    Others matter only if the variable is used: `decoded_variable` refuses them then.
    """
    found = {}
    for name, variable in data.variables.items():
        with suppress(DtypeError):
            decoded = decoded_variable(variable, str(name))
            if decoded is not variable:
                found[name] = decoded
    known = {name: one for name, one in found.items() if name in data.coords}
    rest = {name: one for name, one in found.items() if name not in data.coords}
    return data.assign_coords(known).assign(rest) if found else data


def decoded_variable(variable: Any, name: str) -> Any:
    """Return a variable decoded as its path would be; what is lazy stays lazy.

    Raises
    ------
    DtypeError
        If an attribute is not what the conventions allow.
    """
    how = _packing(variable, name)
    if how is None:
        return variable
    if variable.chunks is None and not variable._in_memory:
        known = variable.encoding.get("preferred_chunks") or {}
        # Without a name of our own, Dask hashes the values, and loads all of them for it.
        chunks = {dim: known.get(dim, "auto") for dim in variable.dims}
        variable = variable.chunk(chunks, name=f"stored-{uuid.uuid4().hex}")
    if variable.chunks is None:
        data = how.decode(np.asarray(variable.values))
    else:
        data = variable.data.map_blocks(how.decode, dtype=np.dtype(how.dtype))
    attrs, encoding = (
        {
            key: value
            for key, value in one.items()
            if key not in (*store.sources.cf.ATTRIBUTES, "dtype")
        }
        for one in (variable.attrs, variable.encoding)
    )
    xr = need("xarray", "Decoding of an xarray object")
    return xr.Variable(variable.dims, data, attrs, encoding)


def _packing(variable: Any, name: str) -> Packing | None:
    """Return how a variable is to be decoded, or None if its numbers are the values."""
    dtype = variable.dtype
    if getattr(dtype, "kind", "O") not in "iuf":
        return None
    attrs = {
        key: plain(variable.attrs[key])
        for key in store.sources.cf.ATTRIBUTES
        if key in variable.attrs
    }
    return store.sources.cf.packing_by(attrs, dtype, name) if attrs else _rest(variable, dtype)


def _rest(variable: Any, dtype: np.dtype[Any]) -> Packing | None:
    """Return how to decode what xarray has left: fill values that the stored floats round.

    It compares float32 numbers with 1e20 in float64, in which none of them is equal to it.
    """
    known = variable.encoding
    if dtype.kind != "f" or "scale_factor" in known or "add_offset" in known:
        return None
    stored = known.get("dtype")
    if not isinstance(stored, np.dtype) or stored != dtype:
        return None
    fills = {key: plain(known[key]) for key in store.sources.cf.FILLS if known.get(key) is not None}
    try:
        how = store.sources.cf.packing_by(fills, dtype, "")
    except DtypeError:
        return None
    exact = how is None or all(float(dtype.type(number)) == number for number in how.missing)
    return None if exact else how


def plain(value: Any) -> Any:
    """Return an attribute as JSON can hold it."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return value if isinstance(value, str | int | float | bool | type(None)) else str(value)
