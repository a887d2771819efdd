"""The block plan: which runs of whole chunks are one unit of work."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import Any, overload

import numpy as np

from emdist.errors import DtypeError, ShapeError

MIB = 1 << 20
#: Largest block by default, decoded: big enough to hide a scheduler's cost per task.
MAX_BLOCK_BYTES = 128 * MIB
#: Smallest block by default, so that little data still splits over a few threads.
MIN_BLOCK_BYTES = 2 * MIB
#: Blocks of an array at most; a plan is a list of them. At 1 MiB each they are 16 TiB.
MAX_BLOCKS = 1 << 24
#: What a row counts at least, because work holds its label, its score and more beside it: else
#: a block of pixels, three bytes each, would take 15 times its size.
ROW_BYTES = 32


@dataclass(frozen=True)
class Bounds(Sequence[int]):
    """First rows of blocks of equal length but the last, and the number of rows at the end.

    A sequence that takes no memory of its own: metadata can claim any number of blocks.

    Attributes
    ----------
    rows
        In all.
    step
        Rows of a block.
    """

    rows: int
    step: int

    def __len__(self) -> int:
        return len(self._firsts) + 1

    @overload
    def __getitem__(self, index: int) -> int: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[int]: ...

    def __getitem__(self, index: int | slice) -> int | Sequence[int]:
        if isinstance(index, slice):
            return tuple(self)[index]
        at = index + len(self) if index < 0 else index
        return self.rows if at == len(self) - 1 else self._firsts[at]

    def __iter__(self) -> Iterator[int]:
        return chain(self._firsts, (self.rows,))

    @property
    def _firsts(self) -> range:
        return range(0, self.rows, self.step)


def longest(bounds: Sequence[int]) -> int:
    """Rows of the longest block between `bounds`."""
    if isinstance(bounds, Bounds):
        return min(bounds.step, bounds.rows)
    return max(b - a for a, b in pairwise(bounds))


def block_bounds(rows: int, row_bytes: int, unit: int, block_bytes: int | None) -> Bounds:
    """First rows of all blocks, and `rows` at the end.

    A function of the data and the configuration alone, so that results do not depend on the
    engine or the cluster.

    Parameters
    ----------
    rows
        In the array.
    row_bytes
        Of one decoded row.
    unit
        Rows of a chunk or shard: blocks are whole runs of these.
    block_bytes
        Wanted size, decoded, rows under `ROW_BYTES` counting as so many; None takes a
        sixteenth of the data between 2 and 128 MiB, and evens the blocks out.

    Raises
    ------
    ShapeError
        For more than `MAX_BLOCKS` blocks.
    """
    even = block_bytes is None
    if block_bytes is None:
        block_bytes = min(MAX_BLOCK_BYTES, max(MIN_BLOCK_BYTES, rows * row_bytes // 16))
    # Not where a block is so small that its rows' labels and scores do not matter.
    row_bytes = max(row_bytes, ROW_BYTES if block_bytes >= MIB else 1)
    units = max(1, block_bytes // (unit * row_bytes))
    if even and rows:
        # As many, and none left over that keeps one thread at work while the others wait.
        total = -(-rows // unit)
        units = -(-total // -(-total // units))
    if (blocks := -(-rows // (units * unit))) > MAX_BLOCKS:
        raise ShapeError(
            f"{rows} rows make {blocks} blocks of {units * unit} rows; at most {MAX_BLOCKS} can be "
            "planned. Check the array's shape, or set a larger data.block_size."
        )
    return Bounds(rows, units * unit)


def usable_dtype(dtype: np.dtype[Any], what: str) -> np.dtype[Any]:
    """The native dtype in which blocks of `dtype` are handed on; DtypeError if there is none.

    Booleans become uint8, float16 float32; long doubles and 64-bit integers float64.
    """
    if dtype.kind == "b":
        return np.dtype(np.uint8)
    if dtype.kind == "f":
        return np.dtype(np.float64 if dtype.itemsize >= 8 else np.float32)
    if dtype.kind in "iu":
        return np.dtype(np.float64) if dtype.itemsize == 8 else dtype.newbyteorder("=")
    remedy = {
        "c": "cluster its real and imaginary parts, or its modulus, as features",
        "O": "convert its columns to numbers",
        "U": "encode the categories as numbers",
        "S": "encode the categories as numbers",
        "M": "convert dates to a number, such as days since the first",
        "m": "convert durations to a number of seconds",
    }.get(dtype.kind, "convert it to float32 or float64")
    raise DtypeError(
        f"{what} has dtype {dtype}; wanted real numbers (float, integer or bool). "
        f"To go on, {remedy}."
    )


def native(x: np.ndarray[Any, np.dtype[Any]]) -> np.ndarray[Any, np.dtype[Any]]:
    """`x` C-contiguous in its `usable_dtype`, copied only if it has to be."""
    return np.ascontiguousarray(x, usable_dtype(x.dtype, "the block"))
