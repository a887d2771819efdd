"""The Zarr arrays from which a lazy array is computed, whose files show whether its data changed.

Dask names an array by how it is made, which says nothing about what was written to its files since.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import zarr

from emdist.inputs.foreign import is_a
from emdist.store.sources.references import ArrayRef, reference

#: How many objects may be wrapped around an array. xarray's backends have about five.
_DEEPEST = 32
#: Protocols of fsspec in which files cannot be listed, and so have no stamps.
_UNLISTED = {"http", "https"}


def stored_in(lazy: Any) -> tuple[ArrayRef, ...]:
    """Return the Zarr arrays in the graph of a Dask array, as far as they can be listed.

    Dask's `from_array` puts the array into the graph, or into each task. xarray wraps it in objects
    that have what they wrap as an attribute.
    """
    found: dict[ArrayRef, None] = {}
    seen: set[int] = set()
    for node in dict(lazy.__dask_graph__()).values():
        for value in _values(node):
            if id(value) in seen:
                continue
            seen.add(id(value))
            array = _innermost(value)
            if isinstance(array, zarr.Array) and _is_listed(array.store):
                found[reference(array)] = None
    return tuple(found)


def _values(node: Any) -> Iterator[Any]:
    """Yield the objects in a node of a graph, and in the arguments of its task."""
    yield getattr(node, "value", node)
    for one in (*getattr(node, "args", ()), *(getattr(node, "kwargs", None) or {}).values()):
        yield getattr(one, "value", one)


def _innermost(value: Any) -> Any:
    for _ in range(_DEEPEST):
        if isinstance(value, zarr.Array):
            break
        wrapped = getattr(value, "array", None)
        wrapped = getattr(value, "_array", None) if wrapped is None else wrapped
        if wrapped is None:
            break
        value = wrapped
    return value


def _is_listed(store: Any) -> bool:
    inner = store
    while is_a(inner, "zarr", "WrapperStore"):
        inner = inner._store
    if not store.supports_listing:
        return False
    if not is_a(inner, "zarr", "FsspecStore"):
        return True
    protocol = inner.fs.protocol
    return _UNLISTED.isdisjoint([protocol] if isinstance(protocol, str) else protocol)
