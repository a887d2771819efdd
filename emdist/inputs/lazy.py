"""Lazy objects of xarray and Dask as Dask arrays, with the names of their columns.

They are never loaded whole. Classes of other packages are recognised by name, and no other package
is imported.
"""

from __future__ import annotations

import uuid
from typing import Any

import numpy as np

from emdist.errors import DtypeError, ShapeError
from emdist.inputs.arrays import as_array
from emdist.inputs.foreign import is_a
from emdist.inputs.frames import check_unique, names_in
from emdist.inputs.names import Names, listing

#: Kinds of dtype that are numbers.
_NUMBERS = "biuf"


def is_lazy(x: Any) -> bool:
    """Return whether `x` is an xarray.DataArray that is not in memory, or a Dask data frame."""
    return _is_data_array(x) or is_a(x, "dask", "DataFrame")


def _is_data_array(x: Any) -> bool:
    return is_a(x, "xarray", "DataArray") and not (x.chunks is None and x.variable._in_memory)


def opened(x: Any) -> tuple[Any, Names]:
    """Return the Dask array (rows, features) of a lazy object, and the names of its columns.

    The index of a data frame is no feature. The number of rows in each of its partitions is
    computed, which reads its sources once.

    Raises
    ------
    ShapeError
        If a DataArray does not have two dimensions.
    DtypeError
        If columns of a data frame are no numbers.
    FeatureNamesError
        If several columns have the same name.
    """
    if _is_data_array(x):
        if x.ndim != 2:
            raise ShapeError(
                f"X is an xarray.DataArray with the dimensions {', '.join(map(str, x.dims))}; "
                "expected two: (rows, features). Say which of them make up the rows, as "
                'emdist.rows(X, samples=["time", "lat", "lon"]).'
            )
        return in_chunks(x).data, names_in(x)
    names = [str(name) for name in x.columns]
    check_unique(names, "The columns of X")
    texts = [f"{n} ({dtype})" for n, dtype in x.dtypes.items() if _dtype(dtype) is None]
    if texts:
        raise DtypeError(
            f"X has columns that are no numbers: {listing(texts)}. Select the "
            "numeric ones, as X.select_dtypes('number'), or encode the others."
        )
    return _plain(x).to_dask_array(lengths=True), tuple(names)


def in_chunks(x: Any) -> Any:
    """Return a DataArray over a Dask array; what a backend has not loaded yet stays unloaded."""
    if x.chunks is not None:
        return x
    known = x.encoding.get("preferred_chunks") or {}
    # Without a token of our own, xarray hashes the values, and loads all of them for it.
    return x.chunk({dim: known.get(dim, "auto") for dim in x.dims}, token=uuid.uuid4().hex)


def _dtype(dtype: Any) -> np.dtype[Any] | None:
    """Return the dtype of a column of pandas as an array, or None if it holds no numbers.

    Nullable and Arrow columns of whole numbers and booleans may have NA, so they become float64.
    """
    if isinstance(dtype, np.dtype):
        return dtype if dtype.kind in _NUMBERS else None
    kind = str(getattr(dtype, "kind", "O"))
    if kind not in _NUMBERS or str(dtype) == "category":
        return None
    own = getattr(dtype, "numpy_dtype", None)
    return own if kind == "f" and isinstance(own, np.dtype) else np.dtype(np.float64)


def _plain(x: Any) -> Any:
    """Return a Dask data frame whose columns all have one dtype of NumPy."""
    own = [_dtype(dtype) for dtype in x.dtypes]
    common = np.result_type(*(one for one in own if one is not None)) if own else np.dtype(float)
    if all(isinstance(dtype, np.dtype) and dtype == common for dtype in x.dtypes):
        return x
    return x.map_partitions(_converted, common, meta=_converted(x._meta, common))


def _converted(part: Any, dtype: np.dtype[Any]) -> Any:
    """Return a partition, a pandas data frame, with values of `dtype`; NA becomes NaN."""
    values = as_array(part, "X", DtypeError, lists=True).astype(dtype, copy=False)
    return type(part)(values, columns=part.columns, index=part.index)
