"""Access to the arrays in parameters by name, for any nesting of dataclasses and tuples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np

from emdist.interfaces import Array


def arrays_of(params: Any) -> dict[str, Array]:
    """Return the arrays in `params` by the path of field names and indices to each one.

    For example, ``means``, or ``parts.0.means`` for an array in the first item of a tuple.
    """
    return dict(_walk(params, ""))


def with_arrays(params: Any, arrays: Mapping[str, Array]) -> Any:
    """Return `params` with some of its arrays replaced by `arrays`, by the names of `arrays_of`."""
    return _rebuilt(params, "", arrays)


def _walk(value: Any, path: str) -> Iterator[tuple[str, Array]]:
    """Yield the path and the value of each array in `value`, which is at `path` itself."""
    if isinstance(value, np.ndarray):
        yield path, value
    for name, item in _items(value):
        yield from _walk(item, _join(path, name))


def _rebuilt(value: Any, path: str, arrays: Mapping[str, Array]) -> Any:
    """Return a copy of `value`, which is at `path`, with arrays replaced by those in `arrays`."""
    if isinstance(value, np.ndarray):
        return arrays.get(path, value)
    new = {name: _rebuilt(item, _join(path, name), arrays) for name, item in _items(value)}
    return tuple(new.values()) if isinstance(value, tuple) else replace(value, **new)


def _items(value: Any) -> list[tuple[str, Any]]:
    """Return the items of a tuple by index, or the fields of a dataclass by name."""
    if isinstance(value, tuple):
        return [(str(i), item) for i, item in enumerate(value)]
    if is_dataclass(value):
        return [(field.name, getattr(value, field.name)) for field in fields(value)]
    return []


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
