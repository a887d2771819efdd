"""Tasks of an engine that score the rows of a block, or compute their conditional means."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from emdist.fit.assigned import assigned
from emdist.fit.fitted import Collected, RowValues
from emdist.interfaces import Block, Floats, Source
from emdist.kernels.tiles.tiles import tiles
from emdist.models.mixture import Mixture
from emdist.models.params import MixtureParams
from emdist.models.precision import CAREFUL

#: The size in bytes of arrays that `Regress` has in memory at a time. The covariances are factored
#: again for each such part of a block, so it is larger than a tile.
_STRETCH_BYTES = 16 << 20


@dataclass(frozen=True)
class Explain:
    """A task that computes labels, log-densities and, on request, responsibilities of a block.

    Attributes
    ----------
    source
        The rows. Those that a policy leaves out have no results.
    mixture, params
        The mixture and its parameters, in the units of the data.
    resp
        Whether to compute responsibilities.
    """

    source: Source
    mixture: Mixture[Any]
    params: MixtureParams[Any]
    resp: bool = False

    def __call__(self, i: int) -> Collected:
        return self.of(self.source.read(i))

    def of(self, block: Block) -> Collected:
        """Return the same for the rows of `block`."""
        origin = np.zeros(block.x.shape[1])
        found = assigned(self.mixture, block, self.params, origin, CAREFUL, self.resp)
        return Collected((found,))


@dataclass(frozen=True)
class Regress:
    """A task that computes the expected values of other features, given the rows of a block.

    Attributes
    ----------
    known
        The task that computes responsibilities from the observed features.
    at, means
        The means of the observed features, (k, b), and of the other features, (k, a).
    slopes
        The changes of the means of the other features per unit of the observed ones, (k, a, b),
        or None if these means do not change.
    """

    known: Explain
    at: Floats
    means: Floats
    slopes: Floats | None

    def __call__(self, i: int) -> RowValues:
        block = self.known.source.read(i)
        k, a = self.means.shape
        rows = max(1024, _STRETCH_BYTES // (8 * (k + a + block.x.shape[1])))
        found = [np.empty((0, a))]
        for first, last in tiles(len(block.x), rows):
            part = replace(
                block,
                start=block.start + first,
                x=block.x[first:last],
                weight=None,
                mask=None if block.mask is None else block.mask[first:last],
            )
            found.append(self._expected(part))
        return RowValues(np.concatenate(found))

    def _expected(self, block: Block) -> Floats:
        """Return the expected values for the rows of a block (m, b) that count: (m, a)."""
        resp = self.known.of(block).resp
        assert resp is not None
        x = block.valid()[0]
        out: Floats = resp @ self.means
        if self.slopes is not None:
            for k, slopes in enumerate(self.slopes):
                out += resp[:, k, None] * ((x - self.at[k]) @ slopes.T)
        return out
