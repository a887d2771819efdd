"""The Bernoulli family, for binary data: independent features 0 or 1, T(x) = x."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emdist.families.discrete import FLOOR, Discrete, Means, Pseudo, logit
from emdist.interfaces import Domain, Floats, Spread


@dataclass(frozen=True)
class Bernoulli(Discrete):
    """Independent bits: ``p(x | k) = prod_j theta_kj^x_j (1 - theta_kj)^(1 - x_j)``.

    Source: Bishop 2006, 9.3.3.

    Attributes
    ----------
    smoothing
        The number of ones, and of zeros, that are added to the counts of each component and
        feature. The prior is Beta(1 + smoothing, 1 + smoothing).
    """

    smoothing: Pseudo = 0.0

    @property
    def domain(self) -> Domain:
        return Domain("bits, 0 or 1", 0.0, 1.0, whole=True)

    def bounded(self, means: Floats) -> Floats:
        return np.clip(means, FLOOR, 1 - FLOOR)

    def natural(self, means: Floats) -> tuple[Floats, Floats]:
        return logit(means), np.log1p(-means)

    def pseudo(self) -> tuple[float, float]:
        return self.smoothing, 2 * self.smoothing

    def middle(self, spread: Spread) -> Floats:
        return np.full(len(spread.mean), 0.5)

    def log_prior(self, params: Means) -> float:
        theta = self.bounded(params.means)
        return self.smoothing * float((np.log(theta) + np.log1p(-theta)).sum())

    def sample(self, params: Means, k: int, n: int, rng: np.random.Generator) -> Floats:
        theta = params.means[k]
        drawn: Floats = (rng.random((n, len(theta))) < theta).astype(np.float64)
        return drawn


family = Bernoulli
