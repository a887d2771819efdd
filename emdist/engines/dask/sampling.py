"""Digests of a few chunks of a Dask array, which show whether the data behind it changed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from dask.local import get_sync
from dask.utils import ensure_dict
from distributed import Future

from emdist.engines.dask.persisted import Key, lying_in, supplied, with_chunks

if TYPE_CHECKING:
    from dask.array import Array as DaskArray

#: How many chunks are looked at, as many as objects of a Zarr array.
_SAMPLED = 16


def identity_of(array: DaskArray, futures: Mapping[Key, Future] | None = None) -> dict[str, str]:
    """Return Dask's name of an array, and the sha256 of up to 16 chunks, spread over it.

    The name follows from how the array is made. It is the same after its files were written again.
    The chunks are computed here, one after the other.

    Parameters
    ----------
    array
        The array, as `detached` returns it.
    futures
        Its chunks on a cluster, if it is persisted there.
    """
    digest = hashlib.sha256()
    graph = dict(ensure_dict(array.__dask_graph__())) if futures else {}
    total = int(np.prod(array.numblocks))
    for flat in np.unique(np.linspace(0, total - 1, min(total, _SAMPLED)).astype(np.int64)):
        place = tuple(int(at) for at in np.unravel_index(flat, array.numblocks))
        value: Any
        if futures:
            key = (array.name, *place)
            lying = lying_in(graph, [key])
            with supplied(lying, [futures[one].result() for one in lying]):
                (value,) = get_sync(with_chunks(graph, [key]), [key])
        else:
            value = array.blocks[place].compute(scheduler="synchronous")
        digest.update(f"{place}:".encode())
        digest.update(np.ascontiguousarray(value).tobytes())
    return {"dask_array": str(array.name), "sampled_sha256": digest.hexdigest()}
