"""The Itakura-Saito divergence, for positive amounts whose ratios matter, such as spectra."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emdist.dissimilarities.bregman import Bregman
from emdist.interfaces import Array, Domain, Floats
from emdist.kernels.vector.divergences import TINY, itakura_saito


@dataclass(frozen=True)
class ItakuraSaito(Bregman):
    """The Itakura-Saito divergence: ``D = sum_j x_j / mu_j - log(x_j / mu_j) - 1``.

    It is the Bregman divergence of phi = -log x. It does not change if x and mu are scaled by the
    same factor. Sources: Itakura and Saito 1968; Banerjee et al. 2005 for clustering.
    """

    @property
    def domain(self) -> Domain:
        return Domain("numbers > 0", TINY)

    def bounded(self, centres: Floats) -> Floats:
        return np.maximum(centres, TINY)

    def natural(self, centres: Floats) -> tuple[Floats, Floats]:
        return -1 / centres, centres.shape[1] - np.log(centres).sum(axis=1)

    def phi(self, t: Array) -> Floats:
        found: Floats = -np.log(np.maximum(t.astype(np.float64), TINY)).sum(axis=1)
        return found

    def kernel(self, t: Array, centres: Floats, labels: NDArray[np.int32], out: Floats) -> None:
        itakura_saito(t, centres, labels, out)


dissimilarity = ItakuraSaito
