"""Checks of a Dask array's chunks, against what the array declares and against earlier reads."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Any

import numpy as np
from fastcrc.crc32 import iscsi

from emdist.errors import DataError, DtypeError, ShapeError
from emdist.interfaces import Array

#: The number of sources whose digests a process remembers: the most recent ones.
_REMEMBERED = 16


class Digests:
    """Checksums of the blocks that this process has read, by source.

    It is mutable because each block is compared with an earlier read. An array that changes from
    pass to pass has no meaningful clusters, and nothing else would detect that.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: OrderedDict[str, dict[Hashable, int]] = OrderedDict()

    def same(self, owner: str, i: Hashable, x: Array) -> bool:
        """Return whether block `i` of source `owner` is unchanged since it was last read here."""
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
    """Return `found` if it is what the array declares, else raise a DataError that names the chunk.

    Parameters
    ----------
    found
        What the chunk's task returned.
    place
        The row and the column of the chunk in the grid of chunks.
    shape, dtype
        The shape and dtype that the array declares for the chunk.
    first
        The first row of the chunk.
    """
    named = f"chunk {place} of the Dask array (rows {first}..{first + shape[0] - 1})"
    return checked_values(found, named, shape, dtype)


def checked_values(found: Any, named: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Return `found` if it is what the array declares, else raise a DataError that says `named`.

    Parameters
    ----------
    found
        What Dask computed.
    named
        How the message names it.
    shape, dtype
        What the array declares for it.
    """
    if isinstance(found, np.ma.MaskedArray):
        if hidden := int(np.count_nonzero(np.ma.getmaskarray(found))):
            raise DtypeError(
                f"{named} has {hidden} masked value(s). Fill them, for example with "
                "X = X.map_blocks(numpy.ma.filled, numpy.nan)."
            )
        found = found.data
    if not isinstance(found, np.ndarray | np.generic):
        raise DtypeError(
            f"{named} is a {type(found).__name__}, expected a NumPy array. Convert it, for "
            f"example with X = X.map_blocks(numpy.asarray, dtype='{dtype}')."
        )
    if found.shape != shape:
        raise ShapeError(
            f"{named} has shape {found.shape}, but the array declares {shape}. Pass the right "
            "chunks or shape to map_blocks or from_delayed, or call X.compute_chunk_sizes()."
        )
    if not np.can_cast(found.dtype, dtype, "safe"):
        raise DtypeError(
            f"{named} has dtype {found.dtype}, but the array declares {dtype}, which cannot hold "
            "its values. Pass the right dtype to map_blocks or from_delayed."
        )
    return np.asarray(found)


def changed(what: str) -> DataError:
    """Return the error for a block, called `what`, that differs from an earlier read."""
    return DataError(
        f"The data changed between two passes: {what} has other values than in the pass before. "
        "Dask computes the array in every pass, so random numbers without a fixed seed, or files "
        "that are being written, give "
        "other values. Set a random seed, or compute the array once: X = X.persist() for a fit on "
        "the same cluster, or X = X.compute() if it fits in memory."
    )
