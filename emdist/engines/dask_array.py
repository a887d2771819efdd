"""A two-dimensional Dask array as a source of blocks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from math import isnan
from typing import Any

import numpy as np
from dask.array import Array as DaskArray
from distributed import Future

from emdist.errors import ConfigError, DtypeError, ShapeError
from emdist.interfaces import Block, Floats

MIB = 1 << 20

#: Decoded bytes of a block, unless one chunk is larger.
SMALLEST, LARGEST = 4 * MIB, 128 * MIB

#: Blocks that even small data is cut into, so that a few threads have work.
ENOUGH = 16


@dataclass(frozen=True, eq=False)
class DaskArraySource:
    """Runs of whole row-chunks of a Dask array, computed where they are read.

    Each block is computed by Dask's synchronous scheduler in the thread that asks for it, so
    the source works in every engine, and on a cluster its graph travels with the task once per
    pass. An array made from in-memory data carries that data along: write such data to Zarr.

    Parameters
    ----------
    array
        (n, d) of booleans, integers or floats, lazy. Booleans are read as uint8, float16 as
        float32, and foreign byte order as native.
    weight
        (n,) sample weights in memory, or None for 1.

    Raises
    ------
    ShapeError
        Not two-dimensional, empty, or of unknown chunk sizes.
    DtypeError
        No real numbers, or chunks that are no NumPy arrays.
    ConfigError
        The array was persisted.
    """

    array: DaskArray
    weight: Floats | None = None

    def __post_init__(self) -> None:
        _check_shape(self.array)
        _native(self.array.dtype)
        if type(self.array._meta) is not np.ndarray:
            raise DtypeError(
                f"the Dask array's chunks are of type {type(self.array._meta).__name__}; NumPy "
                "arrays are needed. Convert them with array.map_blocks, and fill masked values "
                "with dask.array.ma.filled."
            )
        if _persisted(self.array.__dask_graph__().values()):
            raise ConfigError(
                "the Dask array was persisted, so its chunks exist on one cluster only; hand "
                "over the array as it was before persist()."
            )

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, features)."""
        rows, features = self.array.shape
        return int(rows), int(features)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of `Block.x`."""
        return _native(self.array.dtype)

    @cached_property
    def _edges(self) -> tuple[int, ...]:
        """Row-chunk at which each block begins, and their number."""
        rows = self.array.chunks[0]
        return plan(rows, self.shape[1] * self.dtype.itemsize)

    @cached_property
    def bounds(self) -> Sequence[int]:
        """First row of each block, and the number of rows."""
        starts = list(accumulate(self.array.chunks[0], initial=0))
        return tuple(int(starts[edge]) for edge in self._edges)

    def __len__(self) -> int:
        return len(self._edges) - 1

    def read(self, i: int) -> Block:
        """Block `i`, computed."""
        part = self.array.blocks[self._edges[i] : self._edges[i + 1]]
        x = np.asarray(part.compute(scheduler="synchronous"))
        a, b = self.bounds[i], self.bounds[i + 1]
        weight = None if self.weight is None else self.weight[a:b]
        return Block(i, a, np.ascontiguousarray(x, dtype=self.dtype), weight)

    def fingerprint(self) -> Mapping[str, Any]:
        """Dask's name of the array, a hash of how it is made, with its shape and type."""
        return {
            "dask_array": str(self.array.name),
            "shape": list(self.shape),
            "dtype": self.dtype.name,
        }


def plan(rows: tuple[int, ...], row_bytes: int) -> tuple[int, ...]:
    """Chunk at which each block begins, and their number: a function of the data alone.

    Parameters
    ----------
    rows
        Rows of each chunk.
    row_bytes
        Decoded bytes of one row.
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
            f"the Dask array has shape {array.shape}; two dimensions (rows, features) are needed."
        )
    if any(isnan(n) for sizes in array.chunks for n in sizes):
        raise ShapeError(
            "the Dask array has chunks of unknown size; call array.compute_chunk_sizes() first."
        )
    if 0 in array.shape:
        raise ShapeError(f"the Dask array has shape {array.shape}: there is nothing in it.")


def _native(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The type in which a block of `dtype` is read."""
    if dtype.kind == "b":
        return np.dtype(np.uint8)
    if dtype == np.float16:
        return np.dtype(np.float32)
    if dtype.kind in "iu" or dtype.newbyteorder("=") in (np.float32, np.float64):
        return dtype.newbyteorder("=")
    raise DtypeError(
        f"the Dask array holds {dtype}; integers, booleans, float32 or float64 are needed. "
        "Convert it, for example with array.astype('float64')."
    )


def _persisted(values: Iterable[Any]) -> bool:
    return any(isinstance(getattr(v, "value", v), Future) for v in values)
