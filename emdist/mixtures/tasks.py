"""Questions that are answered row by row, as tasks of an engine: what one block contributes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from emdist.fit.assigned import assigned
from emdist.fit.fitted import Collected, Rows
from emdist.interfaces import Array, Block, Floats, Source
from emdist.kernels.tiles.tiles import tiles
from emdist.models.mixture import Mixture
from emdist.models.params import MixtureParams
from emdist.models.precision import CAREFUL

#: Responsibilities held at a time while rows are regressed: bytes. Components are factorised anew
#: for each such stretch, so it is longer than a tile.
_STRETCH_BYTES = 16 << 20


@dataclass(frozen=True)
class Explain:
    """Labels, log-densities and, on request, responsibilities of one block of checked rows."""

    source: Source
    mixture: Mixture[Any]
    params: MixtureParams[Any]
    resp: bool = False

    def __call__(self, i: int) -> Collected:
        block = self.source.read(i)
        return self.of(block.x, block.start)

    def of(self, x: Array, start: int) -> Collected:
        """The same of rows `x` (m, d), the first of which is row `start`."""
        block, origin = Block(0, start, x), np.zeros(x.shape[1])
        found = assigned(self.mixture, block, self.params, origin, CAREFUL, self.resp)
        return Collected((found,))


@dataclass(frozen=True)
class Regress:
    """Expectations of the features left, given the rows of one block.

    Attributes
    ----------
    known
        Explains the features observed, with responsibilities.
    at, means
        (k, b) and (k, a) means of the features observed and of those left.
    slopes
        (k, a, b), or None where the means do not move.
    """

    known: Explain
    at: Floats
    means: Floats
    slopes: Floats | None

    def __call__(self, i: int) -> Rows:
        block = self.known.source.read(i)
        x = block.x
        k, a = self.means.shape
        out = np.empty((len(x), a))
        rows = max(1024, _STRETCH_BYTES // (8 * (k + a + x.shape[1])))
        for first, last in tiles(len(x), rows):
            out[first:last] = self._expected(x[first:last], block.start + first)
        return Rows(out)

    def _expected(self, x: Array, start: int) -> Floats:
        resp = self.known.of(x, start).resp
        assert resp is not None
        out: Floats = resp @ self.means
        if self.slopes is not None:
            for k, slopes in enumerate(self.slopes):
                out += resp[:, k, None] * ((x - self.at[k]) @ slopes.T)
        return out
