"""Lazy objects of xarray and Dask as Dask arrays, with the names of their columns.

They are never loaded whole. Classes of other packages are recognised by name, and no other package
is imported.
"""

from __future__ import annotations

from typing import Any

from emdist.errors import DtypeError, ShapeError
from emdist.inputs.foreign import is_a
from emdist.inputs.frames import check_unique, names_in
from emdist.inputs.names import Names, listing

#: Kinds of dtype that are numbers.
_NUMBERS = "biuf"


def is_lazy(x: Any) -> bool:
    """Return whether `x` is an xarray.DataArray over a Dask array, or a Dask data frame."""
    return _is_data_array(x) or is_a(x, "dask", "DataFrame")


def _is_data_array(x: Any) -> bool:
    return is_a(x, "xarray", "DataArray") and x.chunks is not None


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
                "expected two: (rows, features). Stack those that make up the rows, as "
                'X.stack(row=["time", "lat", "lon"]).transpose("row", ...).'
            )
        return x.data, names_in(x)
    names = [str(name) for name in x.columns]
    check_unique(names, "The columns of X")
    texts = [name for name, dtype in x.dtypes.items() if _kind(dtype) not in _NUMBERS]
    if texts:
        raise DtypeError(
            f"X has columns that are no numbers: {listing([str(t) for t in texts])}. Select the "
            "numeric ones, as X.select_dtypes('number'), or encode the others."
        )
    return x.to_dask_array(lengths=True), tuple(names)


def _kind(dtype: Any) -> str:
    """Return NumPy's kind of a dtype of pandas; nullable numbers count as numbers."""
    plain = getattr(dtype, "numpy_dtype", dtype)
    return str(getattr(plain, "kind", "O"))
