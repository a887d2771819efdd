"""Decoder: the reading half of the codec, which follows type annotations alone."""

from __future__ import annotations

import types as python_types
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from enum import Enum
from functools import cache
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints
from urllib.parse import quote

import numpy as np

from emdist.errors import CheckpointError, NewerFormatError
from emdist.interfaces import Array

#: The key of the schema number in the top node.
SCHEMA = "schema"


def schema_of(cls: Any) -> int:
    """Return the schema number of a stored class; 1 unless the class states it."""
    return int(getattr(get_origin(cls) or cls, SCHEMA, 1))


def check_schema(cls: Any, meta: Mapping[str, Any]) -> bool:
    """Return whether `meta` was written with an older schema of `cls`.

    Raise NewerFormatError if its schema is newer.
    """
    known = schema_of(cls)
    found = meta.get(SCHEMA, 0) if isinstance(meta, Mapping) else 0
    if type(found) is not int or found < 0:
        raise CheckpointError(f"the schema number is {found!r}, expected an integer >= 0")
    if found > known:
        name = getattr(get_origin(cls) or cls, "__name__", str(cls))
        raise NewerFormatError(
            f"a {name} was stored with schema {found}, but this version of emdist reads schemas "
            f"up to {known}. Install the version that wrote it, or a newer one."
        )
    return found < known


def stored_fields(cls: Any) -> list[Field[Any]]:
    """Return the fields of a dataclass, or of an instance of one, that the codec stores."""
    return [one for one in fields(cls) if one.init and one.metadata.get("stored", True)]


def join(path: str, name: str) -> str:
    """Return the name of the array for `name` below `path`. Different names never coincide."""
    part = quote(name, safe="")
    return f"{path}/{part}" if path else part


