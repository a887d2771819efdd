"""Weighted histograms with the extremes of every bin, on a grid for each cluster and feature.

A grid has three parts. In each, the bin number is a function that never falls as x rises. The bins
are therefore in the order of the values, and cumulative weights find the bin of any quantile
without a rounding error:

- Between `low` and `high`, the bin is the whole part of a linear function plus the whole part of
  the scaled number of floats since `low`. The first cuts evenly spread values well, and the second
  any values: a bin holds at most about 8 / `bins` of the floats between, over however many
  magnitudes.
- On either side, the widths of bins double from `reach` on; the last bin has no end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdist.kernels.jit import jit

Array = NDArray[Any]
Floats = NDArray[np.float64]

#: Stands for 1/0 and 1/subnormal: its product with any difference is finite.
_STEEP = 1e300
#: The distance, in multiples of `reach`, beyond which everything is in the last bin: 2^52.
_FAR = 2.0**52
_LOWEST = np.int64(np.iinfo(np.int64).min)


def ordinals(x: Floats) -> NDArray[np.int64]:
    """Return the position of each float among all floats, 0 at 0; it has the order of numbers."""
    bits = np.asarray(x + 0.0).view(np.int64)
    place: NDArray[np.int64] = np.where(bits >= 0, bits, _LOWEST - bits)
    return place


@dataclass(frozen=True)
class Bins:
    """The bins of all clusters and features, for `tally`; arrays are (d, k), feature by cluster.

    Attributes
    ----------
    bins
        The total number of bins.
    tail
        The number of bins on either side of the middle part.
    low, high
        The ends of the middle part; both belong to it.
    slope
        The number of linear bins per unit.
    place
        The ordinal of `low`.
    shift
        The binary logarithm of the number of floats in an ordinal bin.
    near
        1 / `reach`.
    """

    bins: int
    tail: int
    low: Floats
    high: Floats
    slope: Floats
    place: NDArray[np.int64]
    shift: NDArray[np.uint64]
    near: Floats


def grid(low: Floats, high: Floats, reach: Floats, bins: int) -> Bins:
    """Return a grid of `bins` >= 8 bins around the brackets [`low`, `high`]: all (k, d)."""
    low, high, reach = (np.ascontiguousarray(a.T, np.float64) for a in (low, high, reach))
    tail = bins // 4
    middle = bins - 2 * tail
    ordinal_bits = (middle // 2).bit_length() - 1
    linear = middle - (1 << ordinal_bits) + 1
    place = ordinals(low)
    floats = ordinals(high).view(np.uint64) - place.view(np.uint64)
    # Half a bin less than there are, so that rounding cannot lift `high` beyond the last bin.
    slope = (linear - 0.5) * _inverse(high - low)
    shift = np.maximum(_bit_length(floats) - ordinal_bits, 0).astype(np.uint64)
    return Bins(bins, tail, low, high, slope, place, shift, _inverse(reach))


def _inverse(width: Floats) -> Floats:
    with np.errstate(divide="ignore", over="ignore"):
        return np.minimum(1.0 / width, _STEEP)


def _bit_length(n: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return the number of bits of each number, 0 for 0."""
    length = np.zeros(n.shape, np.int64)
    for bit in (32, 16, 8, 4, 2, 1):
        large = n >= np.uint64(1) << np.uint64(bit)
        length += np.where(large, bit, 0)
        n = np.where(large, n >> np.uint64(bit), n)
    return length + (n > 0)


@jit
def _steps(distance: Any, near: Any, last: Any) -> Any:
    # 0 up to 1 / near, 1 up to 3 / near, 2 up to 7 / near, and so on: the exponent of a float.
    z = np.float64(min(distance * near, _FAR) + 1.0)
    return min((z.view(np.int64) >> 52) - 1023, last)


@jit
def _tally(
    x: Array,
    labels: Array,
    weight: Array,
    tail: int,
    low: Array,
    high: Array,
    slope: Array,
    place: Array,
    shift: Array,
    near: Array,
    total: Array,
    least: Array,
    most: Array,
) -> None:
    d, m = x.shape
    upper = total.shape[2] - tail
    for j in range(d):
        for i in range(m):
            w = weight[i]
            if w == 0.0:
                continue
            value = x[j, i]
            c = labels[i]
            outside = max(low[j, c] - value, value - high[j, c])
            if outside > 0.0:
                steps = _steps(outside, near[j, c], tail - 1)
                # Arithmetic instead of a branch: the side of a row is as good as random.
                below = np.int64(value < low[j, c])
                at = below * (tail - 1 - steps) + (1 - below) * (upper + steps)
            else:
                bits = np.float64(value).view(np.int64)
                if bits < 0:
                    bits = _LOWEST - bits
                floats = np.uint64(bits - place[j, c]) >> shift[j, c]
                at = tail + int((value - low[j, c]) * slope[j, c]) + np.int64(floats)
            total[j, c, at] += w
            if value < least[j, c, at]:
                least[j, c, at] = value
            if value > most[j, c, at]:
                most[j, c, at] = value


def tally(
    x: Floats,
    labels: NDArray[np.int32],
    weight: Floats,
    on: Bins,
    total: Floats,
    least: Floats,
    most: Floats,
) -> None:
    """Add rows to the histograms of their clusters; rows of weight 0 are skipped.

    Parameters
    ----------
    x, labels, weight
        (d, m) without -0.0, (m,), (m,).
    on
        The grid.
    total, least, most
        (d, k, bins) weight, smallest and largest value of every bin; changed in place.
    """
    _tally(
        x, labels, weight, on.tail, on.low, on.high, on.slope, on.place, on.shift, on.near,
        total, least, most,
    )  # fmt: skip
