"""Rows shifted and scaled feature by feature, from any type to any other, in one pass."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdist.kernels.jit import jit

Array = NDArray[Any]


@jit
def _scale(x: Array, shift: Array, factor: Array, out: Array) -> Any:
    """Fill `out` (m, d); return how many values are NaN or infinite."""
    wrong: Any = 0
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            value = (np.float64(x[i, j]) - shift[j]) * factor[j]
            out[i, j] = value
            wrong += np.int64(value - value != 0.0)
    return wrong


def scaled(x: Array, shift: NDArray[np.float64], factor: NDArray[np.float64], out: Array) -> bool:
    """Fill `out` (m, d) with ``(x - shift) * factor``, computed in float64 and rounded once.

    Return whether all results are finite.
    """
    return int(_scale(x, shift, factor, out)) == 0
