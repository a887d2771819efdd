"""Variables that are stored as Zarr arrays."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import zarr
from zarr.buffer.cpu import NDBuffer

from emdist.errors import CorruptChunkError, EmdistError, ShapeError
from emdist.interfaces import Array
from emdist.runtime.defects import is_defect
from emdist.store.chunks.bounded import bounded
from emdist.store.chunks.layout import unit_shape
from emdist.store.grids.cells import cells_of
from emdist.store.grids.coordinates import DescribingArray, encoded_fill
from emdist.store.grids.gaps import Gaps, gaps_in, refused
from emdist.store.grids.variables import Piece, natural, unknown
from emdist.store.sources.cf import DIMENSIONS, Packing, packing
from emdist.store.sources.chunk_files import Torn
from emdist.store.sources.diagnosis import Region, Request, cut_off, diagnosed, salvaged
from emdist.store.sources.plan import usable_dtype
from emdist.store.sources.references import ArrayRef, open_checked, shown_cause
from emdist.store.sources.source_checks import checked_array
from emdist.store.sources.zarr_source import stored_identity, tell_of_slow_reads

#: Coordinates longer than this are not read: a selection or a name by position is meant then.
_LONGEST = 1 << 24


@dataclass(frozen=True)
class StoredVariable:
    """A variable that is stored as a Zarr array; small and picklable.

    Attributes
    ----------
    name
        Its name in the group.
    ref
        The reference of the array.
    dims
        The names of its dimensions.
    shape
        Their sizes.
    units
        The shape of what one stored object holds: a shard, or a chunk if there are no shards.
    stored
        The dtype of the array, as text.
    packing
        How stored numbers become values, or None if they are the values.
    gaps
        The chunks that were missing when the variable was checked, or None for none. A chunk that
        is missing elsewhere has vanished since, which is an error under any policy.
    """

    name: str
    ref: ArrayRef
    dims: tuple[str, ...]
    shape: tuple[int, ...]
    units: tuple[int, ...]
    stored: str
    packing: Packing | None = None
    gaps: Gaps | None = field(default=None, compare=False)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of decoded values in a block."""
        how = self.packing
        return usable_dtype(np.dtype(self.stored if how is None else how.dtype), str(self.ref))

    def pieces(self, region: Region, block: int, missing: str, corrupt: str) -> Iterator[Piece]:
        cells = None if self._is_gap(region) else cells_of(self.ref)
        if cells is None:
            yield self._by_zarr(region, block, missing, corrupt)
            return
        scratch: list[Array] = []
        for key, first, part in cells.of(region):
            try:
                raw = cells.read(key, scratch)
            except Torn as error:
                if corrupt == "drop":
                    shape = [one.stop - one.start for one in part]
                    yield Piece(part, np.zeros(shape, self.dtype), [part])
                    continue
                asked = Request(self.ref, region, block, self.dims)
                raise cut_off(asked, key, part, error.args[-1]) from None
            except Exception as error:  # noqa: BLE001  Zarr meets the same failure and explains it
                if is_defect(error):
                    tell_of_slow_reads(f"{type(error).__name__}: {error}")
                yield self._by_zarr(part, block, missing, corrupt)
                continue
            within = zip(part, first, strict=True)
            values = raw[tuple(slice(one.start - at, one.stop - at) for one, at in within)]
            yield Piece(part, self._decoded(values), [])

    def _by_zarr(self, region: Region, block: int, missing: str, corrupt: str) -> Piece:
        """Return the values of `region` as Zarr reads them."""
        asked = Request(self.ref, region, block, self.dims)
        raw: Array = np.empty([part.stop - part.start for part in region], self.stored)
        try:
            whole = self.gaps is None or not self.gaps.touch(region)
            if whole:
                view = NDBuffer.from_numpy_array(raw)
                self.ref.reader().get_basic_selection(region, out=view)
                return Piece(region, self._decoded(raw), [])
        except EmdistError:
            raise
        except Exception as error:  # codecs and stores raise exceptions of any kind
            found = diagnosed(asked, error)
            if corrupt != "drop" or not isinstance(found, CorruptChunkError):
                if found is error:  # a defect, raised unchanged
                    raise
                raise found from shown_cause(self.ref, error)
        lost = salvaged(asked, raw, self._is_gap, missing, corrupt)
        return Piece(region, self._decoded(raw), lost)

    @property
    def note(self) -> str:
        """Which stored numbers become NaN, for messages."""
        return "" if self.packing is None else self.packing.note

    @property
    def refs(self) -> tuple[ArrayRef, ...]:
        """The array."""
        return (self.ref,)

    def identity(self) -> dict[str, Any]:
        """Return what identifies the contents, and how they are decoded."""
        found = {"dtype": self.stored, **stored_identity(self.ref)}
        if self.packing is not None:
            found["decoded"] = str(self.packing)
        return found

    def _decoded(self, raw: Array) -> Array:
        return raw if self.packing is None else self.packing.decode(raw)

    def _is_gap(self, region: Region) -> bool:
        return self.gaps is not None and self.gaps.touch(region)

    def checked(self, region: Region, missing: str) -> StoredVariable:
        """Return the variable with the gaps of `region`.

        A chunk that is missing has no values if the fill value means "missing"; such chunks are no
        error under any policy.

        Raises
        ------
        MissingChunksError
            If there are other gaps and `missing` is "raise".
        """
        array = open_checked(self.ref)
        gaps = gaps_in(array, region, inside=missing != "fill")
        if gaps is not None and missing == "raise" and not self.fills_missing(array.fill_value):
            raise refused(gaps, self.dims, str(self.ref), array.fill_value)
        return replace(self, gaps=gaps)

    def fills_missing(self, fill: Any) -> bool:
        """Return whether the fill value of the array stands for a missing value."""
        value = np.full(1, 0 if fill is None else fill, self.stored)
        return bool(np.isnan(self._decoded(value)).any()) if self.dtype.kind == "f" else False

    def unit(self, dim: str) -> int:
        """Return the size of a stored object along `dim`, or 1 if the variable lacks it."""
        return self.units[self.dims.index(dim)] if dim in self.dims else 1


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

    def shared_coordinates(self) -> str:
        """Return the attribute ``coordinates`` of the group, or "" if it has none."""
        if self._group is None:
            return ""
        found = self.ref.open_group().attrs.get("coordinates")
        return found if isinstance(found, str) else ""

    def _member(self, name: str) -> zarr.Array[Any] | None:
        """Return the array `name` of the group, or of the group around a single array."""
        if self._group is not None:
            return self._group.get(name)
        if self.ref.path and name == self.only().name:
            return self.ref.open()
        return _beside(self.ref, name)

    def _coordinate(self, dim: str) -> Array | None:
        array = (self._group or {}).get(dim) if self._group is not None else _beside(self.ref, dim)
        if array is None or array.ndim != 1 or array.shape[0] > _LONGEST:
            return None
        values = np.asarray(array[:])
        how = packing(array, dim) if array.dtype.kind in "iuf" else None
        values = values if how is None else how.decode(values)
        return _dates(values, dict(array.attrs))


