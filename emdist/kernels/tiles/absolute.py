"""Sums of absolute or squared differences of rows to centres."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdist.kernels.jit import jit
from emdist.kernels.tiles.tiles import tile_rows, tiles

Array = NDArray[Any]
Floats = NDArray[np.float64]


@jit
def _columns(x: Array, origin: Array, out: Array) -> None:
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            # Adding 0 turns -0.0 into 0.0: equal numbers must have equal bits.
            out[j, i] = (np.float64(x[i, j]) - origin[j]) + 0.0


def columns(x: Array, origin: Floats) -> Floats:
    """Return ``x - origin`` by feature, in float64 and without -0.0: (m, d) -> (d, m)."""
    out = np.empty(x.shape[::-1])
    _columns(x, origin, out)
    return out


@jit
def _absolute(x: Array, centres: Array, out: Array) -> None:
    d, m = x.shape
    out[:] = 0.0
    for c in range(centres.shape[0]):
        j = 0
        # Four features at a time, added one after the other, as in a plain loop.
        while j + 4 <= d:
            a0, a1, a2, a3 = centres[c, j], centres[c, j + 1], centres[c, j + 2], centres[c, j + 3]
            for i in range(m):
                total = out[c, i] + abs(x[j, i] - a0)
                total += abs(x[j + 1, i] - a1)
                total += abs(x[j + 2, i] - a2)
                out[c, i] = total + abs(x[j + 3, i] - a3)
            j += 4
        while j < d:
            a0 = centres[c, j]
            for i in range(m):
                out[c, i] += abs(x[j, i] - a0)
            j += 1


def absolute_distances(x: Floats, centres: Floats) -> Floats:
    """Return ``sum_j |x_j - centre_j|``, added in order of features: (d, m), (k, d) -> (k, m)."""
    out = np.empty((len(centres), x.shape[1]))
    _absolute(x, centres, out)
    return out


@jit
def _squared(x: Array, centres: Array, out: Array) -> None:
    d, m = x.shape
    out[:] = 0.0
    for c in range(centres.shape[0]):
        for j in range(d):
            a0 = centres[c, j]
            for i in range(m):
                diff = x[j, i] - a0
                # A missing value is NaN, and adds nothing.
                out[c, i] += diff * diff if diff == diff else 0.0


def squares_of_rows(x: Floats, centres: Floats) -> Floats:
    """Return squared distances over observed values, without cancellation.

    (m, d), (c, d) -> (c, m).
    """
    out = np.empty((len(centres), len(x)))
    zero = np.zeros(x.shape[1])
    for a, b in tiles(len(x), tile_rows(2 * x.shape[1] + len(centres), 8)):
        tile = np.empty((len(centres), b - a))
        _squared(columns(x[a:b], zero), centres, tile)
        out[:, a:b] = tile
    return out


def distances_of_rows(x: Floats, centres: Floats) -> Floats:
    """Return `absolute_distances` of rows, tile by tile: (m, d), (c, d) -> (c, m)."""
    out = np.empty((len(centres), len(x)))
    zero = np.zeros(x.shape[1])
    for a, b in tiles(len(x), tile_rows(2 * x.shape[1] + len(centres), 8)):
        out[:, a:b] = absolute_distances(columns(x[a:b], zero), centres)
    return out
