"""Selections: which positions of a dimension are read, by position or by coordinate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from emdist.errors import ConfigError, ShapeError
from emdist.inputs.quoting import shown
from emdist.interfaces import Array
from emdist.store.grids.finding import position_of, positions_between


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
    if not size:
        raise ShapeError(f"The variables are empty: the dimension {dim} has the size 0.")
    if isinstance(choice, dict) and "index" in choice:
        return _by_index(dim, size, choice["index"])
    if choice == [None, None]:
        return Positions(range(size))
    values = coordinate()
    if values is None:
        raise ConfigError(
            f"data.select for {dim} is by coordinate, but {dim} has no coordinate of one dimension."
            f" Select by position: {{index: ...}}, of 0..{size - 1}."
        )
    if len(values) != size:
        raise ConfigError(
            f"data.select for {dim} is by coordinate, but the coordinate {dim} has {len(values)} "
            f"values, and the dimension {size} positions. Select by position: {{index: ...}}."
        )
    if isinstance(choice, dict):
        at = [position_of(dim, values, one) for one in choice["values"]]
        if len(set(at)) < len(at):
            raise ConfigError(
                f"data.select for {dim} is {shown(choice['values'])}, with a value twice."
            )
        return _sequence(at)
    if not isinstance(choice, list):
        return Positions((position_of(dim, values, choice),), scalar=True)
    return _sequence(positions_between(dim, values, *choice))


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
