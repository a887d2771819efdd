"""Coordinates of a grid: which arrays describe its samples, as they are stored.

They are copied to results on the grid, so that a map has the places and the projection of the data.
"""

from __future__ import annotations

import base64
import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np

from emdist.interfaces import Array
from emdist.store.grids.arrangement import Arrangement
from emdist.store.grids.variables import Members
from emdist.store.sources.diagnosis import Region

#: The attribute of a grid mapping that holds the corner of the whole grid (GDAL, rioxarray).
_CORNER = "GeoTransform"


@dataclass(frozen=True)
class DescribingArray:
    """An array that describes a grid, as it is stored. It never travels.

    Attributes
    ----------
    name
        Its name.
    dims, shape, chunks
        The names and sizes of its dimensions, and the sizes of its chunks.
    dtype
        The dtype in which it is stored.
    attributes
        Its attributes, as JSON.
    read
        Returns the stored values of a part.
    """

    name: str
    dims: tuple[str, ...]
    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    dtype: np.dtype[Any]
    attributes: dict[str, Any] = field(compare=False)
    read: Callable[[Region], Array] = field(compare=False, repr=False)

    def within(self, at: dict[str, slice], gone: dict[str, int]) -> DescribingArray:
        """Return the part at the ranges `at` of dimensions, and at the positions `gone` of others.

        The dimensions in `gone` are no dimensions of the part.
        """
        ranges = [at.get(d, slice(0, n)) for d, n in zip(self.dims, self.shape, strict=True)]
        kept = [i for i, dim in enumerate(self.dims) if dim not in gone]

        def read(region: Region) -> Array:
            wanted: list[slice] = [
                slice(gone[dim], gone[dim] + 1) if dim in gone else slice(0, 0) for dim in self.dims
            ]
            for part, axis in zip(region, kept, strict=True):
                first = ranges[axis].start
                wanted[axis] = slice(first + part.start, first + part.stop)
            values = self.read(tuple(wanted))
            return values.reshape([part.stop - part.start for part in region])

        shape = tuple(ranges[i].stop - ranges[i].start for i in kept)
        chunks = (max(1, min(self.chunks[i], n)) for i, n in zip(kept, shape, strict=True))
        dims = tuple(self.dims[i] for i in kept)
        return replace(self, dims=dims, shape=shape, chunks=tuple(chunks), read=read)


def encoded_fill(value: Any) -> Any:
    """Return a fill value as xarray stores the attribute ``_FillValue`` in Zarr format 3."""
    plain = value.item() if isinstance(value, np.generic) else value
    if isinstance(plain, float):
        return base64.standard_b64encode(struct.pack("<d", plain)).decode()
    return plain


class Describing(Protocol):
    """Variables of a group that can also give the arrays that describe them, undecoded."""

    def described(self, name: str) -> DescribingArray | None:
        """Return the member called `name` as it is stored, or None if there is none."""

    def shared_coordinates(self) -> str:
        """Return the attribute ``coordinates`` of the group, or "" if it has none."""
        ...


@dataclass(frozen=True)
class Coordinates:
    """What describes a grid of samples.

    Attributes
    ----------
    arrays
        The arrays, with what a selection leaves of them.
    auxiliary
        The names of those that are no coordinates of one dimension of the same name.
    grid_mapping
        The attribute ``grid_mapping`` of the variables, or "" if they have none.
    """

    arrays: tuple[DescribingArray, ...] = ()
    auxiliary: tuple[str, ...] = ()
    grid_mapping: str = ""


#: What describes rows that are on no grid.
NOTHING = Coordinates()


def coordinates_of(source: object) -> Coordinates:
    """Return what describes the grid of a source; nothing if it is no grid."""
    found: Coordinates = getattr(source, "coordinates", NOTHING)
    return found


def described_grid(members: Members, plan: Arrangement) -> Coordinates:
    """Return what describes the samples of `plan`, if `members` is `Describing`.

    These are the coordinates of sample dimensions and of dimensions that are read at one position,
    those that the attribute ``coordinates`` names, and the grid mapping. Arrays that also depend on
    features are left out.
    """
    if not hasattr(members, "described"):
        return Coordinates()
    known: Any = members
    variables = [found for found in map(known.described, _features(plan)) if found is not None]
    mapping = next((m for one in variables if (m := _text(one, "grid_mapping"))), "")
    named: list[str] = [*plan.samples, *(dim for dim, _ in plan.scalars)]
    for text in (*(_text(one, "coordinates") for one in variables), known.shared_coordinates()):
        named += text.split()
    named += re.findall(r"[^\s:]+", mapping)
    at, gone = _selected(plan), dict(plan.scalars)
    arrays: dict[str, DescribingArray] = {}
    used = set(_features(plan))
    for name in dict.fromkeys(named):
        if name in used or (found := known.described(name)) is None:
            continue
        if all(dim in at or dim in gone for dim in found.dims):
            arrays[name] = _shown(found.within(at, gone), plan)
            for bounds in _bounds(known, arrays[name]):
                arrays.setdefault(bounds.name, bounds.within(at, gone))
    beside = {_text(one, "bounds") for one in arrays.values()}
    auxiliary = [name for name, one in arrays.items() if one.dims != (name,) and name not in beside]
    if not all(name in arrays for name in re.findall(r"[^\s:]+", mapping)):
        mapping = ""  # It names coordinates that the selection does not have.
    return Coordinates(tuple(arrays.values()), tuple(auxiliary), mapping)


def _features(plan: Arrangement) -> list[str]:
    return [one.variable.name for one in plan.columns]


def _text(found: DescribingArray, name: str) -> str:
    value = found.attributes.get(name)
    return value if isinstance(value, str) else ""


def _selected(plan: Arrangement) -> dict[str, slice]:
    """Return the range of each sample dimension that the grid has."""
    pairs = zip(plan.samples, plan.origin, plan.shape, strict=True)
    return {dim: slice(first, first + size) for dim, first, size in pairs}


def _shown(found: DescribingArray, plan: Arrangement) -> DescribingArray:
    """Return an array without the attribute that places the whole grid, if a part was selected."""
    if not any(plan.origin) or _CORNER not in found.attributes:
        return found
    # Readers compute the place of the part from the coordinates then.
    kept = {name: value for name, value in found.attributes.items() if name != _CORNER}
    return replace(found, attributes=kept)


def _bounds(members: Describing, found: DescribingArray) -> Iterator[DescribingArray]:
    """Yield the array of the bounds of a coordinate's cells, if it has one."""
    name = _text(found, "bounds")
    bounds = members.described(name) if name else None
    if bounds is not None and len(bounds.dims) == len(found.dims) + 1:
        yield bounds
