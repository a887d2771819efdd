"""What profiles of clusters add up over rows: moments of features, and the rows that come first."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from emdist.kernels.jit import jit

Array = NDArray[Any]


@jit
def weighted_moments(
    x: Array, label: Array, weight: Array, total: Array, mean: Array, squares: Array, low: Array,
    high: Array,
) -> None:  # fmt: skip
    """Fill (k, d) arrays with weights, means, squared deviations and extremes; NaN is skipped.

    `label` (m,) are indices of clusters. `weight` is (m,), or (0,) for weights of 1; rows of
    weight 0 are skipped. `total`, `mean` and `squares` are zero before, and the extremes infinite.
    """
    m, d = x.shape
    for i in range(m):
        w = weight[i] if len(weight) else 1.0
        c = label[i]
        if w > 0.0:
            for j in range(d):
                value = float(x[i, j])
                if value == value:
                    total[c, j] += w
                    mean[c, j] += w * value
                    low[c, j] = min(low[c, j], value)
                    high[c, j] = max(high[c, j], value)
    for c in range(total.shape[0]):
        for j in range(d):
            if total[c, j] > 0.0:
                mean[c, j] /= total[c, j]
    for i in range(m):
        w = weight[i] if len(weight) else 1.0
        c = label[i]
        if w > 0.0:
            for j in range(d):
                value = float(x[i, j])
                if value == value:
                    away = value - mean[c, j]
                    squares[c, j] += w * away * away


@jit
def first_of_each(value: Array, label: Array, weight: Array, at: Array, least: Array) -> None:
    """Fill `at` (k, s) with the rows of each cluster whose values are the smallest, in order.

    Of equal values, the earlier row comes first. `at` is -1 before, and `least` (k, s) infinite: it
    gets the values. `weight` is (m,), or (0,); rows of weight 0 are skipped.
    """
    size = at.shape[1]
    for i in range(len(value)):
        if len(weight) and not weight[i] > 0.0:
            continue
        c, v = label[i], value[i]
        if not v < least[c, size - 1]:
            continue
        s = size - 1
        while s > 0 and v < least[c, s - 1]:
            least[c, s], at[c, s] = least[c, s - 1], at[c, s - 1]
            s -= 1
        least[c, s], at[c, s] = v, i
