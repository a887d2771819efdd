"""The generalised I-divergence, for non-negative amounts such as counts and intensities."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emdist.dissimilarities.bregman import Bregman
from emdist.interfaces import Array, Domain, Floats
from emdist.kernels.vector.divergences import TINY, generalised_i, negentropy


@dataclass(frozen=True)
class GeneralisedI(Bregman):
    """The generalised I-divergence: ``D = sum_j x_j log(x_j / mu_j) - x_j + mu_j``.

    It is the Bregman divergence of phi = x log x - x, and corresponds to hard EM of Poisson rates.
    Centres are at least 1e-200, so that D is finite if a centre is 0 and the row is not.
    """

    @property
    def domain(self) -> Domain:
        return Domain("numbers >= 0", 0.0)

    def bounded(self, centres: Floats) -> Floats:
        return np.maximum(centres, TINY)

    def natural(self, centres: Floats) -> tuple[Floats, Floats]:
        return np.log(centres), -centres.sum(axis=1)

    def phi(self, t: Array) -> Floats:
        out = np.empty(len(t))
        negentropy(t, out)
        out -= t.sum(axis=1, dtype=np.float64)
        return out

    def kernel(self, t: Array, centres: Floats, labels: NDArray[np.int32], out: Floats) -> None:
        generalised_i(t, centres, labels, out)


dissimilarity = GeneralisedI
