"""Codec: stores a frozen dataclass as named arrays and JSON and reads it back, without pickle.

The values are exact. What is stored has no class names: `decode` follows the annotations of the
class that the caller names. So a hostile checkpoint can fail to decode, and do nothing worse.

====================================  =============================================
value                                 node in the JSON
====================================  =============================================
None, bool, int, str                  itself
float, array                          ``{"kind": "array"}``, the bits in an array
Enum                                  ``{"kind": "enum", "name": ...}``
dataclass                             ``{"kind": "fields", "items": {field: node}}``
mapping with text keys                ``{"kind": "mapping", "items": {key: node}}``
tuple                                 ``{"kind": "tuple", "items": [node, ...]}``
tuple of floats                       ``{"kind": "floats"}``, one float64 array
tuple of dataclasses of numbers       ``{"kind": "table", "columns": [...]}``
====================================  =============================================

A class that is stored by itself has a number, ``schema: ClassVar[int]``, which grows with every
change of its fields or of their meaning. The top node says with which schema it was written. A
newer schema is refused. Only with an older schema may fields that have a default be missing. A
field with the metadata ``{"stored": False}`` is left out: what it holds is stored by other means.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import is_dataclass
from enum import Enum
from typing import Any, TypeVar, cast

import numpy as np

from emdist.interfaces import Array
from emdist.store.runs.decoding import SCHEMA, Decoder, check_schema, join, schema_of, stored_fields

T = TypeVar("T")


def encode(value: object) -> tuple[dict[str, Array], dict[str, Any]]:
    """Return `value` as arrays and JSON. Equal values give equal results.

    Raises
    ------
    TypeError
        If a dataclass, or anything in it, is of a kind that is not in the table above.
    """
    if not is_dataclass(value) or isinstance(value, type):
        raise TypeError(
            f"only an instance of a dataclass can be stored, got {type(value).__name__}"
        )
    arrays: dict[str, Array] = {}
    return arrays, _encode(value, "", arrays) | {SCHEMA: schema_of(type(value))}


def decode(
    cls: type[T],
    arrays: Mapping[str, Array],
    meta: Mapping[str, Any],
    types: Mapping[str, Any] | None = None,
) -> T:
    """Return the value of class `cls` that `encode` was given.

    Parameters
    ----------
    cls
        A dataclass, or a parametrised generic one such as ``MixtureParams[DiagonalParams]``.
    arrays, meta
        The arrays and the JSON that `encode` returned.
    types
        The types of fields that are annotated as Any, or with a type variable that `cls` leaves
        open, by field name at any depth: ``{"params": MixtureParams, "components":
        DiagonalParams}``.

    Raises
    ------
    CheckpointError
        If the arrays and JSON are not those of a `cls`. The message says which field is wrong.
    NewerFormatError
        If a newer emdist wrote them.
    TypeError
        If a field annotated as Any has no entry in `types`.
    """
    older = check_schema(cls, meta)
    return cast(T, Decoder(arrays, dict(types or {}), older).decode(cls, meta, "", ""))


def _encode(value: object, path: str, arrays: dict[str, Array]) -> Any:
    """Return the node for `value`, and put its arrays into `arrays` under names below `path`."""
    if isinstance(value, Enum):
        return {"kind": "enum", "name": value.name}
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, np.bool_ | np.integer):
        return value.item()
    if isinstance(value, float | np.floating):
        # JSON has no NaN, and text would lose a NaN's payload. Eight bytes in an array keep every
        # bit.
        arrays[path] = np.array(value, dtype=np.float64)
        return {"kind": "array"}
    if isinstance(value, np.ndarray):
        return _encode_array(value, path, arrays)
    if isinstance(value, tuple):
        return _encode_tuple(value, path, arrays)
    if isinstance(value, Mapping):
        return {"kind": "mapping", "items": _encode_items(value, path, arrays)}
    if is_dataclass(value) and not isinstance(value, type):
        return {"kind": "fields", "items": _encode_items(_fields(value), path, arrays)}
    raise TypeError(f"{path or 'the value'} is a {type(value).__name__}, which cannot be stored")


def _encode_array(value: Array, path: str, arrays: dict[str, Array]) -> Any:
    if value.dtype.kind not in "biuf" or value.dtype.itemsize > 8:
        raise TypeError(f"{path} has dtype {value.dtype}; only numbers can be stored")
    arrays[path] = np.asarray(value, dtype=value.dtype.newbyteorder("="), order="C")
    return {"kind": "array"}


def _encode_items(
    items: Mapping[str, object], path: str, arrays: dict[str, Array]
) -> dict[str, Any]:
    for key in items:
        if not isinstance(key, str):
            raise TypeError(f"{path} has the key {key!r}; only text keys can be stored")
    return {key: _encode(items[key], join(path, key), arrays) for key in sorted(items)}


def _encode_tuple(value: tuple[object, ...], path: str, arrays: dict[str, Array]) -> Any:
    """Return the node for a tuple: floats become one array, rows of numbers become a table."""
    if value and all(_number(item) == "f8" for item in value):
        arrays[path] = np.array(value, dtype=np.float64)
        return {"kind": "floats"}
    columns = _columns(value)
    if columns is not None:
        arrays.update({join(path, name): column for name, column in columns.items()})
        return {"kind": "table", "columns": sorted(columns)}
    nodes = [_encode(item, join(path, str(i)), arrays) for i, item in enumerate(value)]
    return {"kind": "tuple", "items": nodes}


def _columns(rows: Sequence[object]) -> dict[str, Array] | None:
    """Return one array per field if all `rows` are dataclasses of one kind with numbers only.

    Otherwise return None.
    """
    first = rows[0] if rows else None
    if (
        first is None
        or not is_dataclass(first)
        or any(type(row) is not type(first) for row in rows)
    ):
        return None
    columns = {}
    for name in _fields(first):
        values = [getattr(row, name) for row in rows]
        kinds = {_number(value) for value in values}
        kind = kinds.pop()
        if kinds or kind is None:
            return None
        try:
            columns[name] = np.array(values, dtype=kind)
        except OverflowError:
            return None
    return columns or None


def _number(value: object) -> str | None:
    """Return the dtype that holds `value` exactly, or None if it is no plain number."""
    if isinstance(value, bool | np.bool_):
        return "?"
    if isinstance(value, Enum):
        return None
    if isinstance(value, int | np.integer):
        return "i8"
    return "f8" if isinstance(value, float | np.floating) else None


def _fields(value: Any) -> dict[str, object]:
    return {field.name: getattr(value, field.name) for field in stored_fields(value)}