@dataclass(frozen=True)
class Decoder:
    """Reads values from nodes and arrays.

    `arrays` holds the arrays by path, and `types` the types of fields that their class leaves open,
    by field name. If what is read is `older` than its class, fields that have a default may be
    missing.
    """

    arrays: Mapping[str, Array]
    types: Mapping[str, Any]
    older: bool = True

    def decode(self, hint: Any, node: Any, path: str, field: str) -> Any:
        """Return the value that `node` represents, which must be of the type `hint`.

        Raises
        ------
        CheckpointError
            If it is of another type. The message names it by `path`.
        TypeError
            If `hint` is Any or a type variable and `types` does not know `field`.
        """
        if hint is Any or isinstance(hint, TypeVar):
            return None if node is None else self.decode(self._open(field), node, path, field)
        hint = _meant(hint)
        origin = get_origin(hint)
        if origin in (Union, python_types.UnionType):
            return self._union(get_args(hint), node, path, field)
        if origin is Literal:
            _require(node in get_args(hint), node, hint, path)
            return node
        if hint is None or hint is type(None):
            _require(node is None, node, hint, path)
            return None
        if hint in (bool, int, str):
            _require(type(node) is hint, node, hint, path)
            return node
        return self._composite(hint, origin or hint, node, path, field)

    def _open(self, field: str) -> Any:
        if field not in self.types:
            raise TypeError(f"the type of {field!r} is unknown; give it in `types`")
        return self.types[field]

    def _union(self, members: tuple[Any, ...], node: Any, path: str, field: str) -> Any:
        """Return the value as the first type of a union that fits."""
        problems = []
        for member in members:
            try:
                return self.decode(member, node, path, field)
            except CheckpointError as error:
                problems.append(str(error))
        raise CheckpointError(problems[0] if len(members) == 1 else " / ".join(problems))

    def _composite(self, hint: Any, kind: Any, node: Any, path: str, field: str) -> Any:
        if kind is float:
            return self._float(node, path)
        if kind is np.ndarray:
            return self._array(hint, node, path)
        if kind is tuple:
            return self._tuple(hint, node, path, field)
        if kind in (Mapping, dict):
            return self._mapping(hint, node, path, field)
        if isinstance(kind, type) and issubclass(kind, Enum):
            name = _part(node, "enum", "name", str, path)
            _require(name in kind.__members__, name, hint, path)
            return kind[name]
        if isinstance(kind, type) and is_dataclass(kind):
            return self._dataclass(hint, kind, node, path)
        raise TypeError(f"{path or 'the value'} is annotated as {hint}, which cannot be stored")

    def _stored(self, path: str) -> Array:
        if path not in self.arrays:
            raise CheckpointError(f"the array {path!r} is missing")
        return self.arrays[path]

    def _float(self, node: Any, path: str) -> float | int:
        # Rows of a table and elements of a tuple are stored as plain numbers.
        if type(node) in (float, int):
            return node  # type: ignore[no-any-return]
        _require(node == {"kind": "array"}, node, float, path)
        array = self._stored(path)
        _require(array.shape == () and array.dtype == np.float64, array, float, path)
        return float(array[()])

    def _array(self, hint: Any, node: Any, path: str) -> Array:
        _require(node == {"kind": "array"}, node, hint, path)
        array = self._stored(path)
        for dtype in get_args(hint)[1:]:
            for scalar in get_args(dtype):
                known = isinstance(scalar, type) and scalar is not Any
                fits = not known or np.issubdtype(array.dtype, scalar)
                _require(fits, array, hint, path)
        return array

    def _tuple(self, hint: Any, node: Any, path: str, field: str) -> tuple[Any, ...]:
        items = self._items(node, path)
        wanted = get_args(hint)
        if len(wanted) == 2 and wanted[1] is Ellipsis:
            wanted = (wanted[0],) * len(items)
        _require(len(items) == len(wanted), f"{len(items)} items", hint, path)
        each = enumerate(zip(wanted, items, strict=True))
        return tuple(self.decode(one, item, join(path, str(i)), field) for i, (one, item) in each)

    def _items(self, node: Any, path: str) -> list[Any]:
        """Return the nodes of a tuple, in whichever of the three ways it was stored."""
        kind = node.get("kind") if isinstance(node, dict) else None
        if kind == "floats":
            array = self._stored(path)
            _require(array.ndim == 1 and array.dtype == np.float64, array, "floats", path)
            return list(array.tolist())
        if kind != "table":
            return _part(node, "tuple", "items", list, path)  # type: ignore[no-any-return]
        names = _part(node, "table", "columns", list, path)
        _require(bool(names) and all(isinstance(n, str) for n in names), names, "columns", path)
        columns = [self._stored(join(path, name)) for name in names]
        shape = columns[0].shape
        _require(len(shape) == 1 and all(c.shape == shape for c in columns), shape, "table", path)
        rows = zip(*(column.tolist() for column in columns), strict=True)
        return [{"kind": "fields", "items": dict(zip(names, row, strict=True))} for row in rows]

    def _mapping(self, hint: Any, node: Any, path: str, field: str) -> dict[str, Any]:
        items = _part(node, "mapping", "items", dict, path)
        value = get_args(hint)[1]
        return {key: self.decode(value, items[key], join(path, key), field) for key in items}

    def _dataclass(self, hint: Any, cls: Any, node: Any, path: str) -> Any:
        """Return an instance of the dataclass `cls`, with its fields decoded by annotation."""
        items = _part(node, "fields", "items", dict, path)
        known = {field.name: field for field in stored_fields(cls)}
        if unknown := sorted(items.keys() - known.keys()):
            raise CheckpointError(
                f"{path or 'the value'} has fields {unknown} that {cls} does not know"
            )
        bound = dict(zip(getattr(cls, "__parameters__", ()), get_args(hint), strict=False))
        hints = _hints(cls)
        values = {}
        for name, field in known.items():
            below = join(path, name)
            if name in items:
                values[name] = self.decode(_bind(hints[name], bound), items[name], below, name)
            elif not self.older or (field.default is MISSING and field.default_factory is MISSING):
                raise CheckpointError(f"{below} is missing")
        try:
            return cls(**values)
        except (ValueError, ArithmeticError) as error:
            raise CheckpointError(f"{path or 'the value'} is not a valid {cls}: {error}") from error


def _meant(hint: Any) -> Any:
    """Return what an alias stands for.

    From NumPy 2.5 on, `NDArray` is an alias as in Python 3.12.
    """
    alias = get_origin(hint) or hint
    if not hasattr(alias, "__value__"):
        return hint
    arguments = get_args(hint)
    return _meant(alias.__value__[arguments] if arguments else alias.__value__)


def _bind(hint: Any, bound: Mapping[Any, Any]) -> Any:
    """Return `hint` with its type variables replaced as far as `bound` knows them."""
    if isinstance(hint, TypeVar):
        return bound.get(hint, hint)
    variables = getattr(hint, "__parameters__", ()) if get_origin(hint) is not None else ()
    return hint[tuple(bound.get(one, one) for one in variables)] if variables else hint


@cache
def _hints(cls: type) -> dict[str, Any]:
    return get_type_hints(cls)


def _part(node: Any, kind: str, key: str, wanted: type, path: str) -> Any:
    """Return ``node[key]`` of a node of this `kind`."""
    fits = isinstance(node, dict) and node.get("kind") == kind
    part = node.get(key) if fits else None
    _require(isinstance(part, wanted), node, kind, path)
    return part


def _require(fits: bool, got: Any, wanted: Any, path: str) -> None:
    """Raise CheckpointError, with what was found and what was expected, unless `fits`."""
    if not fits:
        shown = f"{got.dtype}{got.shape}" if isinstance(got, np.ndarray) else repr(got)[:60]
        raise CheckpointError(f"{path or 'the value'} is {shown}, expected {wanted}")
