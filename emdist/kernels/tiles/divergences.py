"""Dissimilarities of rows to the centre of their label, without cancellation near the centre.

With d = x - mu, r = d / mu and s = r / (2 + r), ``log1p(r) = 2 s + tail(s)``. The dissimilarities
are then written without terms that cancel:

    generalised I   x log(x / mu) - x + mu      = d r / (2 + r) + x tail(s)
    Itakura-Saito   x / mu - log(x / mu) - 1    = r^2 / (2 + r) - tail(s)

Values outside the domain, which rows of weight 0 may have, count as the nearest value inside, so
that their results are finite.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdist.kernels.jit import jit, jit_sums

Array = NDArray[Any]

#: Below this |r| the series is used. Ten of its terms are exact to the last bit.
_NEAR = 0.25

#: The smallest number to divide by, or to take a logarithm of.
TINY = 1e-200

#: Rows whose largest value is below this count as zeros: the reciprocal of less is infinite.
_SUBNORMAL = 1e-307


@jit
def _tail(s: float) -> float:
    """Return ``log1p(r) - 2 s = 2 s^3 (1/3 + s^2/5 + s^4/7 + ...)`` for |s| <= 1/7."""
    q = s * s
    total = 1.0 / 21
    for n in range(9, 0, -1):
        total = total * q + 1.0 / (2 * n + 1)
    return 2.0 * s * q * total


@jit
def _generalised_i(x: float, mu: float) -> float:
    if x <= 0.0:
        return mu
    d = x - mu
    r = d / mu
    if abs(r) > _NEAR:
        return x * math.log(x / mu) - d
    return d * r / (2.0 + r) + x * _tail(r / (2.0 + r))


@jit
def generalised_i(x: Array, centres: Array, labels: Array, out: Array) -> None:
    """Fill `out` (m,) with ``sum_j x log(x / mu) - x + mu``; mu is the centre of the row."""
    for i in range(x.shape[0]):
        c = labels[i]
        total = 0.0
        for j in range(x.shape[1]):
            total += _generalised_i(np.float64(x[i, j]), centres[c, j])
        out[i] = total


@jit
def itakura_saito(x: Array, centres: Array, labels: Array, out: Array) -> None:
    """Fill `out` (m,) with ``sum_j x / mu - log(x / mu) - 1``; mu is the centre of the row."""
    for i in range(x.shape[0]):
        c = labels[i]
        total = 0.0
        for j in range(x.shape[1]):
            mu = centres[c, j]
            value = max(np.float64(x[i, j]), TINY)
            r = (value - mu) / mu
            if abs(r) > _NEAR:
                total += value / mu - np.log(value / mu) - 1.0
            else:
                total += r * r / (2.0 + r) - _tail(r / (2.0 + r))
        out[i] = total


@jit
def logistic(x: Array, centres: Array, labels: Array, out: Array) -> None:
    """Fill `out` (m,) with ``sum_j x log(x / mu) + (1 - x) log((1 - x) / (1 - mu))`` by row."""
    for i in range(x.shape[0]):
        c = labels[i]
        total = 0.0
        for j in range(x.shape[1]):
            value, mu = min(max(np.float64(x[i, j]), 0.0), 1.0), centres[c, j]
            # -x + mu of the first term and -(1 - x) + (1 - mu) of the second add up to 0.
            total += _generalised_i(value, mu) + _generalised_i(1.0 - value, 1.0 - mu)
        out[i] = total


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
        top = _largest(x[i])
        if top < _SUBNORMAL:
            continue
        # Scale first, because squares of 1e-200 underflow and those of 1e200 overflow.
        scale = 1.0 / top
        factor = 1.0 / _length(x[i], scale)
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
