"""Array parameters: converts what users pass to NumPy arrays, or says what it is instead.

Every array parameter of every estimator and function goes through `as_array`. So masks are never
dropped, NA of nullable and Arrow columns becomes NaN everywhere, and text is never a number.
Classes of other packages are recognised by name, and no other package is imported.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from emdist.errors import ConfigError, DtypeError, EmdistError
from emdist.inputs.foreign import is_a, refusal
from emdist.inputs.quoting import shown
from emdist.interfaces import Array

#: The advice for an array with masked values, if there is none better.
_FILL = "Fill them with numbers: {name}.filled(value)."
#: Element types that NumPy converts by itself when they are in a list.
_PLAIN = frozenset({float, int, bool, np.float64, np.float32, np.int64, str, complex, bytes})

#: What arrays hold whose dtype is no real number, by the kind of dtype.
_KINDS = {
    "U": "text",
    "S": "text",
    "T": "text",
    "M": "dates",
    "m": "durations",
    "c": "complex numbers",
}


class _Unusable(ValueError):  # noqa: N818  a signal inside this module
    """Why a value is no array of numbers: a sentence that continues after the value's name."""


def as_array(
    value: Any,
    name: str,
    error: type[EmdistError] = DtypeError,
    masked: str = _FILL,
    lists: bool = False,
) -> Array:
    """Return `value` as a NumPy array of numbers.

    NA, None and nulls of Arrow, pandas and polars become NaN, and the caller's policy for NaN
    applies to them. An array keeps its dtype and its memory layout.

    Parameters
    ----------
    value
        An array, list, data frame, or anything else that NumPy can convert.
    name
        The user's name for the value, for the error message.
    error
        The class of error to raise for a value without numbers: DtypeError, StartError,
        WeightError, ...
    masked
        Advice about masked values, as a sentence. ``{name}`` stands for the name.
    lists
        Whether lists of matrices are refused with a message about lists: for X, where a user may
        mean their rows.

    Raises
    ------
    EmdistError
        Of the class `error`.
    """
    if (why := refusal(value, name, lists)) is not None:
        raise error(why)
    what = "a matrix of numbers" if lists else "an array of real numbers"
    try:
        found = _converted(value)
        if found.dtype.names is not None:
            raise _Unusable(
                "is a structured array; expected real numbers. Pass "
                f"numpy.lib.recfunctions.structured_to_unstructured({name})"
            )
        return _without_objects(found) if found.dtype.kind == "O" else found
    except _Masked as told:
        remedy = masked.format(name=name)
        if is_a(value, "dask", "Array"):  # A Dask array has no such method.
            remedy = remedy.replace(f"{name}.filled(", f"dask.array.ma.filled({name}, ")
        raise error(f"{name} is a masked array with {told} masked values. {remedy}") from None
    except _Unusable as told:
        raise error(f"{name} {told!s}.") from None
    except (TypeError, ValueError, RuntimeError, OverflowError, NotImplementedError) as told:
        why = f"{told!s:.200}" or type(told).__name__
        if "inhomogeneous" in why:
            raise error(_ragged(value, name)) from None
        if "setting an array element with a sequence" in why or "not regular" in why:
            raise error(_ragged(value, name)) from None
        raise error(
            f"{name} is not {what} ({why}). Encode text and dates as numbers, and "
            "give all rows the same length."
        ) from None


def _ragged(value: Any, name: str) -> str:
    """Return the message for rows of different lengths, with the line that pads them."""
    rows = name if isinstance(value, list) else f"list({name})"
    if is_a(value, "awkward", "Array"):
        rows = f"{name}.to_list()"
    elif is_a(value, "pyarrow", "Array", "ChunkedArray"):
        rows = f"{name}.to_pylist()"
    return (
        f"{name} has rows of different lengths; give all of them the same length, for example "
        f"padded with NaN: pandas.DataFrame({rows}), with non_finite='missing'."
    )


