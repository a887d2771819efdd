"""A 2-D Zarr array, local or in an object store, as a source of blocks of whole chunks."""

from __future__ import annotations

import logging
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from zarr.buffer.cpu import NDBuffer

from emdist.errors import CorruptChunkError, EmdistError
from emdist.inputs.names import Names
from emdist.interfaces import Array, Block, Floats
from emdist.runtime.defects import REPORT, is_defect
from emdist.store.chunks.layout import (
    Ranges,
    RowRange,
    chunk_keys,
    is_within,
    merged,
    metadata_digest,
    sampled_digest,
    unit_rows,
)
from emdist.store.chunks.zarr_thread import apart
from emdist.store.sources.arrays import check_matrix, finite_rows
from emdist.store.sources.buffered import Buffered
from emdist.store.sources.cf import Packing, packing
from emdist.store.sources.chunk_files import Torn, chunk_files
from emdist.store.sources.diagnosis import Region, Request, diagnosed, salvaged, torn
from emdist.store.sources.direct import expect_rows, may_map, read_rows
from emdist.store.sources.feature_names import stored_names
from emdist.store.sources.plan import block_bounds, native, usable_dtype
from emdist.store.sources.references import ArrayRef, open_checked, reference, shown_cause
from emdist.store.sources.source_checks import checked_array, checked_weight, gaps_of
from emdist.store.sources.stamps import stamps_of

log = logging.getLogger(__name__)

__all__ = ["ArrayRef", "ZarrSource", "reference", "zarr_source"]


