"""The Kullback-Leibler divergence: rows are compared as proportions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emdist.dissimilarities.base import Normalised, deviation
from emdist.dissimilarities.bregman import Bregman
from emdist.families.discrete import floored
from emdist.interfaces import Array, Domain, Floats, Spread
from emdist.kernels.vector.divergences import kullback_leibler, negentropy, proportions


@dataclass(frozen=True)
class KullbackLeibler(Bregman, Normalised):
    """The Kullback-Leibler divergence: ``D = sum_j p_j log(p_j / mu_j)`` with p = x / sum x.

    It is the Bregman divergence of phi = sum p log p on the simplex. A row of zeros has no
    proportions: with 0 log 0 = 0, its D is 0 for every centre, and it moves no centre. The
    probabilities of a centre are at least 1e-9. Source: Dhillon, Mallela and Kumar 2003, "A
    divisive information-theoretic feature clustering algorithm", J. Mach. Learn. Res. 3.
    """

    @property
    def domain(self) -> Domain:
        return Domain("numbers >= 0", 0.0)

    def expand(self, x: Array) -> Array:
        return proportions(x)

    def bounded(self, centres: Floats) -> Floats:
        return floored(np.maximum(centres, 0.0))

    def centre(self, mean: Floats, before: Floats) -> Floats:
        known = (mean > 0).any(axis=1, keepdims=True)
        return np.where(known, self.bounded(mean), before)

    def natural(self, centres: Floats) -> tuple[Floats, Floats]:
        return np.log(centres), np.zeros(len(centres))

    def phi(self, t: Array) -> Floats:
        out = np.empty(len(t))
        negentropy(t, out)
        return out

    def kernel(self, t: Array, centres: Floats, labels: NDArray[np.int32], out: Floats) -> None:
        kullback_leibler(t, centres, labels, out)

    def size(self, spread: Spread) -> Floats:
        found = np.hypot(spread.mean, deviation(spread))
        return proportions(found[None]).reshape(-1)


dissimilarity = KullbackLeibler