class _Masked(ValueError):  # noqa: N818  a signal inside this module
    """The number of values that a mask hides."""


def real_array(
    value: Any, name: str, error: type[EmdistError], wanted: str, masked: str = _FILL
) -> Array:
    """Return `value` as a new float64 array. Raise `error` if it does not hold real numbers.

    It is for starting values, priors and weights, where text, dates and complex numbers have no
    meaning.
    """
    found = as_array(value, name, error, masked)
    if found.dtype.kind not in "biuf":
        raise error(f"{name} holds {_kind(found)}, not real numbers; expected {wanted}.")
    return np.array(found, np.float64)


def plain(value: Any, name: str) -> Any:
    """Return `value` as in a configuration: arrays and columns, at any depth, become lists.

    Raises
    ------
    ConfigError
        If an array holds no numbers, or masked values.
    """
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        return {key: plain(one, f"{name}[{shown(key)}]") for key, one in value.items()}
    if isinstance(value, list | tuple | range):
        return [plain(one, name) for one in value]
    if isinstance(value, type) or not (
        hasattr(value, "__array__") or is_a(value, "pyarrow", "Array", "ChunkedArray")
    ):
        return value
    return as_array(value, name, ConfigError).tolist()


def _kind(found: Array) -> str:
    return _KINDS.get(found.dtype.kind, f"values of the type {found.dtype}")


def _converted(value: Any) -> Array:
    """Convert as `as_array` does, but leave objects as they are."""
    if is_a(value, "dask", "Array"):
        value = value.compute()  # NumPy would drop the mask of the computed array.
    if isinstance(value, np.ma.MaskedArray):
        if (count := _masked(value)) > 0:
            raise _Masked(count)
        return np.asarray(value.data)
    if isinstance(value, np.ndarray):
        return np.asarray(value)
    if is_a(value, "pandas", "DataFrame"):
        return (
            _of_columns(_pandas_columns(value), len(value)) if _nullable(value) else _plain(value)
        )
    if is_a(value, "pandas", "Series", "Index", "ExtensionArray"):
        return _pandas_column(value)
    if is_a(value, "polars", "DataFrame"):
        columns = ((name, value[name].to_numpy()) for name in value.columns)
        return _of_columns(columns, value.height)
    if is_a(value, "polars", "Series"):
        return np.asarray(value.to_numpy())
    if is_a(value, "pyarrow", "Table", "RecordBatch"):
        names = value.column_names
        columns = ((name, _arrow(value.column(i))) for i, name in enumerate(names))
        return _of_columns(columns, value.num_rows)
    if is_a(value, "pyarrow", "Array", "ChunkedArray"):
        return _arrow(value)
    if isinstance(value, list | tuple) and not _holds_plain(value):
        return np.stack([np.asarray(_element(one)) for one in value])
    return _plain(value)


def _masked(value: Any) -> int:
    """Return how many values the mask of an array hides."""
    return int(np.count_nonzero(np.ma.getmaskarray(value)))


def _plain(value: Any) -> Array:
    """Convert by NumPy. Raise if NumPy only wraps the value as an object."""
    found = np.asarray(value)
    if found.ndim == 0 and found.dtype.kind == "O" and value is not None:
        raise _Unusable(f"is a {type(value).__name__}, which NumPy cannot convert to an array")
    return found


def _element(value: Any) -> Any:
    """Convert an element of a list that holds more than numbers and lists of them."""
    if isinstance(value, list | tuple | np.ndarray) or hasattr(value, "__array__"):
        return _converted(value)
    if is_a(value, "pyarrow", "Scalar"):
        value = value.as_py()
    return np.asarray(np.nan if _absent(value) else value)


def _holds_plain(values: Iterable[Any]) -> bool:
    """Return whether NumPy converts a list correctly. It drops the masks of arrays in a list."""
    for value in values:
        kind = type(value)
        if kind in _PLAIN or (kind is np.ndarray and value.dtype.kind != "O"):
            continue
        if kind is list or kind is tuple:
            if not _holds_plain(value):
                return False
        elif not isinstance(value, np.generic):
            return False
    return True


