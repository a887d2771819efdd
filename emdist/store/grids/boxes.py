"""The block plan of a grid: divides it into boxes of whole chunks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import overload

from emdist.errors import ShapeError
from emdist.interfaces import Box
from emdist.store.sources.plan import (
    MAX_BLOCK_BYTES,
    MAX_BLOCKS,
    MIB,
    MIN_BLOCK_BYTES,
    ROW_BYTES,
)


@dataclass(frozen=True)
class Boxes(Sequence[int]):
    """A division of a grid into boxes, which are numbered in C order.

    As a sequence, it is the block plan of a source: the number of rows before each box, then the
    number of all rows. It takes no memory for its items.

    Attributes
    ----------
    names
        The names of the dimensions of the grid.
    shape
        The size of the grid.
    steps
        The size of a box. Boxes at the upper ends of the grid may be smaller.
    origin
        The positions in the stored arrays at which the grid begins.
    taken
        As in `emdist.interfaces.Box`.
    """

    names: tuple[str, ...]
    shape: tuple[int, ...]
    steps: tuple[int, ...]
    origin: tuple[int, ...]
    taken: tuple[tuple[str, Sequence[int]], ...] = ()

    @property
    def counts(self) -> tuple[int, ...]:
        """The number of boxes along each dimension."""
        return tuple(-(-n // step) for n, step in zip(self.shape, self.steps, strict=True))

    @property
    def rows(self) -> int:
        """The number of rows of the grid."""
        return math.prod(self.shape)

    @property
    def step(self) -> int:
        """The number of rows in the largest box."""
        return math.prod(map(min, self.steps, self.shape))

    def __len__(self) -> int:
        return math.prod(self.counts) + 1

    @overload
    def __getitem__(self, index: int) -> int: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[int]: ...

    def __getitem__(self, index: int | slice) -> int | Sequence[int]:
        if isinstance(index, slice):
            return tuple(self[i] for i in range(*index.indices(len(self))))
        at = index + len(self) if index < 0 else index
        if not 0 <= at < len(self):
            raise IndexError(index)
        if at == len(self) - 1:
            return self.rows
        box = self.box(at)
        # The boxes before this one are, for each dimension, those that begin before it there and
        # lie at the same place in all dimensions before.
        before = 0
        for axis, first in enumerate(box.start):
            before += math.prod(box.size[:axis]) * first * math.prod(self.shape[axis + 1 :])
        return before

    def __iter__(self) -> Iterator[int]:
        return (self[i] for i in range(len(self)))

    def box(self, i: int) -> Box:
        """Return box `i`."""
        start = []
        for count, step in zip(reversed(self.counts), reversed(self.steps), strict=True):
            i, at = divmod(i, count)
            start.append(at * step)
        first = tuple(reversed(start))
        ends = zip(first, self.steps, self.shape, strict=True)
        size = tuple(min(at + step, n) - at for at, step, n in ends)
        return Box(self.names, self.shape, first, size, self.origin, self.taken)


def boxes_of(
    names: tuple[str, ...],
    shape: tuple[int, ...],
    units: tuple[int, ...],
    origin: tuple[int, ...],
    row_bytes: int,
    block_bytes: int | None,
) -> Boxes:
    """Return the block plan of a grid. It depends on the data and the configuration only.

    Boxes consist of whole chunks, as many as fit into a block. If one chunk is too large for a
    block, boxes are parts of it, cut along the first dimensions, and each chunk is read again for
    each of its boxes.

    Parameters
    ----------
    names, shape, origin
        As in `Boxes`.
    units
        The size of a chunk along each dimension, of all variables together.
    row_bytes
        The bytes of one decoded row.
    block_bytes
        The wanted decoded size of a block, in which a row counts as at least `ROW_BYTES`. None
        chooses a sixteenth of the data, between 2 and 128 MiB; one chunk may then be larger.

    Raises
    ------
    ShapeError
        If there would be more than `MAX_BLOCKS` blocks.
    """
    most = block_bytes
    if block_bytes is None:
        block_bytes = min(MAX_BLOCK_BYTES, max(MIN_BLOCK_BYTES, math.prod(shape) * row_bytes // 16))
        most = MAX_BLOCK_BYTES
    assert most is not None
    each = max(row_bytes, ROW_BYTES if block_bytes >= MIB else 1)
    steps = [min(unit, n) for unit, n in zip(units, shape, strict=True)]
    for axis in reversed(range(len(steps))):
        room = block_bytes // (math.prod(steps) * each)
        if room < 2:
            break
        wanted = -(-shape[axis] // steps[axis])
        # As few boxes as fit, and then evened out: a short last box keeps one thread at work.
        number = -(-wanted // min(room, wanted))
        steps[axis] = min(steps[axis] * -(-wanted // number), shape[axis])
        if number > 1:
            break
    for axis in range(len(steps)):
        over = -(-math.prod(steps) * each // most)
        if over < 2:
            break
        steps[axis] = -(-steps[axis] // min(over, steps[axis]))
    found = Boxes(names, shape, tuple(steps), origin)
    if len(found) - 1 > MAX_BLOCKS:
        raise ShapeError(
            f"{found.rows} rows make {len(found) - 1} blocks of {found.step} rows, expected at "
            f"most {MAX_BLOCKS} blocks. Check the shapes of the variables, or set a larger "
            "data.block_size."
        )
    return found


def cuts_within(first: int, step: int, count: int, unit: int) -> int:
    """Return how many edges between boxes along one dimension lie within a chunk.

    Parameters
    ----------
    first
        The position at which the first box begins.
    step, count
        The size of a box, and the number of boxes.
    unit
        The size of a chunk.
    """
    shared = math.gcd(step, unit)
    if first % shared:
        return count - 1
    # The edges first + i * step that are multiples of the chunk are `every` boxes apart.
    every = unit // shared
    least = -(first // shared) * pow(step // shared, -1, every) % every
    return count - 1 - len(range(least or every, count, every))
