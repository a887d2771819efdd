"""The Poisson family: independent counts without a limit. T(x) = x, and log h = -log x!."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emdist.families.closures import pairwise_sums
from emdist.families.discrete import FLOOR, Discrete, Means, Pseudo
from emdist.interfaces import Array, Domain, Floats, Spread
from emdist.kernels.tiles.counts import log_factorials

#: From this rate on, counts are drawn from a normal distribution. The two differ by a part in 10^7
#: of the standard deviation.
_LARGE = 1e15


@dataclass(frozen=True)
class Poisson(Discrete):
    """Poisson counts: ``p(x | k) = prod_j rate_kj^x_j exp(-rate_kj) / x_j!``.

    Attributes
    ----------
    smoothing
        The number of pseudo-rows, with a count of 1 in each feature, that are added to each
        component. The prior is Gamma(1 + smoothing, smoothing).
    """

    smoothing: Pseudo = 0.0

    @property
    def domain(self) -> Domain:
        return Domain("counts, whole numbers >= 0", 0.0, whole=True)

    def bounded(self, means: Floats) -> Floats:
        return np.maximum(means, FLOOR)

    def natural(self, means: Floats) -> tuple[Floats, Floats]:
        return np.log(means), -means

    def pseudo(self) -> tuple[float, float]:
        return self.smoothing, self.smoothing

    def middle(self, spread: Spread) -> Floats:
        return spread.mean

    def log_base(self, x: Array) -> Floats:
        return -log_factorials(x)

    def log_prior(self, params: Means) -> float:
        rates = self.bounded(params.means)
        return self.smoothing * float((np.log(rates) - rates).sum())

    def convolved(self, params: Means, other: Poisson, theirs: Means) -> tuple[Poisson, Means]:
        return self, Means(pairwise_sums(params.means, theirs.means))

    def sample(self, params: Means, k: int, n: int, rng: np.random.Generator) -> Floats:
        rates = params.means[k]
        drawn = rng.poisson(np.minimum(rates, _LARGE), (n, len(rates))).astype(np.float64)
        if (large := rates > _LARGE).any():
            some = rates[large]
            normal = rng.standard_normal((n, len(some)))
            drawn[:, large] = np.rint(some + np.sqrt(some) * normal)
        return drawn


family = Poisson
