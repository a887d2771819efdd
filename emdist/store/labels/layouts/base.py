"""`LabelLayout`: the interface of layouts of labels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

#: The largest number of rows in a chunk, if blocks can be divided.
MAX_CHUNK_ROWS = 1 << 22


class LabelLayout(Protocol):
    """Where the rows of each block lie in the arrays of a labelling; small and picklable.

    A block fills whole chunks, so that no two writers change the same chunk.
    """

    @property
    def bounds(self) -> Sequence[int]:
        """The block plan: the number of rows before each block, then that of all rows."""

    @property
    def blocks(self) -> int:
        """The number of blocks."""

    @property
    def dims(self) -> tuple[str, ...]:
        """The names of the dimensions of the rows."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The sizes of these dimensions."""

    @property
    def chunks(self) -> tuple[int, ...]:
        """The size of a chunk along each of them."""

    @property
    def progress(self) -> str:
        """The path of the array of progress in the group."""

    def region(self, i: int) -> tuple[slice, ...]:
        """Return the part of an array that block `i` fills, with its rows in C order."""
        ...

    def stored(self, n_columns: int) -> Any:
        """Return the layout and the number of columns as JSON, for the mark of the group."""
        ...

    def differs(self, other: LabelLayout) -> list[str]:
        """Return, as parts of a sentence, how stored labels of this layout differ from `other`."""
        ...


def equal_parts(size: int, most: int) -> int:
    """Return into how many equal parts `size` is divided, so that none is longer than `most`.

    It may be impossible to divide it into equal parts of about this length, for example if it is
    prime. One large part is then better than millions of small ones.
    """
    fewest = -(-size // most)
    return next((n for n in range(fewest, 16 * fewest) if size % n == 0), 1)


def numbers(value: Any, count: int | None = None) -> tuple[int, ...] | None:
    """Return a stored list of positive integers, or None if it is none."""
    if not isinstance(value, list) or (count is not None and len(value) != count):
        return None
    if not value or not all(type(n) is int and n > 0 for n in value):
        return None
    return tuple(value) if math.prod(value) < 1 << 62 else None