def _absent(value: Any) -> bool:
    return value is None or type(value).__name__ in ("NAType", "NaTType", "MaskedConstant")


def _without_objects(found: Array) -> Array:
    """Return objects as float64: None and NA become NaN, and text is refused."""
    flat = found.reshape(-1).copy()
    for i, value in enumerate(flat):
        if isinstance(value, str | bytes):
            raise _Unusable(
                f"holds text such as {shown(value)} where numbers are expected: encode the "
                "categories, or convert numbers written as text with astype(float)"
            )
        if isinstance(value, np.ma.MaskedArray) and (count := _masked(value)) > 0:
            raise _Masked(count)
        if _absent(value):
            flat[i] = np.nan
    return flat.astype(np.float64).reshape(found.shape)


def _nullable(frame: Any) -> bool:
    """Return whether a column of a pandas frame is anything but plain numbers."""
    return any(
        not isinstance(dtype, np.dtype) or dtype.kind not in "biuf" for dtype in frame.dtypes
    )


def _pandas_columns(frame: Any) -> Iterator[tuple[Any, Array]]:
    for i, name in enumerate(frame.columns):
        yield name, _pandas_column(frame.iloc[:, i])


def _pandas_column(column: Any) -> Array:
    """Convert a pandas column. Nullable and Arrow columns become floats if they have NA."""
    dtype = column.dtype
    if dtype.kind == "M":  # With a time zone, NumPy would make objects.
        return np.asarray(column.to_numpy("datetime64[ns]"))
    if isinstance(dtype, np.dtype) or dtype.kind not in "biuf" or hasattr(dtype, "fill_value"):
        return np.asarray(column)
    own = np.dtype(getattr(dtype, "numpy_dtype", np.float64))
    if not bool(np.any(column.isna())):
        return np.asarray(column.to_numpy(dtype=own))
    wide = own if own.kind == "f" else np.dtype(np.float64)
    return np.asarray(column.to_numpy(dtype=wide, na_value=np.nan))


def _arrow(column: Any) -> Array:
    """Convert an Arrow array or chunked array."""
    chunks = getattr(column, "chunks", None)
    if chunks is not None:
        parts = [_arrow(chunk) for chunk in chunks]
        return np.concatenate(parts) if parts else np.empty(0)
    return np.asarray(column.to_numpy(zero_copy_only=False))


def _of_columns(columns: Iterable[tuple[Any, Array]], rows: int) -> Array:
    """Return an array (n, d) from one array per column, in the narrowest dtype that holds all."""
    found = []
    for name, column in columns:
        where = f"has a column {shown(name)} that holds"
        if column.ndim != 1:
            raise _Unusable(f"{where} {column.ndim - 1}-dimensional values; expected numbers")
        try:
            plain = _without_objects(column) if column.dtype.kind == "O" else column
        except _Unusable:
            text = next(value for value in column if isinstance(value, str | bytes))
            raise _Unusable(
                f"{where} text such as {shown(text)}; expected real numbers: encode the "
                "categories, or leave the column out"
            ) from None
        except (TypeError, ValueError) as told:
            if "setting an array element with a sequence" in str(told):
                raise _Unusable(
                    f"{where} lists; expected numbers. Make each position of the lists a column, "
                    "or leave the column out"
                ) from None
            kind = type(next(value for value in column if not _absent(value))).__name__
            raise _Unusable(
                f"{where} values of the type {kind}; expected real numbers. Convert the column, "
                "or leave it out"
            ) from None
        if plain.dtype.kind not in "biuf":
            raise _Unusable(
                f"{where} {_kind(plain)}; expected real numbers. Convert the column, or "
                "leave it out"
            )
        found.append(plain)
    return np.stack(found, axis=1) if found else np.empty((rows, 0))
