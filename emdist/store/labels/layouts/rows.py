"""Labels of rows of a two-dimensional array: one dimension, ``row``, in the order of the input."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from emdist.errors import ConfigError
from emdist.store.labels.layouts.base import MAX_CHUNK_ROWS, LabelLayout, equal_parts, numbers


@dataclass(frozen=True)
class RowLayout:
    """The layout of consecutive rows.

    Attributes
    ----------
    rows
        The number of rows.
    block
        The number of rows in each block but the last.
    """

    rows: int
    block: int

    @classmethod
    def of_plan(cls, bounds: Sequence[int]) -> RowLayout:
        """Return the layout of a block plan, whose blocks but the last must be equally long."""
        rows = bounds[1] - bounds[0]
        whole = itertools.islice(itertools.pairwise(bounds), len(bounds) - 2)
        if any(b - a != rows for a, b in whole):
            raise ConfigError(
                "Labels can be written only if all blocks except the last have the same number of "
                "rows, because each block must fill whole chunks. Rechunk the input evenly."
            )
        return cls(bounds[-1], rows)

    @classmethod
    def from_stored(cls, stored: Any) -> tuple[RowLayout, int] | None:
        """Return a layout that `stored` has made, and the number of columns; None for others."""
        found = numbers(stored, 3)
        return None if found is None else (cls(found[0], found[1]), found[2])

    @property
    def bounds(self) -> Sequence[int]:
        return (*range(0, self.rows, self.block), self.rows)

    @property
    def blocks(self) -> int:
        return -(-self.rows // self.block)

    @property
    def dims(self) -> tuple[str, ...]:
        return ("row",)

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.rows,)

    @property
    def chunks(self) -> tuple[int, ...]:
        """A block, or an equal part of a very long block."""
        if self.rows <= self.block:  # There is no other block that could share these chunks.
            return (min(self.rows, MAX_CHUNK_ROWS),)
        return (self.block // equal_parts(self.block, MAX_CHUNK_ROWS),)

    @property
    def progress(self) -> str:
        return "progress"

    def region(self, i: int) -> tuple[slice, ...]:
        return (slice(i * self.block, min((i + 1) * self.block, self.rows)),)

    def stored(self, n_columns: int) -> Any:
        return [self.rows, self.block, n_columns]

    def differs(self, other: LabelLayout) -> list[str]:
        if not isinstance(other, RowLayout):
            return [
                f"they are of rows, and the data now has the dimensions {', '.join(other.dims)}"
            ]
        found = []
        if self.rows != other.rows:
            found.append(f"they have {self.rows:,} rows, and the data now has {other.rows:,}")
        if self.block != other.block:
            found.append(
                f"they are in blocks of {self.block:,} rows, and the blocks now have "
                f"{other.block:,} (data.block_size)"
            )
        return found
