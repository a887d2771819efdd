"""Means, squared deviations and extremes of every feature of a tile, computed together."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdist.kernels.jit import jit, part

Array = NDArray[Any]


@part
def _weight_of(w: Array, i: int) -> Any:
    return w[i] if len(w) else 1.0


@jit
def _extents(x: Array, w: Array, floats: bool, out: Array) -> Any:
    """Fill `out` in three passes over a tile; the second finds what rounding took from the mean."""
    n, d = x.shape
    mean, rest, m2, low, high, broken = out[0], out[1], out[2], out[3], out[4], out[5]
    mass = 0.0
    for i in range(n):
        v = _weight_of(w, i)
        if v > 0:
            mass += v
            for j in range(d):
                value = np.float64(x[i, j])
                mean[j] += v * value
                low[j] = min(low[j], value)
                high[j] = max(high[j], value)
            if floats:
                for j in range(d):
                    value = np.float64(x[i, j])
                    broken[j] += np.float64(np.floor(value) != value)
    if mass == 0:
        return mass
    for j in range(d):
        mean[j] /= mass
    for i in range(n):
        v = _weight_of(w, i)
        if v > 0:
            for j in range(d):
                rest[j] += v * (np.float64(x[i, j]) - mean[j])
    for j in range(d):
        rest[j] /= mass
    for i in range(n):
        v = _weight_of(w, i)
        if v > 0:
            for j in range(d):
                value = np.float64(x[i, j]) - mean[j] - rest[j]
                m2[j] += v * (value * value)
    return mass


def extents(x: Array, w: NDArray[np.float64] | None) -> tuple[float, NDArray[np.float64]]:
    """Return the total weight of the rows `x` (m, d), and (6, d) numbers about each feature.

    Only rows with weight count. The numbers are the mean, what rounding took from the mean, the sum
    of squared deviations, the smallest and the largest value, and how many values are not whole
    numbers. If a value is NaN, so is the mean, and then the other numbers are not valid.
    """
    out = np.zeros((6, x.shape[1]))
    out[3], out[4] = np.inf, -np.inf
    given = np.empty(0) if w is None else np.ascontiguousarray(w)
    return float(_extents(x, given, x.dtype.kind == "f", out)), out
