"""Exact sums: rows can be taken out again, and the order of additions does not matter.

A value is cut into two parts, each a multiple of a power of two that is so large that float64 adds
the parts without rounding. `Grid` has these units. What remains beyond the second part is lost; it
is at most `Grid.low` / 2.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdist.kernels.jit import jit

Array = NDArray[Any]
Floats = NDArray[np.float64]

#: Adding and then subtracting this many units rounds a number to a multiple of the unit.
_ROUND = 1.5 * 2.0**52


@dataclass(frozen=True)
class Grid:
    """Units of exact sums: a power of two for each column.

    Attributes
    ----------
    high, low
        (width,) the units of the first and the second part of a value.
    """

    high: Floats
    low: Floats

    @property
    def rounders(self) -> tuple[Floats, Floats]:
        """The numbers (width,) for both parts that round to the units when added and subtracted."""
        return _ROUND * self.high, _ROUND * self.low


def grid(largest: Floats, rows: int) -> Grid:
    """Return units for sums of at most `rows` values with magnitudes of at most `largest` in total.

    `largest` is (width,). The units of a column of zeros, or of one that overflows, do not matter.
    """
    exponent = np.array([math.frexp(v)[1] if 0 < v < math.inf else 0 for v in largest])
    high = np.ldexp(1.0, exponent - 51)
    # Second parts are at most half a unit; the bits of `rows` are needed to add that many of them.
    return Grid(high, high * 2.0 ** (max(1, rows).bit_length() - 52))


@jit
def count(c: Any, w: Any, sign: Any, rounders: Array, n: Array) -> None:
    """Add ``sign * w`` to the weight of centre `c`, in the two parts of n (2, k)."""
    high = (w + rounders[0, -1]) - rounders[0, -1]
    low = ((w - high) + rounders[1, -1]) - rounders[1, -1]
    n[0, c] += sign * high
    n[1, c] += sign * low


@jit
def move(x: Array, w: Any, before: Any, after: Any, rounders: Array, t: Array) -> None:
    """Move a row (d,) of weight `w` from centre `before`, unless negative, to `after`.

    Parameters
    ----------
    rounders
        (2, >= d) the rounders of a `Grid`.
    t
        (2, k, >= d) the sums, in two parts.
    """
    for j in range(x.shape[0]):
        value = w * np.float64(x[j])
        high = (value + rounders[0, j]) - rounders[0, j]
        low = ((value - high) + rounders[1, j]) - rounders[1, j]
        t[0, after, j] += high
        t[1, after, j] += low
        if before >= 0:
            t[0, before, j] -= high
            t[1, before, j] -= low


@jit
def _two_sum(a: Any, b: Any) -> Any:
    """Return ``a + b`` and its rounding error (Knuth 1969)."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


@jit
def _two_product(a: Any, b: Any) -> Any:
    """Return ``a b`` and its rounding error (Dekker 1971)."""
    product = a * b
    big = 134217729.0 * a
    a0 = big - (big - a)
    big = 134217729.0 * b
    b0 = big - (big - b)
    a1, b1 = a - a0, b - b0
    return product, ((a0 * b0 - product) + a0 * b1 + a1 * b0) + a1 * b1


@jit
def square(x: Array, w: Any, norm: Array) -> None:
    """Add ``w |x|^2`` of a row (d,) to `norm` (2, any), in twice the digits of float64."""
    total, rest = 0.0, 0.0
    for j in range(x.shape[0]):
        value = np.float64(x[j])
        product, error = _two_product(value, value)
        total, more = _two_sum(total, product)
        rest += more + error
    product, error = _two_product(w, total)
    norm[0, 0], more = _two_sum(norm[0, 0], product)
    norm[1, 0] += more + error + w * rest


@jit
def inertia(means: Array, n: Array, t: Array, norm: Array) -> Any:
    """Return ``sum w |x - mean|^2`` = ``norm - sum_c (2 t_c . mean_c - n_c |mean_c|^2)``.

    It is computed from sums in twice the digits of float64, because almost all of `norm` may
    cancel; feature by feature, so that features share vectors.

    Parameters
    ----------
    means
        (k, d) the centres.
    n, t, norm
        (2, k), (2, k, >= d) and (2, any) the sums, in two parts.
    """
    d = means.shape[1]
    total, rest = np.zeros(d), np.zeros(d)
    for c in range(means.shape[0]):
        count = n[0, c] + n[1, c]  # For counts, one number is exact.
        for j in range(d):
            mean = means[c, j]
            # This computes (2 t - n mean) mean.
            product, error = _two_product(count, mean)
            a, b = _two_sum(2 * t[0, c, j], -product)
            b += 2 * t[1, c, j] - error
            product, error = _two_product(a, mean)
            value, more = _two_sum(total[j], -product)
            total[j] = value
            rest[j] += more - error - b * mean
    sum_, left = 0.0, 0.0
    for j in range(d):
        sum_, more = _two_sum(sum_, total[j])
        left += more + rest[j]
    for j in range(norm.shape[1]):
        sum_, more = _two_sum(sum_, norm[0, j])
        left += more + norm[1, j]
    sum_ += left
    # Not max(), because NaN from values that overflow must stay visible.
    return 0.0 if sum_ < 0.0 else sum_


@jit
def in_two(norm: Array, rounders: Array) -> tuple[float, float]:
    """Return the sum of norm (2, any) in two parts, of which the first adds exactly: see `Grid`."""
    total, rest = 0.0, 0.0
    for j in range(norm.shape[1]):
        total, more = _two_sum(total, norm[0, j])
        rest += more + norm[1, j]
    high = (total + rounders[0]) - rounders[0]
    return high, (total - high) + rest
