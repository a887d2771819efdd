"""Lays rows out as panels: one statistic after another, with each row in a lane of the vectors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdist.kernels.jit import part
from emdist.kernels.tiles.tiles import shifted
from emdist.kernels.vector.lanes import CACHE_LINE, COMPONENTS, row_width
from emdist.kernels.vector.transposing import (
    transpose_1,
    transpose_2,
    transpose_3,
    transpose_4,
    transpose_5,
    transpose_6,
    transpose_7,
    transpose_8,
    transpose_16,
)

Array = NDArray[Any]


@part
def _fill_rows(x: Array, a: Any, b: Any, origin: Array, panel: Array) -> None:
    """Fill a panel that has fewer rows than lanes, and set the rest to 0."""
    for i in range(b - a):
        for j in range(x.shape[1]):
            panel[j, i] = x[a + i, j] - origin[j]
    for i in range(b - a, panel.shape[1]):
        for j in range(x.shape[1]):
            panel[j, i] = 0.0


@part
def _fill_few(x: Array, a: Any, origin: Array, panel: Array) -> None:
    """Fill a whole panel with rows of 1 to 7 features."""
    d = x.shape[1]
    if d == 1:
        transpose_1(x, a, origin, panel)
    elif d == 2:
        transpose_2(x, a, origin, panel)
    elif d == 3:
        transpose_3(x, a, origin, panel)
    elif d == 4:
        transpose_4(x, a, origin, panel)
    elif d == 5:
        transpose_5(x, a, origin, panel)
    elif d == 6:
        transpose_6(x, a, origin, panel)
    else:
        transpose_7(x, a, origin, panel)


@part
def fill_panel(x: Array, a: Any, b: Any, origin: Array, panel: Array) -> None:
    """Write rows ``x[a:b] - origin`` to a panel (lines, rows): line j is feature j, the rest 0.

    Whole squares of rows and features are transposed at once. The last square overlaps the one
    before it, so that no features are left over.
    """
    d = x.shape[1]
    if b - a < panel.shape[1]:
        _fill_rows(x, a, b, origin, panel)
    elif d < 8:
        _fill_few(x, a, origin, panel)
    elif d < 16 or panel.shape[1] < 16:
        # Panels of float64 have only 8 rows if vectors have 256 bits.
        done = 0
        while done < d:
            j = min(done, d - 8)
            for i in range(0, b - a, 8):
                transpose_8(x, a + i, j, origin, panel, i)
            done = j + 8
    else:
        done = 0
        while done < d:
            j = min(done, d - 16)
            for i in range(0, b - a, 16):
                transpose_16(x, a + i, j, origin, panel, i)
            done = j + 16


def pack_components(eta: Array, offset: Array) -> tuple[Array, Array]:
    """Return natural parameters (k, D) and offset (k,) in the layout that panels need.

    Components that never win pad them to a multiple of 6: (k' / 6, D, 6) and (k',).
    """
    k, width = eta.shape
    groups = -(-k // COMPONENTS)
    padded = np.zeros((groups * COMPONENTS, width), eta.dtype)
    padded[:k] = eta
    least = np.full(groups * COMPONENTS, -np.inf, eta.dtype)
    least[:k] = offset
    packed = padded.reshape(groups, COMPONENTS, width).transpose(0, 2, 1)
    return np.ascontiguousarray(packed), least


def aligned(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Return an uninitialised array whose vectors each lie in one cache line, and not across two.

    Kernels get such arrays from their callers: numba takes half a second to compile what makes one.
    """
    size, item = math.prod(shape), dtype.itemsize
    room = np.empty(size + CACHE_LINE // item, dtype)
    first = -room.__array_interface__["data"][0] % CACHE_LINE // item
    return room[first : first + size].reshape(shape)


def widened(rows: Array) -> Array:
    """Return rows (..., d) padded with zeros to whole vectors."""
    d = rows.shape[-1]
    out = np.zeros((*rows.shape[:-1], row_width(d)), rows.dtype)
    out[..., :d] = rows
    return out


def is_readable(x: Array) -> bool:
    """Return whether kernels are compiled for such an array."""
    floats = x.dtype.kind == "f" and x.dtype.itemsize >= 4 and x.dtype.isnative
    return bool(floats and x.flags.c_contiguous)


def readable(x: Array, origin: NDArray[np.float64], dtype: np.dtype[Any]) -> tuple[Array, Array]:
    """Return rows that kernels are compiled for, and the origin that is still to be subtracted.

    If float32 holds the origin exactly, it is returned as float32 for rows and panels of float32.
    Their difference is then rounded once, to the same bits as by way of float64, in half of the
    instructions.
    """
    if not is_readable(x):
        return shifted(x, origin, dtype.name), np.zeros(len(origin), dtype)
    if x.dtype == dtype == np.float32 and np.array_equal(near := origin.astype(dtype), origin):
        return x, near
    return x, origin
