"""Emission scores of a block, tile by tile. Rows that are not seen keep their time step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emdist.components import Density
from emdist.errors import DataError
from emdist.interfaces import Array, Block, Floats, Numerics
from emdist.kernels.tiles.chains import level
from emdist.kernels.tiles.tiles import shifted, tile_rows, tiles
from emdist.wording import either

_NONE = np.empty(0)
_ALL = np.empty(0, bool)


@dataclass(frozen=True)
class Emissions:
    """The emission scores of one tile.

    Attributes
    ----------
    first
        The number of its first row in the block.
    x, t
        The rows relative to the origin (m, d), and their statistics (m, width). Rows that are not
        seen are 0.
    score
        The scores (k, m), relative to the best state of each row.
    top
        The score of that best state, (m,), without `Density.base` and `constant`.
    seen
        Which rows are seen, (m,), or an empty array if all are.
    weight
        The sample weights (m,), or an empty array if all are 1.
    """

    first: int
    x: Array
    t: Array
    score: Array
    top: Floats
    seen: NDArray[np.bool_]
    weight: Floats

    @property
    def counting(self) -> Floats | None:
        """The weights of the rows, 0 for those that are not seen: (m,), or None if all are 1."""
        if not len(self.seen):
            return self.weight if len(self.weight) else None
        return np.where(self.seen, self.weight if len(self.weight) else 1.0, 0.0)


@dataclass(frozen=True)
class Emitted:
    """The rows of a block with the density of their states, from which tiles are scored.

    Attributes
    ----------
    density
        The density of the states.
    block
        The rows.
    origin, numerics
        As in `Model.e_step`.
    """

    density: Density
    block: Block
    origin: Floats
    numerics: Numerics

    @property
    def starts(self) -> NDArray[np.int64]:
        """The rows of the block at which sequences begin."""
        pieces = self.block.pieces
        if pieces is None:
            raise DataError(
                "The rows have no sequences, which a hidden Markov model needs. "
                + either(
                    "Use an estimator such as emdist.GaussianHMM, and pass lengths to fit.",
                    "Use an estimator in Python, such as emdist.GaussianHMM.",
                )
            )
        return pieces.starts

    def bounds(self) -> list[tuple[int, int]]:
        """Return the row ranges of the tiles, in order."""
        x, k = self.block.x, self.density.n_components
        columns = x.shape[1] + self.density.width + 4 * k
        rows = tile_rows(columns, np.dtype(self.numerics.dtype).itemsize)
        return list(tiles(len(x), rows))

    def tile(self, a: int, b: int) -> Emissions:
        """Return the scores of the rows a..b of the block."""
        block, density, dtype = self.block, self.density, self.numerics.dtype
        x = shifted(block.x[a:b], self.origin, dtype)
        seen = _ALL if block.mask is None else np.ascontiguousarray(block.mask[a:b])
        if len(seen):
            x[~seen] = 0
        t = density.statistics(x)
        score = np.empty((density.n_components, b - a), dtype)
        density.score(x, t, score)
        top = np.empty(b - a)
        level(score, np.asarray(density.offset, dtype), seen, top)
        weight = _NONE if block.weight is None else np.ascontiguousarray(block.weight[a:b])
        return Emissions(a, x, t, score, top, seen, weight)

    def forwards(self) -> Iterator[Emissions]:
        """Yield all tiles in order."""
        for a, b in self.bounds():
            yield self.tile(a, b)
