"""Progress of labels: what is noted of the blocks that are done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from emdist.interfaces import Floats
from emdist.store.chunks.bounded import bounded
from emdist.store.chunks.layout import stored_cells
from emdist.store.chunks.zarr_thread import apart
from emdist.store.labels.place import (
    check_created,
    check_no_links,
    damaged,
    label_mark,
    layout_of,
    telling,
)
from emdist.store.places.location import Location, open_zarr_store

#: The largest number of values that are noted of a block.
_MOST_COLUMNS = 1 << 20


@dataclass(frozen=True)
class Noted:
    """The progress of a labelling: what is noted of its blocks.

    Attributes
    ----------
    blocks
        The number of blocks of the labelling.
    done
        The ascending indices of the blocks that are done, shape (m,).
    rows
        What is noted of these blocks, shape (m, columns), as `LabelWriter` packs it.
    """

    blocks: int
    done: NDArray[np.int64]
    rows: Floats


@apart
def read_progress(location: Location) -> Noted:
    """Return the progress that is stored at `location`.

    It reads only what is stored, however many blocks the metadata claims.

    Raises
    ------
    CheckpointError
        If it is not what emdist wrote.
    """
    check_no_links(location)
    with telling("read the progress in", location):
        store = open_zarr_store(location, read_only=True)
        mark = label_mark(location) or {}
        check_created(mark, location)
        layout, columns = layout_of(mark, location)
        array: zarr.Array[Any] = zarr.open_array(store, mode="r", path=layout.progress)
        # Labels of earlier versions have no digests, and so one column less.
        wanted = (layout.blocks, 2 + int("digest" in mark) + columns)
        if array.shape != wanted or array.dtype != np.float64 or array.chunks != (1, wanted[1]):
            raise damaged(
                location,
                f"their progress has dtype {array.dtype} and shape {array.shape}, expected float64 "
                f"and {wanted}",
            )
        if wanted[1] > _MOST_COLUMNS:
            raise damaged(location, f"their metadata claims {columns} components")
        at = np.array([row for row, _ in stored_cells(array, [wanted[0], 1])], np.int64)
        noted = np.empty((0, wanted[1]))
        if len(at):
            noted = np.asarray(bounded(array).get_orthogonal_selection((at, slice(None))), float)
        done = np.isfinite(noted[:, 0])
        return Noted(wanted[0], at[done], noted[done])
