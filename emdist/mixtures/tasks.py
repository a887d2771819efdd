"""Questions that are answered row by row, as tasks of an engine: what one block contributes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from emdist.fit.fitted import Collected, Rows
from emdist.interfaces import Array, Floats, Source
from emdist.kernels.tiles import tile_rows, tiles
from emdist.models.mixture import CAREFUL, Mixture, MixtureParams


@dataclass(frozen=True)
class Explain:
    """Labels, log-densities and, on request, responsibilities of one block of checked rows."""

    source: Source
    mixture: Mixture[Any]
    params: MixtureParams[Any]
    resp: bool = False

    def __call__(self, i: int) -> Collected:
        origin = np.zeros(self.source.shape[1])
        found = self.mixture.assign(self.source.read(i), self.params, origin, CAREFUL, self.resp)
        return Collected(found.labels, found.score, found.resp)


@dataclass(frozen=True)
class Regress:
    """Expectations of the features left, given the rows of one block.

    Attributes
    ----------
    known
        Explains the features observed.
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
        x = self.known.source.read(i).x
        resp = self.known(i).resp
        assert resp is not None
        out = np.empty((len(x), self.means.shape[1]))
        for a, b in tiles(len(x), tile_rows(x.shape[1] + out.shape[1] + resp.shape[1], 8)):
            out[a:b] = self._expected(x[a:b], resp[a:b])
        return Rows(out)

    def _expected(self, x: Array, resp: Array) -> Floats:
        out: Floats = resp @ self.means
        if self.slopes is not None:
            for k, slopes in enumerate(self.slopes):
                out += resp[:, k, None] * ((x - self.at[k]) @ slopes.T)
        return out
