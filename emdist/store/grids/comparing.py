"""Comparisons of stored numbers with numbers that a user gave, without rounding whole numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from emdist.interfaces import Array


def equal(values: Array, numbers: Sequence[float]) -> Array:
    """Return where `values` equal one of `numbers`, as booleans."""
    values = _counted(values)
    if values.dtype.kind == "f":
        return np.isin(values, _rounded(numbers, values))
    limits = np.iinfo(values.dtype)
    # NumPy would compare numbers of two dtypes as float64, which 2**53 + 1 is not.
    whole = {int(one) for one in numbers if math.isfinite(one) and one == int(one)}
    wanted = [one for one in whole if limits.min <= one <= limits.max]
    return np.isin(values, np.array(wanted, values.dtype))


def at_least(values: Array, limit: Any) -> Array:
    """Return where `values`, numbers or dates, are `limit` or more, as booleans."""
    values = _counted(values)
    if values.dtype.kind in "iu":
        if not math.isfinite(limit):
            return np.full(values.shape, limit < 0)
        limit = math.ceil(limit)
    return np.asarray(values >= _rounded(limit, values))


def at_most(values: Array, limit: Any) -> Array:
    """Return where `values`, numbers or dates, are `limit` or less, as booleans."""
    values = _counted(values)
    if values.dtype.kind in "iu":
        if not math.isfinite(limit):
            return np.full(values.shape, limit > 0)
        limit = math.floor(limit)
    return np.asarray(values <= _rounded(limit, values))


def _counted(values: Array) -> Array:
    return values.astype(np.uint8) if values.dtype.kind == "b" else values


def _rounded(number: Any, like: Array) -> Any:
    """Return numbers in the dtype of `like` if it is one of floats: 0.1 of float32 is not 0.1."""
    if like.dtype.kind != "f":
        return number
    with np.errstate(over="ignore"):
        return np.asarray(number, np.float64).astype(like.dtype)
