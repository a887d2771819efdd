"""Counts of pairs of labels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdist.kernels.jit import jit

Array = NDArray[Any]


@jit
def count_pairs(a: Array, b: Array, low_a: Any, low_b: Any, out: Array) -> None:
    """Add to `out` how often ``(a - low_a, b - low_b)`` occurs."""
    for i in range(a.shape[0]):
        out[a[i] - low_a, b[i] - low_b] += 1


@jit
def expected_information(rows: Array, columns: Array, total: Any, factorials: Array) -> Any:
    """Return the expected mutual information of two random partitions with these sizes, in nats.

    Vinh, Epps and Bailey 2010, "Information theoretic measures for clusterings comparison", JMLR
    11: the sum over all cells of the hypergeometric distribution. `factorials` has ``log(n!)`` of
    small numbers, beyond which Stirling's series is as exact. Terms farther than 12 standard
    deviations (and 40 rows) from the mean of a cell are below the rounding of the others.
    """
    found = 0.0
    for p in range(rows.shape[0]):
        for q in range(columns.shape[0]):
            a, b = rows[p], columns[q]
            mean = a / total * b
            width = 12.0 * np.sqrt(mean * (1.0 - a / total) * (1.0 - b / total)) + 40.0
            low = max(1.0, a + b - total, np.floor(mean - width))
            high = min(a, b, np.ceil(mean + width))
            if high < low:
                continue
            fixed = (
                _log_factorial(a, factorials)
                + _log_factorial(b, factorials)
                + _log_factorial(total - a, factorials)
                + _log_factorial(total - b, factorials)
                - _log_factorial(total, factorials)
            )
            n = low
            while n <= high:
                chance = (
                    fixed
                    - _log_factorial(n, factorials)
                    - _log_factorial(a - n, factorials)
                    - _log_factorial(b - n, factorials)
                    - _log_factorial(total - a - b + n, factorials)
                )
                found += n / total * np.log(total / a * n / b) * np.exp(chance)
                n += 1.0
    return found


@jit
def _log_factorial(n: Any, factorials: Array) -> Any:
    if n < factorials.shape[0]:
        return factorials[int(n)]
    inverse = 1.0 / n
    square = inverse * inverse
    series = inverse * (1.0 / 12 - square * (1.0 / 360 - square * (1.0 / 1260)))
    return n * np.log(n) - n + 0.5 * np.log(2 * np.pi * n) + series
