"""Tiles: runs of rows small enough to stay in cache, shifted to the origin."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdist.kernels.jit import jit

Array = NDArray[Any]

#: Working set of a tile, in bytes: a common second-level cache. Smaller tiles stay nearer to the
#: core, and lose more than that gains to threads that wait for each other between kernels.
TILE_BYTES = 2 << 20


def tile_rows(columns: int, itemsize: int) -> int:
    """Rows per tile when a row occupies `columns` numbers of `itemsize` bytes.

    Depends on shapes alone, never on the machine, so that results do not.
    """
    rows = TILE_BYTES // max(1, columns * itemsize)
    return int(min(8192, max(128, rows // 64 * 64)))


def tiles(n_rows: int, rows: int) -> Iterator[tuple[int, int]]:
    """Half-open row ranges that cover ``range(n_rows)`` in order."""
    for start in range(0, n_rows, rows):
        yield start, min(start + rows, n_rows)


@jit
def shift(x: Array, origin: Array, out: Array) -> None:
    """``x - origin`` in the precision of the subtraction, rounded into `out`: fills (m, d)."""
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            out[i, j] = x[i, j] - origin[j]


def shifted(x: Array, origin: NDArray[np.float64], dtype: str) -> Array:
    """``x - origin``, subtracted in float64 and then rounded to `dtype`: (m, d).

    The subtraction comes before any rounding, so an offset common to all rows costs no digits.
    """
    out = np.empty(x.shape, dtype)
    shift(x, origin, out)
    return out
