"""Tiles: runs of rows that are small enough to stay in the cache, shifted to the origin."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdist.kernels.jit import jit

Array = NDArray[Any]

#: Memory that the work on a tile takes, in bytes: a common size of a second-level cache. Smaller
#: tiles would fit into a faster cache. But threads would wait longer for each other between
#: kernels, and this costs more time than the faster cache saves.
TILE_BYTES = 2 << 20


def tile_rows(columns: int, itemsize: int) -> int:
    """Return the rows of a tile if a row takes `columns` numbers of `itemsize` bytes.

    This depends on shapes alone and never on the machine, so that results do not depend on it.
    """
    rows = TILE_BYTES // max(1, columns * itemsize)
    return int(min(8192, max(128, rows // 64 * 64)))


def tiles(n_rows: int, rows: int) -> Iterator[tuple[int, int]]:
    """Yield half-open row ranges that cover ``range(n_rows)`` in order."""
    for start in range(0, n_rows, rows):
        yield start, min(start + rows, n_rows)


@jit
def shift(x: Array, origin: Array, out: Array) -> None:
    """Fill `out` (m, d) with ``x - origin``.

    The difference has the wider type of the two, and is then rounded to the type of `out`.
    """
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            out[i, j] = x[i, j] - origin[j]


def shifted(x: Array, origin: NDArray[np.float64], dtype: str) -> Array:
    """Return ``x - origin``, subtracted in float64 and then rounded to `dtype`: (m, d).

    The subtraction comes before any rounding, so an offset that all rows share costs no digits.
    """
    out = np.empty(x.shape, dtype)
    shift(x, origin, out)
    return out
