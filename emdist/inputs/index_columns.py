"""Index columns of pandas and Dask: columns of bookkeeping that are no features.

Some names are certain, because only a program gives them. Others are only likely, such as "index",
which may as well be a quantity: these stay features, with a warning.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from typing import Any

from emdist.inputs.foreign import is_a
from emdist.inputs.polars_frames import names_of_query

#: The names that pandas and dask give to an index without a name when they write Parquet.
_STORED = re.compile(r"__index_level_\d+__|__null_dask_index__")
#: The names of the first column of a CSV file where pandas or R wrote row names.
ROW_NAMES = ("", "Unnamed: 0")
#: The names that `reset_index` of pandas gives to an index without a name.
_LIKELY = ("index", "level_0")


def is_stored_index(name: object) -> bool:
    """Return whether `name` is one that only pandas or dask gives, to an index in Parquet."""
    return isinstance(name, str) and _STORED.fullmatch(name) is not None


def index_columns(names: Sequence[Any]) -> list[Any]:
    """Return those of the column `names` that are certainly an index.

    Row names of a CSV file are its first column. The only column of a frame is a feature.
    """
    if len(names) < 2:
        return []
    found = [name for name in names if is_stored_index(name)]
    return [names[0], *found] if names[0] in ROW_NAMES else found


def without_index(x: Any, name: str = "X") -> Any:
    """Return the frame `x`, which the user calls `name`, without columns that are an index.

    Each such column is named in a UserWarning that says how to keep it. A column that only may be
    an index stays, with a warning too. Anything that is no data frame is returned as it is.
    """
    if not _is_frame(x):
        return x
    names = names_of_query(x) if is_a(x, "polars", "LazyFrame") else _names(x)
    left = index_columns(names)
    if left:
        shown = ", ".join(repr(one) for one in left)
        _warn(
            f"emdist left out the column {shown} of {name}: an index that pandas or dask wrote, "
            f"not a feature. To cluster it as a feature, rename it; to avoid this warning, drop it."
        )
        x = _select(x, [one for one in names if one not in left])
    likely = [one for one in names[:1] if one in _LIKELY and len(names) > 1 and _whole(x, one)]
    if likely:
        _warn(
            f"The first column of {name} is {likely[0]!r}, as reset_index() of pandas names an "
            "index. emdist clusters it as a feature. If it numbers the rows, drop it; if it is a "
            "quantity, rename it to avoid this warning."
        )
    return x


def _warn(text: str) -> None:
    warnings.warn(text, UserWarning, stacklevel=6)


def _is_frame(x: Any) -> bool:
    return (
        is_a(x, "pandas", "DataFrame")
        or is_a(x, "polars", "DataFrame", "LazyFrame")
        or is_a(x, "dask", "DataFrame")
        or is_a(x, "pyarrow", "Table", "RecordBatch")
    )


def _names(x: Any) -> list[Any]:
    return list(x.column_names if is_a(x, "pyarrow", "Table", "RecordBatch") else x.columns)


def _select(x: Any, names: list[Any]) -> Any:
    """Return the frame `x` with only these columns."""
    if is_a(x, "pandas", "DataFrame") or is_a(x, "dask", "DataFrame"):
        return x[names]
    return x.select(names)


def _whole(x: Any, name: Any) -> bool:
    """Return whether a column holds whole numbers: 0, 1, 2, ... where that is known at once."""
    if is_a(x, "pandas", "DataFrame"):
        column = x.iloc[:, list(x.columns).index(name)]
        return bool(getattr(column.dtype, "kind", "") in "iu" and _counts(column))
    if is_a(x, "polars", "DataFrame"):
        return bool(x[name].dtype.is_integer() and _counts(x[name]))
    if is_a(x, "polars", "LazyFrame"):
        return bool(x.collect_schema()[name].is_integer())
    if is_a(x, "dask", "DataFrame"):
        return getattr(x.dtypes[name], "kind", "") in "iu"
    return str(x.schema.field(name).type).lstrip("u").startswith("int")


def _counts(column: Any) -> bool:
    """Return whether the values of a column count the rows from 0."""
    n = len(column)
    if n == 0 or int(column.isna().sum() if hasattr(column, "isna") else column.null_count()):
        return False
    values = column.to_numpy()
    return bool(values[0] == 0 and values[-1] == n - 1 and (values[1:] - values[:-1] == 1).all())