def dims_of(array: zarr.Array[Any]) -> tuple[str, ...]:
    """Return the names of an array's dimensions; those without a name are called dim_0, ..."""
    found = getattr(array.metadata, "dimension_names", None) or array.attrs.get(DIMENSIONS)
    names = list(found) if isinstance(found, list | tuple) else []
    if len(names) != array.ndim:
        names = [None] * array.ndim
    texts = [name if isinstance(name, str) and name else f"dim_{i}" for i, name in enumerate(names)]
    if len(set(texts)) < len(texts):
        raise ShapeError(
            f"{array.path or array.store} has the dimensions {', '.join(texts)}, of which two have "
            "the same name. Rename one."
        )
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


def _beside(ref: ArrayRef, name: str) -> zarr.Array[Any] | None:
    """Return the array `name` in the group of the array `ref`, or None."""
    if not ref.path:
        return None
    try:
        return ref.above().below(name).open()
    except Exception:  # noqa: BLE001  stores raise anything; then there is no coordinate
        return None


def _dates(values: Array, attrs: dict[str, Any]) -> Array:
    """Return times stored as numbers since a date as datetime64, if xarray is installed."""
    units = attrs.get("units")
    if not isinstance(units, str) or " since " not in units:
        return values
    try:
        import xarray as xr
    except ImportError:
        return values
    kept = {name: attrs[name] for name in ("units", "calendar") if name in attrs}
    coded = xr.Dataset({"time": ("time", values, kept)})
    decoded: Array = xr.decode_cf(coded)["time"].values
    return decoded
