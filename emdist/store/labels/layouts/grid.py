"""Labels of data on a grid: the dimensions of its samples, in chunks as large as its boxes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from emdist.store.grids.boxes import Boxes
from emdist.store.labels.layouts.base import MAX_CHUNK_ROWS, LabelLayout, equal_parts, numbers
from emdist.store.sources.plan import MAX_BLOCKS


@dataclass(frozen=True)
class GridLayout:
    """The layout of a grid of samples.

    Attributes
    ----------
    boxes
        The block plan: each box is a block.
    """

    boxes: Boxes

    @classmethod
    def from_stored(cls, stored: dict[str, Any]) -> tuple[GridLayout, int] | None:
        """Return a layout that `stored` has made, and the number of columns; None for others."""
        dims = stored.get("dims")
        if not isinstance(dims, list) or not all(isinstance(one, str) and one for one in dims):
            return None
        shape, steps = (numbers(stored.get(name), len(dims)) for name in ("shape", "boxes"))
        columns = numbers([stored.get("columns")])
        if shape is None or steps is None or columns is None or len(set(dims)) < len(dims):
            return None
        boxes = Boxes(tuple(dims), shape, steps, (0,) * len(shape))
        return None if len(boxes) - 1 > MAX_BLOCKS else (cls(boxes), columns[0])

    @property
    def bounds(self) -> Sequence[int]:
        return self.boxes

    @property
    def blocks(self) -> int:
        return len(self.boxes) - 1

    @property
    def dims(self) -> tuple[str, ...]:
        return self.boxes.names

    @property
    def shape(self) -> tuple[int, ...]:
        return self.boxes.shape

    @property
    def chunks(self) -> tuple[int, ...]:
        """A box, or an equal part of a very large box."""
        found = list(map(min, self.boxes.steps, self.boxes.shape))
        for axis, size in enumerate(found):
            over = -(-math.prod(found) // MAX_CHUNK_ROWS)
            if over < 2:
                break
            most = -(-size // over)
            alone = size == self.boxes.shape[axis]  # No other box shares the chunks.
            found[axis] = most if alone else size // equal_parts(size, most)
        return tuple(found)

    @property
    def progress(self) -> str:
        # Beside the arrays, xarray would show it among the variables of the grid.
        return "emdist/progress"

    def region(self, i: int) -> tuple[slice, ...]:
        return self.boxes.box(i).region

    def stored(self, n_columns: int) -> Any:
        return {
            "dims": list(self.dims),
            "shape": list(self.shape),
            "boxes": list(self.boxes.steps),
            "columns": n_columns,
        }

    def differs(self, other: LabelLayout) -> list[str]:
        if not isinstance(other, GridLayout):
            return [f"they have the dimensions {', '.join(self.dims)}, and the data now is of rows"]
        found = []
        if (self.dims, self.shape) != (other.dims, other.shape):
            found.append(
                f"they are on the grid {_told(self)}, and the data now is on {_told(other)}"
            )
        elif self.boxes.steps != other.boxes.steps:
            found.append(
                f"they are in blocks of {_sizes(self.boxes.steps)}, and the blocks now have "
                f"{_sizes(other.boxes.steps)} (data.block_size)"
            )
        return found


def _told(layout: GridLayout) -> str:
    pairs = zip(layout.dims, layout.shape, strict=True)
    return ", ".join(f"{dim} ({size:,})" for dim, size in pairs)


def _sizes(steps: Sequence[int]) -> str:
    return " x ".join(f"{step:,}" for step in steps)
