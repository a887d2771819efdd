"""Dissimilarities of rows to the centre of their label, without cancellation near the centre.

With d = x - mu, r = d / mu and s = r / (2 + r), ``log1p(r) = 2 s + tail(s)``. The dissimilarities
are then written without terms that cancel:

    generalised I   x log(x / mu) - x + mu      = d s + x tail(s)
    Itakura-Saito   x / mu - log(x / mu) - 1    = r s - tail(s)

This holds for ratios from sqrt(1/2) to sqrt(2). Others are a power of 2 times such a ratio, and
nothing cancels for them. No value needs a branch, so all loops over them become vectors.

Values outside the domain, which rows of weight 0 may have, count as the nearest value inside, so
that their results are finite.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdist.kernels.jit import jit, jit_quotients, jit_sums, part, part_sums, pasted
from emdist.kernels.vector.logarithms import LARGEST, LOG_2, SMALLEST, split, tail

Array = NDArray[Any]
Floats = NDArray[np.float64]

#: The smallest number to divide by, or to take a logarithm of.
TINY = 1e-200

#: Rows whose largest value is below this count as zeros: the reciprocal of less is infinite.
_SUBNORMAL = 1e-307
#: Between these, sums of squares and of values lose nothing to underflow or overflow.
_SMALL, _LARGE = 1e-100, 1e100
#: How many values are computed at once. They stay in the first-level cache, with their centres.
_VALUES = 1024


@part
def _pair(x: Array, a: Any, b: Any, centres: Array, labels: Array, pairs: Array) -> None:
    """Fill `pairs` (2, rows, d) with the values of rows a to b, and with those of their centres."""
    for i in range(a, b):
        c = labels[i]
        for j in range(x.shape[1]):
            pairs[0, i - a, j] = x[i, j]
            pairs[1, i - a, j] = centres[c, j]


@part_sums
def _add(values: Array, a: Any, b: Any, zeros: Any, out: Array) -> None:
    """Fill `out` from a to b with the sums of `values` (rows, d).

    If `zeros` is true, sums that are 0 already stay so.
    """
    for i in range(a, b):
        total = 0.0
        for j in range(values.shape[1]):
            total += values[i - a, j]
        out[i] = 0.0 if zeros and out[i] == 0.0 else total


@pasted
def _generalised_i(x: Any, mu: Any, d: Any) -> Any:
    """Return ``x log(x / mu) - x + mu`` for x >= 0, with ``d = x - mu``."""
    ratio = x / mu
    # If x is so much less than mu that the ratio is subnormal, its logarithm does not count.
    n, f = split(SMALLEST if ratio < SMALLEST else (LARGEST if ratio > LARGEST else ratio))
    n = np.inf if ratio > LARGEST else n
    near = n == 0.0
    s = (d if near else f) / (x + mu if near else 2.0 + f)
    return (d * s if near else x * (n * LOG_2 + 2.0 * s) - d) + x * tail(s)


@pasted
def _itakura_saito(x: Any, mu: Any) -> Any:
    """Return ``x / mu - log(x / mu) - 1`` for x > 0; it is infinite if the ratio is not normal."""
    d, ratio = x - mu, x / mu
    n, f = split(SMALLEST if ratio < SMALLEST else (LARGEST if ratio > LARGEST else ratio))
    n = -np.inf if ratio < SMALLEST else n
    near = n == 0.0
    s = (d if near else f) / (x + mu if near else 2.0 + f)
    r = d / mu
    return (r * s if near else r - (n * LOG_2 + 2.0 * s)) - tail(s)


@jit_quotients
def _fill_generalised_i(x: Array, centres: Array, labels: Array, zeros: Any, pairs: Array,
                        flat: Array, out: Array) -> None:  # fmt: skip
    """Fill `out` (m,) with the divergences; `zeros` says whether that of a row of zeros is 0.

    `pairs` (2, rows, d) is room for a few rows and their centres; `flat` (2, rows d) is a view.
    """
    rows, d = pairs.shape[1], x.shape[1]
    for a in range(0, x.shape[0], rows):
        b = min(a + rows, x.shape[0])
        _pair(x, a, b, centres, labels, pairs)
        if zeros:
            _add(pairs[0], a, b, False, out)
        for i in range((b - a) * d):
            v = 0.0 if flat[0, i] < 0.0 else flat[0, i]
            flat[0, i] = _generalised_i(v, flat[1, i], v - flat[1, i])
        _add(pairs[0], a, b, zeros, out)


@jit_quotients
def _fill_itakura_saito(x: Array, centres: Array, labels: Array, pairs: Array, flat: Array,
                        out: Array) -> None:  # fmt: skip
    rows, d = pairs.shape[1], x.shape[1]
    for a in range(0, x.shape[0], rows):
        b = min(a + rows, x.shape[0])
        _pair(x, a, b, centres, labels, pairs)
        for i in range((b - a) * d):
            v = TINY if flat[0, i] < TINY else flat[0, i]
            flat[0, i] = _itakura_saito(v, flat[1, i])
        _add(pairs[0], a, b, False, out)


@jit_quotients
def _fill_logistic(x: Array, centres: Array, labels: Array, pairs: Array, flat: Array,
                   out: Array) -> None:  # fmt: skip
    rows, d = pairs.shape[1], x.shape[1]
    for a in range(0, x.shape[0], rows):
        b = min(a + rows, x.shape[0])
        _pair(x, a, b, centres, labels, pairs)
        for i in range((b - a) * d):
            v = 0.0 if flat[0, i] < 0.0 else (1.0 if flat[0, i] > 1.0 else flat[0, i])
            mu, apart = flat[1, i], v - flat[1, i]
            # -x + mu of the first term and -(1 - x) + (1 - mu) of the second add up to 0. The
            # difference of 1 - x and 1 - mu would have their rounding errors.
            ones, zeros = _generalised_i(v, mu, apart), _generalised_i(1.0 - v, 1.0 - mu, -apart)
            flat[0, i] = ones + zeros
        _add(pairs[0], a, b, False, out)


def _room(d: int) -> tuple[Floats, Floats]:
    """Return room for a few rows and their centres, (2, rows, d), and a flat view of it."""
    pairs = np.empty((2, max(1, _VALUES // max(1, d)), d))
    return pairs, pairs.reshape(2, -1)


def generalised_i(x: Array, centres: Floats, labels: Array, out: Floats) -> None:
    """Fill `out` (m,) with ``sum_j x log(x / mu) - x + mu``; mu is the centre of the row."""
    _fill_generalised_i(x, centres, labels, False, *_room(x.shape[1]), out)


def kullback_leibler(x: Array, centres: Floats, labels: Array, out: Floats) -> None:
    """Fill `out` (m,) with what `generalised_i` computes, but 0 for rows of zeros."""
    _fill_generalised_i(x, centres, labels, True, *_room(x.shape[1]), out)


def itakura_saito(x: Array, centres: Floats, labels: Array, out: Floats) -> None:
    """Fill `out` (m,) with ``sum_j x / mu - log(x / mu) - 1``; mu is the centre of the row."""
    _fill_itakura_saito(x, centres, labels, *_room(x.shape[1]), out)


def logistic(x: Array, centres: Floats, labels: Array, out: Floats) -> None:
    """Fill `out` (m,) with ``sum_j x log(x / mu) + (1 - x) log((1 - x) / (1 - mu))`` by row."""
    _fill_logistic(x, centres, labels, *_room(x.shape[1]), out)


@jit_sums
def half_squares(x: Array, centres: Array, labels: Array, nothing: Array, out: Array) -> None:
    """Fill `out` (m,) with half the squared distance of directions to the centre of their label.

    Rows of zeros get 0. `nothing` (k,) says which centres are zero: other rows get 1 for these.
    """
    for i in range(x.shape[0]):
        total, length, c = 0.0, 0.0, labels[i]
        for j in range(x.shape[1]):
            value = np.float64(x[i, j])
            diff = value - centres[c, j]
            total += diff * diff
            length += value * value
        out[i] = 0.5 * (total + nothing[c]) if length > 0.0 else 0.0


@jit
def negentropy(x: Array, out: Array) -> None:
    """Fill `out` (m,) with ``sum_j x log x`` of each row, with 0 log 0 = 0."""
    for i in range(x.shape[0]):
        total = 0.0
        for j in range(x.shape[1]):
            value = np.float64(x[i, j])
            if value > 0.0:
                total += value * np.log(value)
        out[i] = total


@jit_sums
def _largest(row: Array) -> float:
    top = 0.0
    for j in range(row.shape[0]):
        top = max(top, abs(np.float64(row[j])))
    return top


@jit_sums
def _length(row: Array, scale: float) -> float:
    total = 0.0
    for j in range(row.shape[0]):
        part = np.float64(row[j]) * scale
        total += part * part
    return math.sqrt(total)


@jit_sums
def _positive_sum(row: Array, scale: float) -> float:
    total = 0.0
    for j in range(row.shape[0]):
        total += max(np.float64(row[j]), 0.0) * scale
    return total


@jit
def _directions(x: Array, out: Array) -> None:
    for i in range(x.shape[0]):
        scale, length = 1.0, _length(x[i], 1.0)
        if not _SMALL < length < _LARGE:
            top = _largest(x[i])
            if top < _SUBNORMAL:
                continue
            # Scale first, because squares of 1e-200 underflow and those of 1e200 overflow.
            scale = 1.0 / top
            length = _length(x[i], scale)
        factor = 1.0 / length
        for j in range(x.shape[1]):
            out[i, j] = np.float64(x[i, j]) * scale * factor


def directions(x: Array) -> Array:
    """Return rows divided by their Euclidean norm; rows of zeros stay zero: (m, d)."""
    out = np.zeros_like(x)
    _directions(x, out)
    return out


@jit
def _proportions(x: Array, out: Array) -> None:
    for i in range(x.shape[0]):
        scale, total = 1.0, _positive_sum(x[i], 1.0)
        if not _SMALL < total < _LARGE:
            top = _largest(x[i])
            if top < _SUBNORMAL:
                continue
            scale = 1.0 / top
            total = _positive_sum(x[i], scale)
        if total > 0.0:
            factor = 1.0 / total
            for j in range(x.shape[1]):
                out[i, j] = max(np.float64(x[i, j]), 0.0) * scale * factor


def proportions(x: Array) -> Array:
    """Return rows divided by their sum; rows of zeros stay zero: (m, d)."""
    out = np.zeros_like(x)
    _proportions(x, out)
    return out
