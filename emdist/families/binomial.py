"""Binomial: m trials per feature, T(x) = x in 0..m, log h = log C(m, x)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field

from emdist.families.discrete import FLOOR, Discrete, Means, Pseudo, logit
from emdist.interfaces import Array, Domain, Floats, Spread
from emdist.kernels.counts import log_choose


@dataclass(frozen=True)
class Binomial(Discrete):
    """``prod_j C(m, x_j) theta_kj^x_j (1 - theta_kj)^(m - x_j)``.

    Attributes
    ----------
    trials
        m, the same for every feature.
    smoothing
        Successes, and as many failures, added to each component's counts: the prior is
        Beta(1 + smoothing, 1 + smoothing).
    """

    trials: Annotated[int, Field(ge=1)] = 1
    smoothing: Pseudo = 0.0

    @property
    def domain(self) -> Domain:
        what = f"whole numbers of successes in 0..{self.trials} (trials)"
        return Domain(what, 0.0, float(self.trials), whole=True)

    def bounded(self, means: Floats) -> Floats:
        return np.clip(means, self.trials * FLOOR, self.trials * (1 - FLOOR))

    def natural(self, means: Floats) -> tuple[Floats, Floats]:
        theta = means / self.trials
        return logit(theta), self.trials * np.log1p(-theta).sum(axis=1)

    def pseudo(self) -> tuple[float, float]:
        return self.smoothing, 2 * self.smoothing / self.trials

    def middle(self, spread: Spread) -> Floats:
        return np.full(len(spread.mean), self.trials / 2)

    def log_base(self, x: Array) -> Floats:
        return log_choose(x, self.trials)

    def log_prior(self, params: Means) -> float:
        theta = self.bounded(params.means) / self.trials
        return self.smoothing * float((np.log(theta) + np.log1p(-theta)).sum())

    def sample(self, params: Means, k: int, n: int, rng: np.random.Generator) -> Floats:
        theta = params.means[k] / self.trials
        return rng.binomial(self.trials, theta, (n, len(theta))).astype(np.float64)


family = Binomial
