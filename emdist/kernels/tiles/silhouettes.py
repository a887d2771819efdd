"""Distances of rows to clusters: to their means, and summed over the rows of each cluster."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdist.kernels.jit import jit

Array = NDArray[Any]

#: Rows of a panel, side by side, so that loops over them are vectorised.
WIDTH = 64


@jit
def moments(x: Array, label: Array, count: Array, mean: Array, squares: Array) -> None:
    """Fill `count` (k,), `mean` (k, d) and `squares` (k, d), the squared deviations from the mean.

    Labels are (m,) indices of clusters; rows whose label is negative are left out. The three
    arrays are zero before.
    """
    d = x.shape[1]
    for i in range(x.shape[0]):
        c = label[i]
        if c >= 0:
            count[c] += 1.0
            for j in range(d):
                mean[c, j] += x[i, j]
    for c in range(count.shape[0]):
        for j in range(d):
            mean[c, j] /= max(count[c], 1.0)
    for i in range(x.shape[0]):
        c = label[i]
        if c >= 0:
            for j in range(d):
                away = x[i, j] - mean[c, j]
                squares[c, j] += away * away


@jit
def squared_silhouettes(
    x: Array, label: Array, count: Array, mean: Array, spread: Array, out: Array, away: Array
) -> None:
    """Fill `out` (m,) with silhouettes for squared distances, and `away` (m,) with distances.

    The mean squared distance of a row to the rows of a cluster is that to their mean plus their
    mean squared deviation, `spread` (k,). `away` is the Euclidean distance of a row to the mean of
    its own cluster. Rows whose label is negative get NaN.
    """
    m, d = x.shape
    k = count.shape[0]
    panel, total = np.empty((d, WIDTH)), np.empty(WIDTH)
    own, other = np.empty(WIDTH), np.empty(WIDTH)
    for first in range(0, m, WIDTH):
        rows = min(WIDTH, m - first)
        for r in range(WIDTH):
            i = first + min(r, rows - 1)
            for j in range(d):
                panel[j, r] = x[i, j]
            own[r], other[r] = np.nan, np.inf
        for c in range(k):
            for r in range(WIDTH):
                total[r] = 0.0
            for j in range(d):
                centre = mean[c, j]
                for r in range(WIDTH):
                    step = panel[j, r] - centre
                    total[r] += step * step
            for r in range(rows):
                if label[first + r] == c:
                    own[r] = total[r]
                else:
                    other[r] = min(other[r], total[r] + spread[c])
        for r in range(rows):
            c = label[first + r]
            if c < 0:
                out[first + r] = away[first + r] = np.nan
                continue
            away[first + r] = math.sqrt(own[r])
            if count[c] <= 1.0:
                out[first + r] = 0.0
                continue
            inside = (own[r] + spread[c]) * (count[c] / (count[c] - 1.0))
            most = max(inside, other[r])
            out[first + r] = (other[r] - inside) / most if most > 0.0 else 0.0


@jit
def summed_distances(x: Array, label: Array, chosen: Array, out: Array) -> None:
    """Add to `out` (k, s) the distances of `chosen` rows, (d, s), to the rows of each cluster."""
    d, s = chosen.shape
    total = np.empty(WIDTH)
    for first in range(0, s, WIDTH):
        width = min(WIDTH, s - first)
        for i in range(x.shape[0]):
            c = label[i]
            if c < 0:
                continue
            for r in range(width):
                total[r] = 0.0
            for j in range(d):
                value = x[i, j]
                for r in range(width):
                    step = chosen[j, first + r] - value
                    total[r] += step * step
            for r in range(width):
                out[c, first + r] += math.sqrt(total[r])
