"""The arrays of components by name, whatever dataclasses hold them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np

from emdist.interfaces import Array


def arrays_of(params: Any) -> dict[str, Array]:
    """Arrays by the names of their fields; below a tuple by path, as in ``parts.0.means``."""
    return dict(_walk(params, ""))


def with_arrays(params: Any, arrays: Mapping[str, Array]) -> Any:
    """`params` with those `arrays` put in whose names `arrays_of` gives."""
    return _rebuilt(params, "", arrays)


def _walk(value: Any, path: str) -> Iterator[tuple[str, Array]]:
    if isinstance(value, np.ndarray):
        yield path, value
    for name, item in _items(value):
        yield from _walk(item, _join(path, name))


def _rebuilt(value: Any, path: str, arrays: Mapping[str, Array]) -> Any:
    if isinstance(value, np.ndarray):
        return arrays.get(path, value)
    new = {name: _rebuilt(item, _join(path, name), arrays) for name, item in _items(value)}
    return tuple(new.values()) if isinstance(value, tuple) else replace(value, **new)


def _items(value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, tuple):
        return [(str(i), item) for i, item in enumerate(value)]
    if is_dataclass(value):
        return [(field.name, getattr(value, field.name)) for field in fields(value)]
    return []


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
