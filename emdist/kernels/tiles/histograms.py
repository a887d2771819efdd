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

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Stands for 1/0 and 1/subnormal: its product with any difference is finite.
_STEEP = 1e300
#: The distance, in multiples of `reach`, beyond which everything is in the last bin: 2^52.
FAR = 2.0**52
#: Less the bits of a negative float, it is the place of that float among all floats.
LOWEST = np.int64(np.iinfo(np.int64).min)


def ordinals(x: Floats) -> NDArray[np.int64]:
    """Return the position of each float among all floats, 0 at 0; it has the order of numbers."""
    bits = np.asarray(x + 0.0).view(np.int64)
    place: NDArray[np.int64] = np.where(bits >= 0, bits, LOWEST - bits)
    return place


@dataclass(frozen=True)
class Bins:
    """The bins of all clusters and features, for `vector.bins.tally`; arrays are (k, d).

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
    low, high, reach = (np.asarray(each, np.float64) for each in (low, high, reach))
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
