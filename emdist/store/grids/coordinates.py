"""Coordinates of a grid: which arrays describe its samples, as they are stored.

They are copied to results on the grid, so that a map has the places and the projection of the data.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import re
import struct
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np

from emdist.interfaces import Array
from emdist.store.grids.arrangement import Arrangement
from emdist.store.grids.taken import At
from emdist.store.grids.variables import Members
from emdist.store.places.faults import first_line
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

    def within(self, at: Mapping[str, At], gone: Mapping[str, int]) -> DescribingArray:
        """Return the part at positions `at` of dimensions, and at the positions `gone` of others.

        The dimensions in `gone` are no dimensions of the part.
        """
        known = [at.get(dim, range(n)) for dim, n in zip(self.dims, self.shape, strict=True)]
        kept = [i for i, dim in enumerate(self.dims) if dim not in gone]

        def read(region: Region) -> Array:
            wanted: list[slice] = [
                slice(gone[dim], gone[dim] + 1) if dim in gone else slice(0, 0) for dim in self.dims
            ]
            picked: dict[int, Any] = {}
            for part, axis in zip(region, kept, strict=True):
                own = known[axis][part]
                wanted[axis] = slice(own[0], own[-1] + 1) if own else slice(0, 0)
                picked[axis] = np.array(own, np.int64) - wanted[axis].start
            values = self.read(tuple(wanted))
            for axis, own in picked.items():
                if len(own) < values.shape[axis]:
                    values = np.take(values, own, axis)
            return values.reshape([part.stop - part.start for part in region])

        shape = tuple(len(known[i]) for i in kept)
        chunks = (max(1, min(self.chunks[i], n)) for i, n in zip(kept, shape, strict=True))
        dims = tuple(self.dims[i] for i in kept)
        return replace(self, dims=dims, shape=shape, chunks=tuple(chunks), read=read)

    def pieces(self) -> Iterator[tuple[Region, Array]]:
        """Yield the stored values chunk by chunk, with their places."""
        starts = [range(0, n, step) for n, step in zip(self.shape, self.chunks, strict=True)]
        for first in itertools.product(*starts):
            ends = zip(first, self.chunks, self.shape, strict=True)
            region = tuple(slice(at, min(at + step, n)) for at, step, n in ends)
            yield region, self.read(region)

    def digest(self) -> str:
        """Return a digest of the stored values and of what describes them."""
        about = [self.name, self.dims, self.shape, self.dtype.str, self.attributes]
        found = hashlib.sha256(json.dumps(about, sort_keys=True, default=str).encode())
        for _, values in self.pieces():
            if values.dtype.kind in "OT":
                found.update(json.dumps(values.tolist(), default=str).encode())
            else:
                found.update(np.ascontiguousarray(values).tobytes())
        return found.hexdigest()


def encoded_fill(value: Any) -> Any:
    """Return a fill value as xarray stores the attribute ``_FillValue`` in Zarr format 3."""
    plain = value.item() if isinstance(value, np.generic) else value
    if isinstance(plain, float):
        return base64.standard_b64encode(struct.pack("<d", plain)).decode()
    return plain


def decoded_fill(value: Any, dtype: np.dtype[Any]) -> Any:
    """Return a fill value that `encoded_fill` may have made, for an array of `dtype`."""
    if dtype.kind == "f" and isinstance(value, str):
        return struct.unpack("<d", base64.standard_b64decode(value))[0]
    return value


class Describing(Protocol):
    """Variables of a group that can also give the arrays that describe them, undecoded."""

    def described(self, name: str) -> DescribingArray | None:
        """Return the member called `name` as it is stored, or None if there is none."""

    def shared_coordinates(self) -> Sequence[str]:
        """Return the names of coordinates that belong to the group as a whole."""
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
    digest
        A digest of all arrays as they are now, which `checked` computes; "" before.
    """

    arrays: tuple[DescribingArray, ...] = ()
    auxiliary: tuple[str, ...] = ()
    grid_mapping: str = ""
    digest: str = ""

    def checked(self) -> tuple[Coordinates, dict[str, str]]:
        """Return what can be read of them, with its digest, and why each of the others cannot.

        This reads all arrays.
        """
        digests, faults = {}, {}
        for one in self.arrays:
            try:
                digests[one.name] = one.digest()
            except Exception as error:  # noqa: BLE001  codecs and stores raise exceptions of any kind
                faults[one.name] = f"{type(error).__name__}: {first_line(error)}"
        kept = self.without(faults)
        told = [digests, kept.auxiliary, kept.grid_mapping]
        return replace(kept, digest=hashlib.sha256(json.dumps(told).encode()).hexdigest()), faults

    def without(self, names: Collection[str]) -> Coordinates:
        """Return them without the arrays called `names`."""
        mapping = "" if set(_words(self.grid_mapping)) & set(names) else self.grid_mapping
        return Coordinates(
            tuple(one for one in self.arrays if one.name not in names),
            tuple(name for name in self.auxiliary if name not in names),
            mapping,
        )

    @property
    def unstorable(self) -> list[str]:
        """The names of arrays that no Zarr group can hold, or that no attribute can list."""
        return [
            one.name
            for one in self.arrays
            if "/" in one.name or (one.name in self.auxiliary and len(one.name.split()) != 1)
        ]


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
    for one in variables:
        named += _text(one, "coordinates").split()
    named += [*known.shared_coordinates(), *_words(mapping)]
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
    if not all(name in arrays for name in _words(mapping)):
        mapping = ""  # It names coordinates that the selection does not have.
    return Coordinates(tuple(arrays.values()), tuple(auxiliary), mapping)


def _words(mapping: str) -> list[str]:
    """Return the names in an attribute ``grid_mapping``, which may be "crs: x y"."""
    return re.findall(r"[^\s:]+", mapping)


def _features(plan: Arrangement) -> list[str]:
    return [one.variable.name for one in plan.columns]


def _text(found: DescribingArray, name: str) -> str:
    value = found.attributes.get(name)
    return value if isinstance(value, str) else ""


def _selected(plan: Arrangement) -> dict[str, At]:
    """Return the positions of each sample dimension that the grid has."""
    pairs = zip(plan.samples, plan.origin, plan.shape, strict=True)
    return {**{dim: range(first, first + size) for dim, first, size in pairs}, **dict(plan.taken)}


def _shown(found: DescribingArray, plan: Arrangement) -> DescribingArray:
    """Return an array without the attribute that places the whole grid, if a part was selected."""
    if not (any(plan.origin) or plan.taken) or _CORNER not in found.attributes:
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


def told_unreadable(faults: Mapping[str, str]) -> str:
    """Return the warning about coordinates that cannot be read, given why."""
    shown = "; ".join(f"{name} ({why})" for name, why in faults.items())
    return (
        f"These coordinates of the data cannot be read, so the results are without them: {shown}. "
        "Repair or delete them in the data."
    )
