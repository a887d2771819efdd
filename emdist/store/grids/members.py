"""The arrays of a Zarr group as variables, and their dimensions and coordinates."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import zarr

from emdist.interfaces import Array
from emdist.store.chunks.bounded import bounded
from emdist.store.chunks.layout import unit_shape
from emdist.store.grids.axes import check_unique_dims
from emdist.store.grids.coordinates import DescribingArray, encoded_fill
from emdist.store.grids.stored import StoredVariable
from emdist.store.grids.variables import natural, unknown
from emdist.store.sources.cf import DIMENSIONS, packing
from emdist.store.sources.coordinate_values import array_beside, coordinate_values
from emdist.store.sources.plan import usable_dtype
from emdist.store.sources.references import ArrayRef, open_checked
from emdist.store.sources.source_checks import checked_array


class StoredMembers:
    """The arrays of a Zarr group, or one array alone. The driver uses it; it never travels.

    Parameters
    ----------
    ref
        The reference of a group or of an array.
    decode
        "cf" to decode variables by their attributes, "none" to use stored numbers.
    """

    def __init__(self, ref: ArrayRef, decode: str = "cf") -> None:
        self.ref = ref
        self.decode = decode
        self._group = _group(ref)
        self._found: dict[str, StoredVariable] = {}
        self._coordinates: dict[str, Array | None] = {}

    @property
    def title(self) -> str:
        """How messages name the group."""
        return str(self.ref)

    @property
    def is_array(self) -> bool:
        """Whether the reference is one array alone."""
        return self._group is None

    def names(self) -> list[str]:
        """Return the names of all arrays of the group, sorted."""
        return sorted(self._group or {})

    def variable(self, name: str) -> StoredVariable:
        """Return the variable called `name`.

        Raises
        ------
        NotAnArrayError
            If there is none.
        """
        if name not in self._found:
            if self._group is not None and name not in self._group:
                raise unknown(self, name)
            self._found[name] = self._opened(name)
        return self._found[name]

    def only(self) -> StoredVariable:
        """Return the single array, if the reference is one."""
        return self.variable("" if self.ref.path == "" else self.ref.path.rpartition("/")[2])

    def _opened(self, name: str) -> StoredVariable:
        ref = self.ref if self._group is None else self.ref.below(name)
        ref, array = checked_array(ref)
        how = packing(array, str(ref)) if self.decode == "cf" else None
        stored = str(array.dtype)
        if how is None:
            usable_dtype(array.dtype, str(ref))  # raises for text and the like
        shape = tuple(int(n) for n in array.shape)
        return StoredVariable(name, ref, dims_of(array), shape, unit_shape(array), stored, how)

    def data_variables(self) -> list[str]:
        """Return the names of the arrays that are neither coordinates, masks nor descriptions."""
        group, used = self._group or {}, set()
        for array in group.values():
            attrs = array.attrs
            for key in ("coordinates", "bounds", "grid_mapping", "ancillary_variables"):
                used |= set(re.findall(r"[^\s:]+", str(attrs.get(key, ""))))
        return [
            name
            for name, array in sorted(group.items(), key=lambda item: natural(item[0]))
            if array.ndim > 0 and name not in used and dims_of(array) != (name,)
        ]

    def shown(self, name: str) -> str:
        """Return dtype, dimensions, chunks and decoding of a member as one line."""
        array = (self._group or {})[name]
        if not array.ndim:
            return f"{array.dtype}, no dimensions"
        sizes = zip(dims_of(array), array.shape, unit_shape(array), strict=True)
        parts = ", ".join(f"{dim} {n} in chunks of {unit}" for dim, n, unit in sizes)
        how = packing(array, name) if array.dtype.kind in "iuf" else None
        return f"{array.dtype}; {parts}" + ("" if how is None else f"; decoded: {how}")

    def coordinate(self, dim: str) -> Array | None:
        """Return the values of the 1-D coordinate of dimension `dim`, or None if there is none."""
        if dim not in self._coordinates:
            self._coordinates[dim] = self._coordinate(dim)
        return self._coordinates[dim]

    def attributes(self, name: str) -> dict[str, Any]:
        """Return the attributes of a member, or none if it is no member."""
        array = (self._group or {}).get(name)
        return {} if array is None else dict(array.attrs)

    def described(self, name: str) -> DescribingArray | None:
        """Return the member `name` as it is stored, or None if there is none."""
        array = self._member(name)
        if array is None:
            return None
        found = bounded(array)
        attributes = {key: value for key, value in array.attrs.items() if key != DIMENSIONS}
        format_2 = array.metadata.zarr_format == 2
        if format_2 and array.fill_value is not None and array.dtype.kind in "iuf":
            # In format 2, xarray stores this attribute in Zarr's own metadata.
            attributes["_FillValue"] = encoded_fill(array.fill_value)
        return DescribingArray(
            name,
            dims_of(array),
            tuple(map(int, array.shape)),
            tuple(map(int, array.chunks)),
            array.dtype,
            attributes,
            lambda region: np.asarray(found[region] if region else found[()]),
        )

    def shared_coordinates(self) -> list[str]:
        """Return the names in the attribute ``coordinates`` of the group."""
        if self._group is None:
            return []
        found = self.ref.open_group().attrs.get("coordinates")
        return found.split() if isinstance(found, str) else []

    def _member(self, name: str) -> zarr.Array[Any] | None:
        """Return the array `name` of the group, or of the group around a single array."""
        if self._group is not None:
            return self._group.get(name)
        if self.ref.path and name == self.only().name:
            return self.ref.open()
        return array_beside(self.ref, name)

    def _coordinate(self, dim: str) -> Array | None:
        array = (
            (self._group or {}).get(dim) if self._group is not None else array_beside(self.ref, dim)
        )
        return None if array is None else coordinate_values(array, dim)


def dims_of(array: zarr.Array[Any]) -> tuple[str, ...]:
    """Return the names of an array's dimensions; those without a name are called dim_0, ..."""
    found = getattr(array.metadata, "dimension_names", None) or array.attrs.get(DIMENSIONS)
    names = list(found) if isinstance(found, list | tuple) else []
    if len(names) != array.ndim:
        names = [None] * array.ndim
    texts = [name if isinstance(name, str) and name else f"dim_{i}" for i, name in enumerate(names)]
    check_unique_dims(tuple(texts), array.path or str(array.store))
    return tuple(texts)


def has_named_dims(array: zarr.Array[Any]) -> bool:
    """Return whether all dimensions of an array have names."""
    found = getattr(array.metadata, "dimension_names", None) or array.attrs.get(DIMENSIONS)
    return isinstance(found, list | tuple) and len(found) == array.ndim and all(found)


def _group(ref: ArrayRef) -> dict[str, zarr.Array[Any]] | None:
    """Return the arrays of the group at `ref`, or None if an array is there.

    Raises the errors of `open_checked` if there is neither.
    """
    try:
        group = ref.open_group()
    except Exception:  # noqa: BLE001  `open_checked` says what is there
        open_checked(ref)
        return None
    return dict(group.arrays())


def coordinate_attributes(ref: ArrayRef, dim: str) -> dict[str, Any]:
    """Return the attributes of the coordinate `dim` beside the array `ref`; none without one."""
    array = array_beside(ref, dim)
    return {} if array is None else dict(array.attrs)
