"""Control arrays: sound Zarr arrays in memory, which show whether a failure is a defect.

If a control array cannot be read either, the code is at fault and not the user's data. See
`emdist.runtime.defects`. Control arrays are made only after something has failed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import zarr
from zarr.storage import MemoryStore, StorePath

from emdist.interfaces import Array
from emdist.store.chunks.bounded import bounded
from emdist.store.chunks.layout import metadata_digest, missing_rows
from emdist.store.chunks.writing import packers

_ROWS, _CHUNK = 8, 2
#: One array for each way in which emdist and most other programs write.
_WAYS: dict[str, dict[str, Any]] = {
    "plain": {},
    "labels": {"compressors": packers("float64", (_CHUNK, 1))},
    "shards": {"shards": (2 * _CHUNK, 1)},
    "second": {"zarr_format": 2},
}


def open_sound_arrays() -> None:
    """Write, list, open and read sound arrays.

    Whatever Zarr, or emdist with it, raises is passed on.
    """
    store = MemoryStore()
    group = zarr.create_group(store, attributes={"made": "as a control"})
    rows: Array = np.arange(_ROWS, dtype=np.float64).reshape(-1, 1)
    for name, way in _WAYS.items():
        root = store if name != "second" else MemoryStore()
        made = zarr.create_array(
            root, name=name, shape=rows.shape, chunks=(_CHUNK, 1), dtype="f8", **way
        )
        made[:] = rows
        array = bounded(zarr.open_array(root, mode="r", path=name))
        metadata_digest(array)
        missing_rows(array)
        array[:]
    zarr.open_group(store, mode="r", path="")
    list(group.members())


def read_sound_chunk(array: zarr.Array[Any]) -> None:
    """Write a chunk like those of `array` into memory and read it. Exceptions are passed on."""
    path = StorePath(MemoryStore(), array.path)
    metadata: Any = array.metadata
    twin = zarr.Array(zarr.AsyncArray(metadata, path, array.config))
    region = tuple(slice(0, min(n, c)) for n, c in zip(array.shape, array.chunks, strict=True))
    shape = tuple(part.stop for part in region)
    # The values alternate, because a chunk that holds only the fill value would not be stored.
    twin[region] = (np.arange(int(np.prod(shape))).reshape(shape) % 2).astype(array.dtype)
    twin[region]
