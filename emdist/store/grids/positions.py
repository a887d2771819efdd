"""Selections: which positions of a dimension are read, by position or by coordinate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from emdist.errors import ConfigError, ShapeError
from emdist.inputs.quoting import listed, shown
from emdist.interfaces import Array

#: Values of a coordinate of floats are the same if they differ by less than this share of them:
#: 0.1 in float32 is 0.10000000149.
_SAME = 1e-6


@dataclass(frozen=True)
class Positions:
    """The positions of a dimension that are read.

    Attributes
    ----------
    at
        The positions, in the order in which they are read.
    scalar
        Whether one position was asked for, so that the dimension is gone.
    """

    at: range | tuple[int, ...]
    scalar: bool = False

    @property
    def hull(self) -> slice:
        """The smallest range with all positions."""
        return slice(min(self.at), max(self.at) + 1)

    @property
    def contiguous(self) -> bool:
        """Whether the positions follow one another."""
        return isinstance(self.at, range) and self.at.step == 1


def positions(
    dim: str, size: int, choice: Any, coordinate: Callable[[], Array | None]
) -> Positions:
    """Return the positions that an entry of ``select`` means.

    Parameters
    ----------
    dim
        The name of the dimension.
    size
        Its size.
    choice
        The entry, as `emdist.inputs.layout.Layout` describes it.
    coordinate
        Returns the values of the coordinate, or None if there is none.

    Raises
    ------
    ConfigError
        If the coordinate lacks what is asked for, or if the range of a coordinate is not one range
        of positions.
    ShapeError
        If nothing is left.
    """
    if isinstance(choice, dict) and "index" in choice:
        return _by_index(dim, size, choice["index"])
    values = coordinate()
    if values is None:
        raise ConfigError(
            f"data.select for {dim} is by coordinate, but {dim} has no coordinate of one dimension."
            f" Select by position: {{index: ...}}, of 0..{size - 1}."
        )
    if isinstance(choice, dict):
        return _sequence([_value(dim, values, one) for one in choice["values"]])
    if not isinstance(choice, list):
        return Positions((_value(dim, values, choice),), scalar=True)
    if values.dtype.kind in "UTO":
        raise ConfigError(
            f"data.select for {dim} is {shown(choice)}, a range, but {dim} has texts or other "
            "values without an order. Give the values that you mean, as {values: [...]}, or "
            "positions, as {index: ...}."
        )
    low, high = (None if end is None else _like(dim, values, end) for end in choice)
    inside = np.ones(len(values), bool)
    if low is not None:
        inside &= _rounded(values, low) >= low
    if high is not None:
        inside &= _rounded(values, high) <= high
    at = np.flatnonzero(inside)
    if not len(at):
        raise ShapeError(
            f"data.select for {dim} is {shown(choice)}, but no value of {dim} lies there: they go "
            f"from {values.min()} to {values.max()}."
        )
    return _sequence([int(i) for i in at])


def _sequence(at: list[int]) -> Positions:
    if at == list(range(at[0], at[0] + len(at))):
        return Positions(range(at[0], at[0] + len(at)))
    return Positions(tuple(at))


def _by_index(dim: str, size: int, index: Any) -> Positions:
    if isinstance(index, str):
        parts = [int(part) if part.strip() else None for part in index.split(":")]
        found = range(size)[slice(*parts)]
        if not found:
            raise ShapeError(
                f"data.select for {dim} is index {index!r}, which is empty: {dim} has {size} "
                "positions."
            )
        return _sequence(list(found)) if found.step != 1 else Positions(found)
    wanted = index if isinstance(index, list) else [index]
    for one in wanted:
        if not -size <= one < size:
            raise ConfigError(
                f"data.select for {dim} is index {one}, but {dim} has the positions 0..{size - 1}."
            )
    at = [one % size for one in wanted]
    if len(set(at)) < len(at):
        raise ConfigError(f"data.select for {dim} is index {shown(index)}, with a position twice.")
    return _sequence(at) if isinstance(index, list) else Positions((at[0],), scalar=True)


def _rounded(values: Array, like: Any) -> Array:
    """Return times in the unit of `like`, so that a date stands for all times of its day."""
    if values.dtype.kind != "M":
        return values
    return values.astype(f"datetime64[{np.datetime_data(like.dtype)[0]}]")


def _date(wanted: Any) -> Any:
    """Return a date as NumPy reads it: years may be numbers, and hyphens may be left out."""
    text = str(wanted) if type(wanted) is int else wanted
    if isinstance(text, str) and text.isdecimal() and len(text) != 4:
        if len(text) != 8:
            raise ValueError(text)  # NumPy would take it for a year.
        return f"{text[:4]}-{text[4:6]}-{text[6:]}"
    return text


def _like(dim: str, values: Array, wanted: Any) -> Any:
    """Return `wanted` as a value of the coordinate's kind, to be compared with it."""
    try:
        if values.dtype.kind == "M":
            return np.datetime64(_date(wanted))
        if values.dtype.kind in "iuf" and not isinstance(wanted, str | bool):
            return float(wanted)
        if values.dtype.kind in "UTO" and isinstance(wanted, str):
            return wanted
    except (TypeError, ValueError):
        pass
    raise ConfigError(
        f"data.select for {dim} has {shown(wanted)}, but {dim} has values such as "
        f"{shown(values[0].item() if hasattr(values[0], 'item') else values[0])}."
    )


def _value(dim: str, values: Array, wanted: Any) -> int:
    """Return the position of one value of the coordinate."""
    like = _like(dim, values, wanted)
    if values.dtype.kind == "f":
        same = np.abs(values - like) <= _SAME * max(abs(like), float(np.abs(values).max()))
    elif values.dtype.kind == "M":
        same = _rounded(values, like) == like
    else:
        same = values == like
    at = np.flatnonzero(same)
    if len(at) == 1:
        return int(at[0])
    if len(at):
        raise ConfigError(
            f"data.select for {dim} is {shown(wanted)}, which {len(at)} positions of {dim} have. "
            "Select a range, or by position: {index: ...}."
        )
    raise ConfigError(
        f"data.select for {dim} is {shown(wanted)}, which no position of {dim} has; its values are "
        f"{listed([str(one) for one in values.tolist()], 6)}."
    )
