"""The chunks of a Dask array, each held to what the array declares, and to what it was before."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any

import numpy as np
from fastcrc.crc32 import iscsi

from emdist.errors import DataError, DtypeError, ShapeError
from emdist.interfaces import Array

#: Sources whose blocks a process remembers, the last ones.
_REMEMBERED = 16


class Digests:
    """Checksums of the blocks that this process has read, by source.

    It has state because a block is held against an earlier read: an array that changes from pass
    to pass has no clusters, and nothing else would say so.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: OrderedDict[str, dict[int, int]] = OrderedDict()

    def same(self, owner: str, i: int, x: Array) -> bool:
        """Whether block `i` of the source `owner` is as it was when it was last read here."""
        digest = iscsi(np.frombuffer(x, np.uint8).data) if x.size else 0
        with self._lock:
            blocks = self._seen.setdefault(owner, {})
            self._seen.move_to_end(owner)
            while len(self._seen) > _REMEMBERED:
                self._seen.popitem(last=False)
            return blocks.setdefault(i, digest) == digest


def checked_chunk(
    found: Any, place: tuple[int, int], shape: tuple[int, int], dtype: np.dtype[Any], first: int
) -> Array:
    """`found` if it is what the array declares; DataError that names the chunk if not.

    Parameters
    ----------
    found
        What the chunk's task gave.
    place
        Of the chunk among all: row and column.
    shape, dtype
        As the array declares them.
    first
        Its first row.
    """
    named = f"chunk {place} of the Dask array (rows {first}..{first + shape[0] - 1})"
    if isinstance(found, np.ma.MaskedArray):
        if hidden := int(np.count_nonzero(np.ma.getmaskarray(found))):
            raise DtypeError(
                f"{named} has {hidden} masked value(s). Fill them, for example with "
                "X = X.map_blocks(numpy.ma.filled, numpy.nan)."
            )
        found = found.data
    if not isinstance(found, np.ndarray | np.generic):
        raise DtypeError(
            f"{named} is a {type(found).__name__}, and NumPy arrays are needed. Convert it, for "
            f"example with X = X.map_blocks(numpy.asarray, dtype='{dtype}')."
        )
    if found.shape != shape:
        raise ShapeError(
            f"{named} has shape {found.shape}, and the array declares {shape} for it. Declare what "
            "the chunks are: give map_blocks or from_delayed the right chunks or shape, or call "
            "X.compute_chunk_sizes()."
        )
    if not np.can_cast(found.dtype, dtype, "safe"):
        raise DtypeError(
            f"{named} holds {found.dtype}, and the array declares {dtype}, which cannot hold it. "
            "Declare what the chunks hold: give map_blocks or from_delayed the right dtype."
        )
    return np.asarray(found)


def changed(i: int, rows: tuple[int, int]) -> DataError:
    """The error for a block that is another than before."""
    return DataError(
        f"The data changed between two passes: block {i} of the Dask array (rows {rows[0]}.."
        f"{rows[1] - 1}) has other values than when it was read before. An array of random numbers "
        "without a fixed seed, or over files that are being written, is made anew in every pass. "
        "Give the random generator a seed, or compute the array once: X = X.persist() for a fit on "
        "the same cluster, or X = X.compute() if it fits in memory."
    )
