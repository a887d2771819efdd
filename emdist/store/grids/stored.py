"""Variables that are stored as Zarr arrays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from zarr.buffer.cpu import NDBuffer

from emdist.errors import CorruptChunkError, EmdistError
from emdist.interfaces import Array
from emdist.runtime.defects import is_defect
from emdist.store.chunks.layout import RowRange
from emdist.store.grids.cells import cells_of
from emdist.store.grids.gaps import Gaps, gaps_in, refused
from emdist.store.grids.variables import Piece
from emdist.store.sources.cf import Packing
from emdist.store.sources.chunk_files import Torn
from emdist.store.sources.diagnosis import Region, Request, cut_off, diagnosed, salvaged
from emdist.store.sources.plan import usable_dtype
from emdist.store.sources.references import ArrayRef, open_checked, shown_cause
from emdist.store.sources.zarr_source import stored_identity, tell_of_slow_reads


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
    rows
        The rows that identify the contents, if the array grows; None if all of it does.
    """

    name: str
    ref: ArrayRef
    dims: tuple[str, ...]
    shape: tuple[int, ...]
    units: tuple[int, ...]
    stored: str
    packing: Packing | None = None
    gaps: Gaps | None = field(default=None, compare=False)
    rows: RowRange | None = None

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of decoded values in a block."""
        return usable_dtype(self.exact_dtype, str(self.ref))

    @property
    def exact_dtype(self) -> np.dtype[Any]:
        """The dtype of decoded values as they are read."""
        return np.dtype(self.stored if self.packing is None else self.packing.dtype)

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
        found = {"dtype": self.stored, **stored_identity(self.ref, self.rows)}
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
