"""Groups and datasets that are no arrays: what makes up their rows, as advice that works."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from emdist.inputs.quoting import named

#: Names of dimensions that usually make up the features: profiles and spectra.
_LEVELS = frozenset(("depth", "level", "lev", "z", "plev", "pressure", "altitude", "band", "bands",
                     "wavelength"))  # fmt: skip
#: How many variables the advice names.
_FEW = 5


def group(value: Any, name: str) -> str:
    """Return why a zarr.Group is refused as the array `name`, and what to pass."""
    encoding = str(value.attrs.get("encoding-type", ""))
    if encoding in ("csr_matrix", "csc_matrix"):
        return (
            f"{name} is a zarr.Group that holds a sparse matrix in AnnData's encoding ({encoding}),"
            f" which is not supported. Pass anndata.io.sparse_dataset({name}).to_memory().toarray()"
            " if it fits in memory, or a dense array of the same cells, such as one of obsm."
        )
    try:
        found = [path for path, at in value.members(max_depth=3) if hasattr(at, "shape")]
    except Exception:  # noqa: BLE001  a failed listing only leaves out the names
        found = []
    if not found:
        return f"{name} is a zarr.Group without arrays; pass a zarr.Array (rows, features)."
    flat = next((path for path in sorted(found) if value[path].ndim == 2), None)
    one = "" if flat is None else f"Pass one of its arrays, as {name}['{flat}']. Or say "
    dims = {path: own for path in sorted(found) if (own := _dims(value[path]))}
    example = _example(dims, name) if dims else f"emdist.rows({name}, [...], samples=[...])"
    return (
        f"{name} is a zarr.Group with {named(sorted(found))}. {one or 'Say '}which variables and "
        f"dimensions make up rows and features, as {example}."
    )


def _dims(array: Any) -> tuple[str, ...]:
    """Return the names of the dimensions of a Zarr array of numbers; none if they have no names."""
    if array.dtype.kind not in "biuf":
        return ()
    names = getattr(array.metadata, "dimension_names", None)
    names = names or array.attrs.get("_ARRAY_DIMENSIONS") or ()
    return tuple(map(str, names)) if all(names) else ()


def dataset(value: Any, name: str) -> str:
    """Return why an xarray.Dataset is refused as the array `name`, and what to pass."""
    holds = named(str(one) for one in value.data_vars) or "no variables"
    dims = {
        str(key): tuple(map(str, one.dims))
        for key, one in value.data_vars.items()
        if one.dtype.kind in "biuf"
    }
    return (
        f"{name} is an xarray.Dataset with {holds}. Say which variables and dimensions make up "
        f"rows and features, such as {_example(dims, name)}."
    )


def _example(dims: Mapping[str, tuple[str, ...]], name: str) -> str:
    """Return the call of `emdist.rows` for variables with these dimensions that is most likely.

    The variables with most dimensions have the data, and others describe them.
    """
    most = max(dims.values(), key=len, default=())
    if not most:
        return f"emdist.rows({name}, ...)"
    names = [key for key, own in dims.items() if own == most][:_FEW]
    levels = [dim for dim in most if dim.lower() in _LEVELS]
    if levels and len(most) > 1:
        said = f", features=['{levels[0]}']"
    elif len(names) > 1:
        said = ""  # Each point of the grid is a row.
    else:
        said = f", samples=['{most[0]}']"
    return f"emdist.rows({name}, {names}{said})"
