"""Results for each row: arrays, or whatever has the shape in which the rows were given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from emdist.interfaces import Array


class Answer(Protocol):
    """What a task gave for all rows."""

    @property
    def value(self) -> Any:
        """The joined results of the blocks."""

    def shaped(
        self, values: Array, name: str, fill: float, columns: tuple[str, Any] | None = None
    ) -> Any:
        """Return `values` (m,) or (m, c) in the shape in which the rows were given.

        Parameters
        ----------
        values
            Values of the rows that count.
        name
            What they are called.
        fill
            The value of rows that are left out.
        columns
            The name of the second dimension and its coordinate, for (m, c).
        """
        ...


@dataclass(frozen=True)
class InMemory:
    """The answer for rows in memory, an array with one entry for each of them."""

    value: Any

    def shaped(
        self, values: Array, name: str, fill: float, columns: tuple[str, Any] | None = None
    ) -> Any:
        return values
