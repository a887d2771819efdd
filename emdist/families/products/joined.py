"""The density of all features of a product, joined from the densities of its groups."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from emdist.components import Density
from emdist.families.densities import Expanded
from emdist.interfaces import Array, Floats
from emdist.kernels.vector.lines import beside

Columns = NDArray[np.int64]
D = TypeVar("D", bound=Density)


def joined(parts: Sequence[tuple[Columns, Density]], d: int) -> Density:
    """Return the density whose score is the sum of those of `parts`, for `d` columns in all.

    If all parts are `Expanded` densities, the result is one too. It then still needs only two
    matrix products for a tile.
    """
    expanded = [(columns, part) for columns, part in parts if isinstance(part, Expanded)]
    if len(expanded) < len(parts):
        return Joined(tuple(parts))
    return Expanded(
        np.concatenate([part.eta for _, part in expanded], axis=1),
        np.sum([part.offset for _, part in expanded], axis=0),
        Beside(tuple((columns, part.expand) for columns, part in expanded)),
        Added(tuple((columns, part.base_of) for columns, part in expanded)),
        sum(part.constant for _, part in expanded),
        lines=beside([(columns, part.lines) for columns, part in expanded], d),
    )


@dataclass(frozen=True)
class Beside:
    """A function T(x) that joins the statistics of all groups as columns."""

    parts: tuple[tuple[Columns, Callable[[Array], Array]], ...]

    def __call__(self, x: Array) -> Array:
        return np.concatenate([of(np.take(x, c, axis=1)) for c, of in self.parts], axis=1)


@dataclass(frozen=True)
class Added:
    """A function of rows that adds up one number from each group of columns: (m, d) -> (m,)."""

    parts: tuple[tuple[Columns, Callable[[Array], Floats]], ...]

    def __call__(self, x: Array) -> Floats:
        total = np.zeros(len(x))
        for columns, of in self.parts:
            total += of(np.take(x, columns, axis=1))
        return total


@dataclass(frozen=True)
class Joined:
    """The joined density of groups of which at least one is not `Expanded`.

    Such a group needs the rows themselves, and not only their statistics T(x).

    Attributes
    ----------
    parts
        The columns and the density of each group.
    """

    parts: tuple[tuple[Columns, Density], ...]

    @property
    def n_components(self) -> int:
        return self.parts[0][1].n_components

    @property
    def width(self) -> int:
        return sum(part.width for _, part in self.parts)

    @property
    def offset(self) -> Array:
        total: Array = np.sum([part.offset for _, part in self.parts], axis=0)
        return total

    @property
    def constant(self) -> float:
        return sum(part.constant for _, part in self.parts)

    def statistics(self, x: Array) -> Array:
        return x

    def _each(self, x: Array) -> list[tuple[Density, Array, Array]]:
        """Return each part, the rows in its columns, and their statistics."""
        own = [(part, np.take(x, columns, axis=1)) for columns, part in self.parts]
        return [(part, mine, part.statistics(mine)) for part, mine in own]

    def score(self, x: Array, t: Array, out: Array) -> None:
        out[:] = 0.0
        scratch = np.empty_like(out)
        for part, mine, statistics in self._each(x):
            part.score(mine, statistics, scratch)
            out += scratch

    def base(self, x: Array) -> Floats:
        return Added(tuple((columns, part.base) for columns, part in self.parts))(x)

    @property
    def exact(self) -> bool:
        return False

    def explain(self, x: Array, score: Array, labels: NDArray[np.int32]) -> Floats:
        return score.astype(np.float64) + self.base(x)

    def gather(self, x: Array, t: Array, resp: Array) -> Array:
        found = [part.gather(mine, own, resp) for part, mine, own in self._each(x)]
        return np.concatenate(found, axis=1)

    def scatter(
        self, x: Array, t: Array, labels: NDArray[np.int32], weight: Floats | None
    ) -> tuple[Floats, Floats]:
        n, out = np.empty(0), np.empty((self.n_components, self.width))
        ends = [0, *accumulate(part.width for _, part in self.parts)]
        for (part, mine, own), (a, b) in zip(self._each(x), pairwise(ends), strict=True):
            n, out[:, a:b] = part.scatter(mine, own, labels, weight)
        return n, out

    def expected(self, n: Floats, t: Floats, about: Floats | None) -> float:
        ends = [0, *accumulate(part.width for _, part in self.parts)]
        return sum(
            part.expected(n, t[:, a:b], None if about is None else about[:, columns])
            for (columns, part), (a, b) in zip(self.parts, pairwise(ends), strict=True)
        )
