"""Frames of polars: the dtype that holds all columns, and the rows in batches.

Polars is never imported: its objects have all that is needed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from emdist.errors import ConfigError, DataError, DtypeError, EmdistError
from emdist.inputs.arrays import as_array
from emdist.inputs.names import listing
from emdist.interfaces import Array

#: Bytes of rows that a query computes at a time.
_BATCH = 8 << 20


def dtype_of(frame: Any, nulls: Sequence[bool]) -> np.dtype[Any]:
    """Return the narrowest dtype that holds all columns of a polars.DataFrame.

    `nulls` says which columns have nulls, which become NaN. Only the schema of `frame` is used.

    Raises
    ------
    DtypeError
        If columns are no numbers. The message names them.
    """
    texts = [
        f"{name} ({dtype})"
        for name, dtype in frame.schema.items()
        if not dtype.is_numeric() and str(dtype) not in ("Boolean", "Null")
    ]
    if texts:
        raise DtypeError(
            f"X has columns that are no numbers: {listing(texts)}. Leave them out, as "
            "X.select(polars.selectors.numeric()), or encode their values as numbers."
        )
    found = []
    for name, some in zip(frame.columns, nulls, strict=True):
        try:
            dtype = frame[name].clear(1 if some else 0).to_numpy().dtype
        except Exception as error:  # noqa: BLE001  polars has no NumPy dtype for 128 bits
            raise DtypeError(
                f"X has a column {name!r} that NumPy cannot hold ({error!s:.100}). Cast it, as "
                f"X.with_columns(polars.col({name!r}).cast(polars.Float64))."
            ) from None
        found.append(np.dtype(np.float64) if dtype.kind == "O" else dtype)
    return np.result_type(*found) if found else np.dtype(np.float64)


def rows_of(frame: Any, dtype: np.dtype[Any]) -> Array:
    """Return a polars.DataFrame, or a part of one, as an array (m, d) of `dtype`."""
    return as_array(frame, "X", DtypeError, lists=True).astype(dtype, copy=False)


def schema_of(query: Any) -> tuple[Any, np.dtype[Any]]:
    """Return an empty frame with the columns of a LazyFrame, and the dtype that holds its rows.

    If columns of whole numbers or booleans may have nulls, this counts them, which computes the
    query once.
    """
    with computing():
        empty = query.clear().collect()
    plain = dtype_of(empty, [False] * empty.width)
    whole = [name for name, dtype in empty.schema.items() if not dtype.is_float()]
    if not whole:
        return empty, plain
    with computing():
        counts = query.select(whole).null_count().collect(engine="streaming").row(0, named=True)
    return empty, dtype_of(empty, [bool(counts.get(name)) for name in empty.columns])


def batches(query: Any, dtype: np.dtype[Any], width: int) -> Iterator[Array]:
    """Compute a LazyFrame once, and yield its rows in order, as arrays (m, d) of `dtype`.

    Polars computes in batches, and keeps in memory what the query itself needs.

    Raises
    ------
    ConfigError
        If this polars cannot stream the rows of a query.
    DataError
        If the query fails, or yields nulls that it did not yield before.
    """
    if not hasattr(query, "collect_batches"):
        raise ConfigError(
            "X is a polars.LazyFrame, whose rows this version of polars cannot stream. Install "
            'polars 1.34 or later, or write it by X.sink_parquet("x.parquet") and run '
            "`emdist ingest x.parquet x.zarr`."
        )
    rows = max(1, _BATCH // max(1, width * dtype.itemsize))
    with computing():
        for frame in query.collect_batches(
            chunk_size=rows, maintain_order=True, engine="streaming"
        ):
            if dtype.kind in "biu" and any(frame.null_count().row(0)):
                raise DataError(
                    "X is a polars.LazyFrame that has nulls now and had none a moment ago. Wait "
                    "until its files are complete, then fit again."
                )
            yield rows_of(frame, dtype)


def names_of_query(query: Any) -> list[str]:
    """Return the names of the columns of a LazyFrame. DataError if the query is wrong."""
    with computing():
        return list(query.collect_schema().names())


@contextmanager
def computing() -> Iterator[None]:
    """Turn what polars raises for a query into a DataError."""
    try:
        yield
    except EmdistError:
        raise
    except Exception as error:  # polars raises exceptions of many classes
        known = type(error).__module__.partition(".")[0] == "polars"
        if not known and not isinstance(error, OSError):
            raise
        raise DataError(f"The polars query X failed: {error!s:.300}") from error
