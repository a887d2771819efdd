"""Emission scores of a block, tile by tile. Rows that are not seen keep their time step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from emdist.components import Density, Logits, does_soft_blocks
from emdist.errors import DataError
from emdist.interfaces import Array, Block, Floats, Numerics
from emdist.kernels.tiles.chains import level
from emdist.kernels.tiles.tiles import shifted, tile_rows, tiles
from emdist.kernels.vector.emissions import gather_rows, score_rows
from emdist.kernels.vector.lines import Lines
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
    rows, origin
        The rows as stored (m, d), and the origin (d,). Rows that are not seen are the origin.
    density
        The density of the states.
    logits
        The definition of the scores for compiled passes over rows, or None if there is none.
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
    rows: Array
    origin: Floats
    density: Density
    logits: Logits | None
    score: Array
    top: Floats
    seen: NDArray[np.bool_]
    weight: Floats

    @cached_property
    def x(self) -> Array:
        """The rows relative to the origin, (m, d)."""
        return shifted(self.rows, self.origin, self.score.dtype.name)

    @cached_property
    def t(self) -> Array:
        """The statistics of the rows, (m, width)."""
        return self.density.statistics(self.x)

    @property
    def counting(self) -> Floats | None:
        """The weights of the rows, 0 for those that are not seen: (m,), or None if all are 1."""
        if not len(self.seen):
            return self.weight if len(self.weight) else None
        return np.where(self.seen, self.weight if len(self.weight) else 1.0, 0.0)

    def gathered(self, resp: Array) -> tuple[Floats, Floats]:
        """Return sums over rows of posteriors (k, m), and of their products with statistics.

        They are (k,) and (k, width).
        """
        if self.logits is None:
            own = resp.sum(axis=1, dtype=np.float64)
            return own, self.density.gather(self.x, self.t, resp)
        lines = Lines(self.logits.pairs, self.logits.extras)
        return gather_rows(self.rows, self.origin, resp, lines, self.density.width)


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
        # Compiled passes do not write statistics to memory.
        width = self.density.width if self._logits is None else 0
        columns = x.shape[1] + width + 4 * k
        rows = tile_rows(columns, np.dtype(self.numerics.dtype).itemsize)
        return list(tiles(len(x), rows))

    @cached_property
    def _logits(self) -> Logits | None:
        """The definition of the scores for compiled passes over rows, or None if there is none."""
        none, density = np.zeros(self.density.n_components), self.density
        return density.logits(none, 1.0) if does_soft_blocks(density) else None

    def tile(self, a: int, b: int) -> Emissions:
        """Return the scores of the rows a..b of the block."""
        block, dtype = self.block, self.numerics.dtype
        rows, origin, seen = block.x[a:b], self.origin, _ALL
        if block.mask is not None:
            seen = np.ascontiguousarray(block.mask[a:b])
            rows, origin = shifted(rows, origin, dtype), np.zeros_like(origin)
            rows[~seen] = 0
        weight = _NONE if block.weight is None else np.ascontiguousarray(block.weight[a:b])
        score, top = self._scored(rows, origin)
        if len(seen):
            score[:, ~seen] = 0
            top[~seen] = 0
        return Emissions(
            a, rows, origin, self.density, self._logits, score, top, seen, weight
        )  # fmt: skip

    def _scored(self, rows: Array, origin: Floats) -> tuple[Array, Floats]:
        """Return the scores (k, m), relative to the best of each row, and the best (m,)."""
        density, dtype, logits = self.density, self.numerics.dtype, self._logits
        if logits is not None:
            lines = Lines(logits.pairs, logits.extras)
            return score_rows(rows, origin, logits.eta, logits.offset, lines)
        x = shifted(rows, origin, dtype)
        score, top = np.empty((density.n_components, len(x)), dtype), np.empty(len(x))
        density.score(x, density.statistics(x), score)
        level(score, np.asarray(density.offset, dtype), top)
        return score, top

    def forwards(self) -> Iterator[Emissions]:
        """Yield all tiles in order."""
        for a, b in self.bounds():
            yield self.tile(a, b)
