"""Convert constructor parameters to JSON, and back with their original types."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

#: Keys that mark values for which JSON has no type.
_TUPLE, _ARRAY, _TYPE = "$tuple", "$array", "$dtype"

#: The largest number of elements of an array that is stored among the parameters.
_MOST = 1 << 20


def to_json(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters that JSON can hold; leave out clients, generators and functions."""
    found = {}
    for name, value in params.items():
        try:
            found[name] = _plain(value)
        except TypeError:
            continue
    return found


def from_json(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters from which `to_json` made `params`."""
    return {name: _restored(value) for name, value in params.items()}


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.bool_ | np.integer | np.floating):
        return value.item()
    if isinstance(value, np.ndarray):
        if value.dtype.kind not in "biuf" or value.size > _MOST:
            raise TypeError
        return {_ARRAY: value.tolist(), _TYPE: value.dtype.str}
    if isinstance(value, tuple):
        return {_TUPLE: [_plain(each) for each in value]}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {key: _plain(each) for key, each in value.items()}
    raise TypeError


def _restored(value: Any) -> Any:
    if isinstance(value, list):
        return [_restored(each) for each in value]
    if not isinstance(value, dict):
        return value
    if _TUPLE in value:
        return tuple(_restored(each) for each in value[_TUPLE])
    if _ARRAY in value:
        return np.array(value[_ARRAY], _number(value.get(_TYPE)))
    return {key: _restored(each) for key, each in value.items()}


def _number(name: Any) -> np.dtype[Any]:
    """Return the dtype of a stored array; anything but a numeric type becomes float64."""
    found = np.dtype(name if isinstance(name, str) else "f8")
    return found if found.kind in "biuf" else np.dtype("f8")
