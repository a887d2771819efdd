"""Priority samples: random weighted rows that can be merged and do not depend on the chunking."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emdist.interfaces import Array, Floats
from emdist.kernels.tiles.hashing import uniform_of_rows

#: One row in so many tells which rows of a block have too low a priority.
_EVERY = 8


@dataclass(frozen=True)
class Sample:
    """The rows of highest priority ``weight / u(row)``, with u uniform in (0, 1) by row index.

    Priority sampling (Duffield, Lund and Thorup 2007, "Priority sampling for estimation of
    arbitrary subset sums", J. ACM 54): let tau be the highest priority that was left out. Then
    ``max(weight, tau)`` estimates any sum of weights without bias. If nothing was left out, tau is
    0 and the weights are exact. Samples of disjoint rows add to the sample of their union.

    Attributes
    ----------
    size
        The largest number of rows kept. One more is kept than used: its priority is tau.
    priority
        (m,) in descending order.
    row
        (m,) global row indices.
    x
        (m, d) the rows as stored.
    weight
        (m,) sample weights.
    """

    size: int
    priority: Floats
    row: NDArray[np.int64]
    x: Array
    weight: Floats

    def __add__(self, other: Sample) -> Sample:
        if len(other.row) == 0:
            return self
        if len(self.row) == 0:
            return other
        # Copy only rows that may stay: most rows of a later block have too low a priority.
        mine, others = self._above(other), other._above(self)
        return highest(
            self.size,
            np.concatenate([self.priority[:mine], other.priority[:others]]),
            np.concatenate([self.row[:mine], other.row[:others]]),
            np.concatenate([self.x[:mine], other.x[:others]]),
            np.concatenate([self.weight[:mine], other.weight[:others]]),
        )

    def first(self, size: int) -> Sample:
        """Return the sample of at most `size` rows, as if it had been drawn with this size."""
        return Sample(
            size, self.priority[:size], self.row[:size], self.x[:size], self.weight[:size]
        )

    def _above(self, other: Sample) -> int:
        """Return how many of these rows could be among the `size` highest of both samples."""
        if len(other.row) < self.size:
            return len(self.row)
        # The rows of `other` alone fill the sample, so rows below its last one are out.
        return int(np.searchsorted(-self.priority, -other.priority[-1], side="right"))

    def rows(self) -> tuple[Array, Floats, NDArray[np.int64]]:
        """Return ``(x, weight, row)`` by row index; the weights estimate those of all rows."""
        used = min(len(self.row), self.size - 1)
        tau = self.priority[used] if len(self.row) > used else 0.0
        order = np.argsort(self.row[:used], kind="stable")
        return self.x[order], np.maximum(self.weight[order], tau), self.row[order]


def highest(
    size: int, priority: Floats, row: NDArray[np.int64], x: Array, weight: Floats
) -> Sample:
    """Return the sample of the `size` rows of highest priority; ties go to the lower row index."""
    # A stable sort is linear here: the input is often two sorted samples, one after the other.
    order = np.argsort(-priority, kind="stable")[: size + 1]
    ranked = priority[order]
    if (ranked[1:] == ranked[:-1]).any():
        order = np.lexsort((row, -priority))
    order = order[:size]
    return Sample(size, priority[order], row[order], np.ascontiguousarray(x[order]), weight[order])


def sample_rows(
    size: int,
    x: Array,
    weight: Floats | None,
    row: NDArray[np.int64],
    key: tuple[int, ...],
) -> Sample:
    """Draw a sample of these rows (m, d); rows of weight 0 are never drawn.

    Parameters
    ----------
    size
        How many rows to keep, including the one whose priority is tau.
    x, weight, row
        (m, d), (m,) or None for 1, and (m,) global indices.
    key
        Identifies the random stream: seed, restart, purpose, round.
    """
    given = np.ones(len(x)) if weight is None else weight
    priority = given / uniform_of_rows(row, *key)
    keep = np.flatnonzero(priority >= _floor(priority, size))
    if len(keep) > size:
        # One threshold costs less than sorting the whole block.
        floor = np.partition(priority[keep], len(keep) - size)[len(keep) - size]
        keep = keep[priority[keep] >= floor]
    return highest(size, priority[keep], row[keep], x[keep], given[keep])


def _floor(priority: Floats, size: int) -> float:
    """Return a number > 0 that the `size` highest priorities reach, unless they are 0."""
    few = priority[::_EVERY]
    least = float(np.partition(few, len(few) - size)[len(few) - size]) if len(few) > size else 0.0
    return max(least, math.ulp(0.0))