@dataclass(frozen=True)
class ZarrSource(Buffered):
    """Blocks of a 2-D Zarr array. Use `zarr_source` to make one.

    Attributes
    ----------
    ref
        The reference of the array.
    rows, features
        The shape of the array.
    stored
        The dtype of the array, as text.
    bounds
        The block plan: the first row of each block, then `rows`.
    weight
        The sample weights: an array (n,) in memory, the reference of a 1-D Zarr array, or None.
    missing
        What happens to the rows in `gaps`: "drop" masks them, "fill" uses the fill value, and
        "raise" allows none.
    non_finite
        What happens to rows with NaN or infinity. "drop" masks them. With "raise", blocks contain
        them, and the survey raises an error. With "missing", blocks contain them too, but the
        survey accepts NaN and refuses only infinity.
    gaps
        The half-open row ranges of missing chunks. A chunk that is missing outside these ranges has
        vanished since the check, which is an error under any policy.
    corrupt
        What happens to chunks that do not decode: "raise", or "drop", which masks their rows.
    packing, weight_packing
        How stored numbers of the array, and of the weights, become values; None if they are values.
    """

    ref: ArrayRef
    rows: int
    features: int
    stored: str
    bounds: Sequence[int]
    weight: Floats | ArrayRef | None = None
    missing: str = "raise"
    non_finite: str = "raise"
    gaps: Ranges = ()
    corrupt: str = "raise"
    packing: Packing | None = None
    weight_packing: Packing | None = None

    @property
    def shape(self) -> tuple[int, int]:
        return self.rows, self.features

    @property
    def dtype(self) -> np.dtype[Any]:
        return usable_dtype(_values(self.stored, self.packing), str(self.ref))

    @property
    def feature_names(self) -> Names:
        """The names that are stored with the array now. They never travel with tasks."""
        return stored_names(open_checked(self.ref), self.ref)

    @property
    def is_mapped(self) -> bool:
        files = chunk_files(self.ref)
        if files is None or self.packing is not None:
            return False
        return may_map(files, self.bounds[0], self.bounds[1])

    def __len__(self) -> int:
        return len(self.bounds) - 1

    def expect(self, i: int) -> None:
        """Begin to read block `i`, which will be needed soon, on a thread or else by the kernel.

        Mapped rows need no thread. If the budget has no space for the block, no thread reads it
        either.
        """
        if self.keep is not None and self.keep.get(i) is not None:
            return
        a, b = self.bounds[i], self.bounds[i + 1]
        files = chunk_files(self.ref)
        mapped = files is not None and may_map(files, a, b)
        if not mapped and self._begin(i):
            return
        if files is not None:
            expect_rows(files, a, b)

    def _nbytes(self, i: int) -> int:
        weight = 8 if isinstance(self.weight, ArrayRef) else 0
        rows = self.bounds[i + 1] - self.bounds[i]
        return rows * (self.features * self.dtype.itemsize + weight)

    def _read(self, i: int) -> Block:
        """Read and decode block `i`, with its sample weights and its mask."""
        a, b = self.bounds[i], self.bounds[i + 1]
        rows, lost = self._rows(self.ref, i)
        x = native(rows if self.packing is None else self.packing.decode(rows))
        weight: Floats | None
        if isinstance(self.weight, ArrayRef):
            weights, unweighted = self._rows(self.weight, i)
            if self.weight_packing is not None:
                weights = self.weight_packing.decode(weights)
            weight, lost = weights.astype(np.float64), (*lost, *unweighted)
        else:
            weight = None if self.weight is None else self.weight[a:b]
        note = "" if self.packing is None else self.packing.note
        return Block(i, a, x, weight, self._mask(x, i, lost), note)

    def _rows(self, ref: ArrayRef, i: int) -> tuple[Array, Ranges]:
        """Return block `i` of a 1-D or 2-D array, and the rows that could not be decoded."""
        a, b = self.bounds[i], self.bounds[i + 1]
        if (rows := self._direct(ref, i)) is not None:
            return rows
        try:
            array = ref.reader()
            out = np.empty((b - a, *array.shape[1:]), array.dtype)
            for start, stop, gap in _runs(a, b, self.gaps):
                if gap and self.missing == "drop":
                    out[start - a : stop - a] = 0
                    continue
                selection = (slice(start, stop),) + (slice(None),) * (array.ndim - 1)
                view = NDBuffer.from_numpy_array(out[start - a : stop - a])
                ref.reader(strict=not gap).get_basic_selection(selection, out=view)
        except EmdistError:
            raise
        except Exception as error:  # codecs and stores raise exceptions of any kind
            # The array may be what cannot be opened, so its shape is not asked for.
            features = (slice(0, self.features),) if ref is self.ref else ()
            asked = Request(ref, (slice(a, b), *features), i)
            found = diagnosed(asked, error)
            if self.corrupt == "drop" and isinstance(found, CorruptChunkError):
                lost = salvaged(asked, out, self._is_gap, self.missing)
                return out, merged([(part[0].start, part[0].stop) for part in lost], b)
            if found is error:  # a defect, raised unchanged
                raise
            raise found from shown_cause(ref, error)
        return out, ()

    def _is_gap(self, region: Region) -> bool:
        """Return whether a chunk that was missing from the start begins the rows of `region`."""
        return any(first <= region[0].start < last for first, last in self.gaps)

    def _direct(self, ref: ArrayRef, i: int) -> tuple[Array, Ranges] | None:
        """Read block `i` without Zarr. Return None if Zarr must read it or say what is wrong."""
        a, b = self.bounds[i], self.bounds[i + 1]
        if any(gap for _, _, gap in _runs(a, b, self.gaps)):
            return None
        try:
            files = chunk_files(ref)
            return None if files is None else (read_rows(files, a, b), ())
        except Torn as error:
            if self.corrupt == "drop":
                return self._pieces(ref, i)
            raise torn(ref, i, error) from None
        except Exception as error:  # noqa: BLE001  Zarr meets the same failure and explains it
            if is_defect(error):
                tell_of_slow_reads(f"{type(error).__name__}: {error}")
            return None

    def _pieces(self, ref: ArrayRef, i: int) -> tuple[Array, Ranges] | None:
        """Read block `i` as `_direct` does, chunk by chunk, without the chunks that are cut off."""
        a, b = self.bounds[i], self.bounds[i + 1]
        files, array = chunk_files(ref), ref.reader()
        assert files is not None
        out = np.zeros((b - a, *array.shape[1:]), array.dtype)
        lost: list[tuple[int, int]] = []
        size = array.chunks[0]
        for start in range(a - a % size, b, size):
            low, high = max(a, start), min(b, start + size)
            try:
                out[low - a : high - a] = read_rows(files, low, high)
            except Torn:
                lost.append((low, high))
            except Exception as error:  # noqa: BLE001  as above
                if is_defect(error):
                    tell_of_slow_reads(f"{type(error).__name__}: {error}")
                return None
        return out, tuple(lost)

    def _mask(self, x: Array, i: int, lost: Ranges = ()) -> Any:
        """Return the mask of the rows of `x` that are not left out, or None if none is left out."""
        a, b = self.bounds[i], self.bounds[i + 1]
        mask = finite_rows(x) if self.non_finite == "drop" else None
        gaps = [(start, stop) for start, stop, gap in _runs(a, b, self.gaps) if gap]
        for start, stop in (*lost, *(gaps if self.missing == "drop" else ())):
            mask = np.ones(b - a, bool) if mask is None else mask
            mask[start - a : stop - a] = False
        return mask

    @property
    def refs(self) -> tuple[ArrayRef, ...]:
        """The arrays that are read."""
        return (self.ref, self.weight) if isinstance(self.weight, ArrayRef) else (self.ref,)

    @apart
    def fingerprint(self) -> Mapping[str, Any]:
        """Return what identifies the contents of data and weights.

        That is, for each array: its metadata, the number of its objects, and the size and ends of
        up to 16 objects.
        """
        found = {
            "kind": "zarr",
            "shape": [self.rows, self.features],
            "dtype": self.stored,
            **stored_identity(self.ref),
        }
        if self.packing is not None:
            found["decoded"] = str(self.packing)
        if isinstance(self.weight, ArrayRef):
            found["weights"] = stored_identity(self.weight)
        return found

    @apart
    def stamps(self) -> Mapping[str, str]:
        """Return digests of sizes and times of all files of data and weights; see `stamps_of`."""
        return stamps_of(*self.refs)


