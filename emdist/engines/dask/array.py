"""A two-dimensional Dask array as a source of blocks."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate
from math import isnan
from typing import Any

import numpy as np
from dask.array import Array as DaskArray
from dask.local import get_sync
from dask.utils import ensure_dict
from distributed import Future

from emdist.engines.dask.chunks import Digests, changed, checked_chunk
from emdist.engines.dask.persisted import Key, detached, lying_in, with_chunks
from emdist.engines.dask.sampling import identity_of
from emdist.errors import DtypeError, ShapeError
from emdist.inputs.names import Names
from emdist.interfaces import Array, Block, Floats

MIB = 1 << 20

#: The least and the largest decoded bytes of a block, unless one chunk is larger.
SMALLEST, LARGEST = 4 * MIB, 128 * MIB

#: The digests of the blocks that were read in this process.
_DIGESTS = Digests()

#: The number of blocks into which even small data are divided, so that a few threads have work.
ENOUGH = 16


@dataclass(frozen=True, eq=False)
class DaskArraySource:
    """Blocks of whole row-chunks of a Dask array, computed where they are read.

    Dask's synchronous scheduler computes each block in the thread that requests it, so the source
    works with every engine. On a cluster, its graph is sent with the task once per pass. The graph
    of an array made from in-memory data contains the data: write such data to Zarr. Chunks of a
    persisted array stay on their workers: make such a source with `dask_source`.

    Every chunk is compared with what the array declares, and every block with what this process
    read before.

    Parameters
    ----------
    array
        A lazy array (n, d) of booleans, integers or floats. Booleans are read as uint8, float16 as
        float32, and foreign byte order as native.
    weight
        Sample weights (n,) in memory, or None for 1.
    futures, persisted
        For a persisted array: its chunks by their keys, which the source keeps alive, and True. The
        futures are left out when the source is pickled.
    owner
        The name under which a process stores the digests of the blocks that it has read.
    feature_names
        The names of the columns, or None. They never travel with tasks.
    stamping
        Returns the stamps of the files that the array is computed from; it never travels either.

    Raises
    ------
    ShapeError
        If the array is not two-dimensional, is empty, or has chunks of unknown size.
    DtypeError
        If it holds no real numbers, or its chunks are no NumPy arrays.
    """

    array: DaskArray
    weight: Floats | None = None
    futures: Mapping[Key, Future] = field(default_factory=dict, repr=False)
    persisted: bool = False
    owner: str = field(default_factory=lambda: uuid.uuid4().hex, repr=False)
    feature_names: Names = None
    stamping: Callable[[], Mapping[str, str]] = field(default=dict, repr=False)

    def __post_init__(self) -> None:
        _check_shape(self.array)
        _native(self.array.dtype)
        if type(self.array._meta) is not np.ndarray:
            raise DtypeError(
                f"the chunks of the Dask array have type {type(self.array._meta).__name__}, "
                "expected NumPy arrays. Convert them with array.map_blocks, and fill masked values "
                "with dask.array.ma.filled."
            )

    def __reduce__(self) -> tuple[Any, ...]:
        # With futures, each worker would become a client of its own scheduler.
        return DaskArraySource, (self.array, self.weight, {}, self.persisted, self.owner)

    @property
    def shape(self) -> tuple[int, int]:
        """The numbers of rows and features."""
        rows, features = self.array.shape
        return int(rows), int(features)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of `Block.x`."""
        return _native(self.array.dtype)

    @cached_property
    def _edges(self) -> tuple[int, ...]:
        """The row-chunk at which each block begins, then the number of row-chunks."""
        rows = self.array.chunks[0]
        return plan(rows, self.shape[1] * self.dtype.itemsize)

    @cached_property
    def bounds(self) -> Sequence[int]:
        """The block plan: the first row of each block, then the number of rows."""
        starts = list(accumulate(self.array.chunks[0], initial=0))
        return tuple(int(starts[edge]) for edge in self._edges)

    def __len__(self) -> int:
        return len(self._edges) - 1

    def read(self, i: int) -> Block:
        """Compute block `i`."""
        a, b = self.bounds[i], self.bounds[i + 1]
        x = self._computed(i)
        if not _DIGESTS.same(self.owner, i, x):
            raise changed(f"block {i} of the Dask array (rows {a}..{b - 1})")
        weight = None if self.weight is None else self.weight[a:b]
        return Block(i, a, x, weight)

    def needs(self, i: int) -> tuple[Key, ...]:
        """Return the keys of the persisted chunks from which block `i` is made."""
        return lying_in(self._graph, self._keys(i)) if self.persisted else ()

    @cached_property
    def _graph(self) -> dict[Any, Any]:
        return dict(ensure_dict(self.array.__dask_graph__()))

    def _keys(self, i: int) -> list[Key]:
        rows, columns = range(self._edges[i], self._edges[i + 1]), self.array.numblocks[1]
        return [(self.array.name, row, column) for row in rows for column in range(columns)]

    def _chunks(self, i: int) -> Iterator[Any]:
        """Yield the chunks of block `i`, one row of chunks after another."""
        if self.persisted:
            keys = self._keys(i)
            yield from get_sync(with_chunks(self._graph, keys), keys)
            return
        part = self.array.blocks[self._edges[i] : self._edges[i + 1]]
        keys = part.__dask_keys__()
        graph = part.__dask_optimize__(part.__dask_graph__(), keys)
        for row in get_sync(ensure_dict(graph), keys):
            yield from row

    def _computed(self, i: int) -> Array:
        """Return block `i` in C order, made from its chunks, each of which is checked."""
        keys = self._keys(i)
        heights, widths = self.array.chunks
        out: Array | None = None
        first = self.bounds[i]
        for (_, row, column), chunk in zip(keys, self._chunks(i), strict=True):
            shape = (int(heights[row]), int(widths[column]))
            x = checked_chunk(chunk, (row, column), shape, self.array.dtype, first)
            if len(keys) == 1:
                return np.ascontiguousarray(x, dtype=self.dtype)
            if out is None:
                out = np.empty((self.bounds[i + 1] - self.bounds[i], self.shape[1]), self.dtype)
            left = sum(int(width) for width in widths[:column])
            start = first - self.bounds[i]
            out[start : start + shape[0], left : left + shape[1]] = x
            first += shape[0] if column == len(widths) - 1 else 0
        assert out is not None
        return out

    def fingerprint(self) -> Mapping[str, Any]:
        """Return what identifies the array, as `identity_of`, with its shape and dtype."""
        found = identity_of(self.array, self.futures)
        return {**found, "shape": list(self.shape), "dtype": self.dtype.name}

    def stamps(self) -> Mapping[str, str]:
        """Return the stamps of the files of the array, as far as they are known."""
        return self.stamping()


