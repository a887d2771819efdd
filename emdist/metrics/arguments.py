"""What users pass as rows and labels, as sources and arrays of labels."""

from __future__ import annotations

import os
from typing import Any, Literal, TypedDict

import numpy as np
from numpy.typing import NDArray

from emdist.composition.memory import check_result
from emdist.errors import ConfigError, DtypeError, ShapeError
from emdist.estimators.inputs import as_matrix, is_in_memory, is_polars, make_source
from emdist.inputs.foreign import is_a
from emdist.inputs.index_columns import without_index
from emdist.interfaces import Engine, Source
from emdist.jobs.evaluate import array_of_labels
from emdist.quality.labels import (
    ArrayLabelling,
    HeldLabels,
    LabelArray,
    labels_beside,
    labels_in_group,
    stored_labels,
)
from emdist.settings.config import PARAMETERS, ReadingSection
from emdist.settings.section import make_section
from emdist.store.places.location import Location
from emdist.store.sources.references import is_stored, reference


class ReadingOptions(TypedDict, total=False):
    """How rows are read; values and defaults are those of estimators' parameters."""

    block_size: str | None
    non_finite: Literal["raise", "drop"]
    missing_chunks: Literal["raise", "drop", "fill"]
    corrupt_chunks: Literal["raise", "drop"]
    decode: Literal["cf", "none"]


def as_source(X: Any, engine: Engine, given: ReadingOptions) -> Source:
    """Return rows as a source, as estimators do.

    Raises
    ------
    ConfigError
        If `given` has a wrong value. A wrong name is a TypeError, as for any parameter.
    """
    for name in given:
        if name not in ReadingOptions.__annotations__:
            raise TypeError(f"unexpected keyword argument {name!r}")
    non_finite: str = given.get("non_finite", "raise")
    if non_finite == "missing":
        raise ConfigError(
            "non_finite='missing': distances need complete rows. Pass 'drop' to leave out rows "
            "with NaN."
        )
    reading = make_section(ReadingSection, given, "the parameters", context=PARAMETERS)
    rows = without_index(X)
    if is_in_memory(rows) and not is_polars(rows) and not is_a(rows, "xarray", "DataArray"):
        rows = as_matrix(rows)
    return make_source(rows, None, engine, reading)


def as_labels(labels: Any, name: str = "labels") -> LabelArray:
    """Return what a user passes as labels.

    Raises
    ------
    DataError
        If they are not whole numbers, or texts in memory.
    """
    if isinstance(labels, str | os.PathLike):
        return array_of_labels(Location(os.fspath(labels)))
    if is_a(labels, "zarr", "Group"):
        return labels_in_group(reference(labels))
    if is_stored(labels):
        return stored_labels(reference(labels))
    fill = None
    if is_a(labels, "xarray", "DataArray"):
        known = labels.encoding.get("_FillValue", labels.attrs.get("_FillValue"))
        fill = int(known) if known is not None and float(known).is_integer() else None
        check_result(int(labels.size), 1)
    elif is_a(labels, "dask", "Array"):
        check_result(int(labels.size), 1)
    if isinstance(labels, np.ma.MaskedArray) and np.ma.is_masked(labels):
        raise DtypeError(f"{name} has masked values. Fill them with a label of their own.")
    return held_labels(np.asarray(labels), name, fill)


def held_labels(values: NDArray[Any], name: str, fill: int | None = None) -> HeldLabels:
    """Return labels in memory, checked.

    Raises
    ------
    DtypeError, ShapeError
        If they are no labels.
    """
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]  # A column, such as a data frame with one.
    if values.ndim == 0 or not values.size:
        raise ShapeError(f"{name} has the shape {values.shape}; expected one label for each row.")
    kind = values.dtype.kind
    if kind in "OUST":
        told, codes = _text_codes(values, name)
        return HeldLabels(codes.reshape(values.shape), None, told)
    if kind == "f":
        if not np.isfinite(values).all() or (values != np.trunc(values)).any():
            raise DtypeError(
                f"{name} holds numbers that are not whole, or NaN; expected labels: one whole "
                "number, or text, for each row."
            )
        values = values.astype(np.int64)
    elif kind not in "iub":
        raise DtypeError(f"{name} has the dtype {values.dtype}; expected whole numbers or text.")
    if kind == "u" and values.dtype.itemsize == 8 and values.max() > np.iinfo(np.int64).max:
        raise DtypeError(f"{name} has numbers beyond {np.iinfo(np.int64).max}; number them anew.")
    return HeldLabels(values, fill)


def _text_codes(values: NDArray[Any], name: str) -> tuple[NDArray[Any], NDArray[Any]]:
    if values.dtype.kind == "O" and any(one is None or one != one for one in values.flat):
        raise DtypeError(f"{name} has missing values; expected one label for each row.")
    try:
        told, codes = np.unique(values, return_inverse=True)
    except TypeError:
        raise DtypeError(
            f"{name} mixes texts, numbers or None; expected labels of one kind."
        ) from None
    return told, codes


def as_labelling(labels: Any, source: Source) -> ArrayLabelling:
    """Return what a user passes as labels of the rows of `source`.

    Raises
    ------
    DataError
        If they are no labels, or not one for each row.
    """
    found = as_labels(labels)
    return labels_beside(source, found)
