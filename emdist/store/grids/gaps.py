"""Gaps: the chunks of a variable that were never written."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from emdist.errors import MissingChunksError, ShapeError
from emdist.store.chunks.layout import missing_inside, stored_cells, unit_shape
from emdist.store.sources.diagnosis import Region

#: The largest number of chunks of a variable: a bit is kept for each.
_MOST = 1 << 26
#: How many chunks a message names.
_SHOWN = 3


@dataclass(frozen=True, eq=False)
class Gaps:
    """Which chunks of an array are missing; small and picklable.

    Attributes
    ----------
    chunks
        The shape of a chunk.
    counts
        The number of chunks along each dimension.
    bits
        A bit for each chunk, in C order, set if the chunk is missing.
    """

    chunks: tuple[int, ...]
    counts: tuple[int, ...]
    bits: NDArray[np.uint8]

    def within(self, region: Region) -> NDArray[np.bool_]:
        """Return which chunks that hold a part of `region` are missing, by dimension."""
        cells = tuple(
            slice(part.start // c, -(-part.stop // c))
            for part, c in zip(region, self.chunks, strict=True)
        )
        grid = np.unpackbits(self.bits, count=math.prod(self.counts)).reshape(self.counts)
        return grid[cells].astype(bool)

    def touch(self, region: Region) -> bool:
        """Return whether a missing chunk holds a part of `region`."""
        return bool(self.within(region).any())


def gaps_in(array: zarr.Array[Any], region: Region, inside: bool) -> Gaps | None:
    """Return the missing chunks of `array` that hold a part of `region`, or None for none.

    `inside` says whether to look for missing chunks in shards that exist.

    Raises
    ------
    ShapeError
        If the array has too many chunks.
    """
    unit, chunks = unit_shape(array), tuple(int(n) for n in array.chunks)
    counts = tuple(-(-n // c) for n, c in zip(array.shape, chunks, strict=True))
    if math.prod(counts) > _MOST:
        raise ShapeError(
            f"{array.path or array.store} has {math.prod(counts)} chunks, expected at most {_MOST}."
            " Rechunk it."
        )
    units = [-(-n // u) for n, u in zip(array.shape, unit, strict=True)]
    there = stored_cells(array, units)
    grid = np.ones(counts, bool)
    each = tuple(u // c for u, c in zip(unit, chunks, strict=True))
    for cell in there:
        grid[tuple(slice(at * n, (at + 1) * n) for at, n in zip(cell, each, strict=True))] = False
    if inside and array.shards is not None:
        for cell, absent in missing_inside(array, there):
            begin = [at * n for at, n in zip(cell, each, strict=True)]
            held = tuple(slice(b, b + n) for b, n in zip(begin, absent.shape, strict=True))
            grid[held] |= absent
    used = np.zeros(counts, bool)
    cells = zip(region, chunks, strict=True)
    used[tuple(slice(part.start // c, -(-part.stop // c)) for part, c in cells)] = True
    grid &= used
    return Gaps(chunks, counts, np.packbits(grid)) if grid.any() else None


def refused(gaps: Gaps, dims: tuple[str, ...], what: str, fill: Any) -> MissingChunksError:
    """Return the error for chunks that were never written."""
    grid = np.unpackbits(gaps.bits, count=math.prod(gaps.counts)).reshape(gaps.counts)
    number = int(grid.sum())
    at = [np.unravel_index(i, gaps.counts) for i in itertools.islice(np.flatnonzero(grid), _SHOWN)]
    shown = "; ".join(
        ", ".join(
            f"{dim} {int(i) * c}..{(int(i) + 1) * c - 1}"
            for dim, i, c in zip(dims, cell, gaps.chunks, strict=True)
        )
        for cell in at
    )
    return MissingChunksError(
        f"{what}: {number} chunk(s) were never written ({shown}"
        f"{'; ...' if number > _SHOWN else ''}). Zarr would read them as the fill value {fill}. "
        "Finish writing them, or set data.missing_chunks to 'drop' to leave their rows out, or to "
        "'fill' to use the fill value: many writers skip chunks that contain nothing else."
    )
