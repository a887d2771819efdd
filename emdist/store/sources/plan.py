"""The block plan: divides the rows of an array into blocks of whole chunks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import Any, overload

import numpy as np

from emdist.errors import DtypeError, ShapeError

MIB = 1 << 20
#: The largest block by default, in decoded bytes: large enough to hide a scheduler's cost per task.
MAX_BLOCK_BYTES = 128 * MIB
#: The smallest block by default, in decoded bytes, so that small data still split over some
#: threads.
MIN_BLOCK_BYTES = 2 * MIB
#: The largest number of blocks of an array, because a plan lists them. At 1 MiB each they are 16
#: TiB.
MAX_BLOCKS = 1 << 24
#: A row counts as at least so many bytes, because processing also holds its label, its score and
#: more. Otherwise, a block of pixels of three bytes each would take 15 times its size.
ROW_BYTES = 32


@dataclass(frozen=True)
class Bounds(Sequence[int]):
    """A block plan: the first row of each block, then the number of rows.

    All blocks but the last have the same length. The sequence takes no memory for its items,
    because metadata can claim any number of blocks.

    Attributes
    ----------
    rows
        The number of rows of the array.
    step
        The number of rows in a block.
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
    """Return the number of rows in the longest block of the plan `bounds`."""
    step = getattr(bounds, "step", None)  # of plans that have no list of their blocks
    if step is not None:
        return min(int(step), bounds[-1])
    return max(b - a for a, b in pairwise(bounds))


def block_bounds(rows: int, row_bytes: int, unit: int, block_bytes: int | None) -> Bounds:
    """Return the block plan: the first row of each block, then `rows`.

    It depends on the data and the configuration only, so that results do not depend on the engine
    or the cluster.

    Parameters
    ----------
    rows
        The number of rows of the array.
    row_bytes
        The bytes of one decoded row.
    unit
        The number of rows in a chunk or shard. Each block consists of whole units.
    block_bytes
        The wanted decoded size of a block, in which a row counts as at least `ROW_BYTES`. None
        chooses a sixteenth of the data, between 2 and 128 MiB, and makes the blocks about equally
        long.

    Raises
    ------
    ShapeError
        If there would be more than `MAX_BLOCKS` blocks.
    """
    even = block_bytes is None
    if block_bytes is None:
        block_bytes = min(MAX_BLOCK_BYTES, max(MIN_BLOCK_BYTES, rows * row_bytes // 16))
    # In very small blocks, the labels and scores of the rows do not matter.
    row_bytes = max(row_bytes, ROW_BYTES if block_bytes >= MIB else 1)
    units = max(1, block_bytes // (unit * row_bytes))
    if even and rows:
        # The same number of blocks, evened out: a short last block would keep one thread at work
        # while the others wait.
        total = -(-rows // unit)
        units = -(-total // -(-total // units))
    if (blocks := -(-rows // (units * unit))) > MAX_BLOCKS:
        raise ShapeError(
            f"{rows} rows make {blocks} blocks of {units * unit} rows, expected at most "
            f"{MAX_BLOCKS} blocks. Check the shape of the array, or set a larger data.block_size."
        )
    return Bounds(rows, units * unit)


def usable_dtype(dtype: np.dtype[Any], what: str) -> np.dtype[Any]:
    """Return the native dtype in which blocks of `dtype` are processed.

    Booleans become uint8 and float16 becomes float32. Long doubles and 64-bit integers become
    float64. Any other dtype raises DtypeError.
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
        "T": "convert numbers that are written as text, or encode the categories as numbers",
        "M": "convert dates to a number, such as days since the first",
        "m": "convert durations to a number of seconds",
    }.get(dtype.kind, "convert it to float32 or float64")
    raise DtypeError(
        f"{what} has dtype {dtype}, expected real numbers (float, integer or bool). "
        f"To continue, {remedy}."
    )


def native(x: np.ndarray[Any, np.dtype[Any]]) -> np.ndarray[Any, np.dtype[Any]]:
    """Return `x` C-contiguous in its `usable_dtype`, copied only if necessary."""
    return np.ascontiguousarray(x, usable_dtype(x.dtype, "the block"))