def dask_source(
    array: DaskArray,
    weight: Floats | None = None,
    feature_names: Names = None,
    stamping: Callable[[], Mapping[str, str]] = dict,
) -> DaskArraySource:
    """Return `array`, persisted or not, as a source. It raises the errors of `DaskArraySource`."""
    lying, futures = detached(array)
    return DaskArraySource(
        lying, weight, futures, bool(futures), feature_names=feature_names, stamping=stamping
    )


def plan(rows: tuple[int, ...], row_bytes: int) -> tuple[int, ...]:
    """Return the chunk at which each block begins, then the number of chunks.

    The plan depends on the data only.

    Parameters
    ----------
    rows
        The rows of each chunk.
    row_bytes
        The decoded bytes of one row.
    """
    target = min(LARGEST, max(SMALLEST, sum(rows) * row_bytes // ENOUGH))
    edges, size = [0], 0
    for chunk, n in enumerate(rows):
        if size and size + n * row_bytes > target:
            edges.append(chunk)
            size = 0
        size += n * row_bytes
    return (*edges, len(rows))


def _check_shape(array: DaskArray) -> None:
    if array.ndim != 2:
        raise ShapeError(
            f"the Dask array has shape {array.shape}, expected two dimensions: (rows, features)."
        )
    if any(isnan(n) for sizes in array.chunks for n in sizes):
        raise ShapeError(
            "the Dask array has chunks of unknown size. Call array.compute_chunk_sizes() first."
        )
    if 0 in array.shape:
        raise ShapeError(
            f"the Dask array is empty: it has shape {array.shape}, expected at least one row and "
            "one feature."
        )


def _native(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the dtype in which a block of `dtype` is read."""
    if dtype.kind == "b":
        return np.dtype(np.uint8)
    if dtype == np.float16:
        return np.dtype(np.float32)
    if dtype.kind in "iu" or dtype.newbyteorder("=") in (np.float32, np.float64):
        return dtype.newbyteorder("=")
    raise DtypeError(
        f"the Dask array has dtype {dtype}, expected integers, booleans, float32 or float64. "
        "Convert it, for example with array.astype('float64')."
    )
