"""The logistic loss, for probabilities and bits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emdist.dissimilarities.bregman import Bregman
from emdist.families.discrete import FLOOR, logit
from emdist.interfaces import Array, Domain, Floats
from emdist.kernels.vector.divergences import logistic, negentropy


@dataclass(frozen=True)
class Logistic(Bregman):
    """The logistic loss of rows with values from 0 to 1.

    ``D = sum_j x_j log(x_j / mu_j) + (1 - x_j) log((1 - x_j) / (1 - mu_j))``. It corresponds to
    hard EM of Bernoulli distributions. Centres stay 1e-9 away from 0 and 1.
    """

    @property
    def domain(self) -> Domain:
        return Domain("numbers from 0 to 1", 0.0, 1.0)

    def bounded(self, centres: Floats) -> Floats:
        return np.clip(centres, FLOOR, 1 - FLOOR)

    def natural(self, centres: Floats) -> tuple[Floats, Floats]:
        return logit(centres), np.log1p(-centres).sum(axis=1)

    def phi(self, t: Array) -> Floats:
        ones, zeros = np.empty(len(t)), np.empty(len(t))
        # Rows of weight 0 may contain values outside the domain.
        inside = np.clip(t.astype(np.float64), 0.0, 1.0)
        negentropy(inside, ones)
        negentropy(1.0 - inside, zeros)
        return ones + zeros

    def kernel(self, t: Array, centres: Floats, labels: NDArray[np.int32], out: Floats) -> None:
        logistic(t, centres, labels, out)


dissimilarity = Logistic