@cache
def tell_of_slow_reads(why: str) -> None:
    """Warn once per process that a defect makes reads slow. The rows are right all the same."""
    log.warning(
        "emdist's own reader of local chunks failed (%s), so Zarr reads them, which is slower. "
        "This is a defect; please report it: %s",
        why,
        REPORT,
    )


def _values(stored: str, how: Packing | None) -> np.dtype[Any]:
    """Return the dtype of the values of an array that is stored as `stored`."""
    return np.dtype(stored if how is None else how.dtype)


def stored_identity(ref: ArrayRef, rows: RowRange | None = None) -> dict[str, Any]:
    """Return what identifies the contents of one array, or those of `rows` if it grows."""
    array = open_checked(ref)
    grows = rows is not None
    if ref.snapshot:  # Nothing in it can change, so nothing is listed or read.
        digest = metadata_digest(array, grows)
        return {"array": ref.path, "metadata_sha256": digest, "snapshot": ref.snapshot}
    keys = sorted(filter(is_within(array, rows), chunk_keys(array)))
    return {
        "array": str(ref),
        "metadata_sha256": metadata_digest(array, grows),
        "chunks_stored": len(keys),
        "sampled_sha256": sampled_digest(array, keys),
    }


def _runs(a: int, b: int, gaps: Ranges) -> Iterator[tuple[int, int, bool]]:
    """Split rows a..b into ``(start, stop, is_gap)`` at the edges of `gaps`."""
    at = a
    for start, stop in gaps[max(0, bisect_right(gaps, (a, a)) - 1) :]:
        if start >= b:
            break
        if stop <= a:
            continue
        if start > at:
            yield at, start, False
        yield max(start, a), min(stop, b), True
        at = min(stop, b)
    if at < b:
        yield at, b, False


@apart
def zarr_source(
    ref: ArrayRef,
    weight: Floats | ArrayRef | None = None,
    block_bytes: int | None = None,
    missing: str = "raise",
    non_finite: str = "raise",
    corrupt: str = "raise",
    decode: str = "cf",
) -> ZarrSource:
    """Return a 2-D Zarr array as a source, checked as far as its metadata and keys allow.

    With `decode` "cf", scale, offset and fill values of the array apply; with "none", stored
    numbers are the values.

    Raises
    ------
    NotFoundError, NotAnArrayError, ShapeError, DtypeError, MissingChunksError, WeightError
    """
    ref, array = checked_array(ref)
    check_matrix(array.shape, str(ref))
    how = packing(array, str(ref)) if decode == "cf" else None
    dtype = usable_dtype(array.dtype if how is None else np.dtype(how.dtype), str(ref))
    weight, gaps = checked_weight(weight, array.shape[0], missing)
    gaps = merged([*gaps, *gaps_of(ref, array, missing)], array.shape[0])
    row_bytes = array.shape[1] * max(array.dtype.itemsize, dtype.itemsize)
    bounds = block_bounds(array.shape[0], row_bytes, unit_rows(array), block_bytes)
    return ZarrSource(
        ref,
        array.shape[0],
        array.shape[1],
        str(array.dtype),
        bounds,
        weight,
        missing,
        non_finite,
        gaps,
        corrupt,
        packing=how,
        weight_packing=packing(weight.reader(), f"the weights in {weight}")
        if decode == "cf" and isinstance(weight, ArrayRef)
        else None,
    )
