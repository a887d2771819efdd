"""Logarithms of factorials of rows of counts, and one-hot indicators of categories."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdist.kernels.jit import jit

Array = NDArray[Any]

#: Counts below this are looked up, which takes 1 ns; the log-gamma function takes 20 ns.
_TABLE = 1024


@lru_cache
def _small() -> NDArray[np.float64]:
    return np.array([math.lgamma(i + 1.0) for i in range(_TABLE)])


@jit
def _log_factorials(x: Array, table: Array, out: Array) -> None:
    for i in range(x.shape[0]):
        total = 0.0
        for j in range(x.shape[1]):
            # Rows of weight 0 may hold any values. Their results must be finite; they do not count.
            value = max(np.float64(x[i, j]), 0.0)
            if value < table.shape[0]:
                total += table[int(value)]
            else:
                total += math.lgamma(value + 1.0)
        out[i] = total


def log_factorials(x: Array) -> NDArray[np.float64]:
    """Return ``sum_j log x_j!`` of each row of whole numbers: (m, d) -> (m,)."""
    out = np.empty(len(x))
    _log_factorials(x, _small(), out)
    return out


def log_choose(x: Array, trials: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ``sum_j log C(trials_j, x_j)`` of each row: (m, d) -> (m,); `trials` () or (d,)."""
    whole = log_factorials(np.broadcast_to(trials, (1, x.shape[1])))
    chosen: NDArray[np.float64] = whole - log_factorials(x) - log_factorials(trials - x)
    return chosen


def log_orders(x: Array) -> NDArray[np.float64]:
    """Return the log multinomial coefficient ``log((sum_j x_j)! / prod_j x_j!)`` by row: (m,)."""
    totals = x.sum(axis=1, dtype=np.float64)[:, None]
    ways: NDArray[np.float64] = log_factorials(totals) - log_factorials(x)
    return ways


@jit
def _indicators(x: Array, categories: int, out: Array) -> None:
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            value = x[i, j]
            if not value == value:  # noqa: SIM201
                continue  # NaN, a missing value, belongs to no category.
            code = int(value)
            if 0 <= code < categories:
                out[i, j * categories + code] = 1.0


def indicators(x: Array, categories: int) -> Array:
    """Return one-hot rows of codes 0..categories-1 by feature: (m, d) -> (m, d categories).

    A code that is NaN or not a category gives zeros.
    """
    out = np.zeros((len(x), x.shape[1] * categories), x.dtype)
    _indicators(x, categories, out)
    return out
