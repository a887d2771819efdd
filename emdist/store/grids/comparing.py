"""Comparisons of stored numbers with numbers that a user gave, without rounding whole numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from emdist.errors import WeightError
from emdist.inputs.spelling import spellings
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


def first_difference(known: Array, found: Array) -> int | None:
    """Return the first position at which two coordinates of one size differ, or None.

    Equal values of two dtypes are equal, also if one of them is rounded to float32.
    """
    kinds = known.dtype.kind + found.dtype.kind
    if set(kinds) <= set("biuf"):
        if kinds == "ff":
            least = min(known.dtype, found.dtype, key=lambda one: one.itemsize)
            known, found = known.astype(least), found.astype(least)
        same = (known == found) | ((known != known) & (found != found))
    elif kinds == "MM":
        same = (known == found) | (np.isnat(known) & np.isnat(found))
    else:
        same = np.array(spellings(known)) == np.array(spellings(found))
    at = np.flatnonzero(~np.asarray(same))
    return int(at[0]) if len(at) else None


def check_weights_along(dim: str, what: str, own: Array | None, data: Array | None) -> None:
    """Check that sample weights belong to the rows of the data, by a coordinate of both.

    Parameters
    ----------
    dim
        The name of the dimension.
    what
        How the message names the weights.
    own, data
        The coordinate of the weights and that of the data; None if there is none.

    Raises
    ------
    WeightError
        If they differ.
    """
    if own is None or data is None or len(own) != len(data):
        return
    first = first_difference(data, own)
    if first is None:
        return
    found, wanted = spellings(own[[first]])[0], spellings(data[[first]])[0]
    reordered = sorted(spellings(own)) == sorted(spellings(data))
    why = "another order" if reordered else "other values"
    raise WeightError(
        f"The sample weights ({what}) have {why} of {dim} than the data: {found} at position "
        f"{first}, where the data have {wanted}. Give the weights of the same positions in "
        f"the same order, or leave out their coordinate {dim} if it is wrong."
    )


def _counted(values: Array) -> Array:
    return values.astype(np.uint8) if values.dtype.kind == "b" else values


def _rounded(number: Any, like: Array) -> Any:
    """Return numbers in the dtype of `like` if it is one of floats: 0.1 of float32 is not 0.1."""
    if like.dtype.kind != "f":
        return number
    with np.errstate(over="ignore"):
        return np.asarray(number, np.float64).astype(like.dtype)
