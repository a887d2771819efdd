"""The binomial family: independent counts of successes in m trials.

T(x) = x in 0..m, and log h = log C(m, x).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, TypeAlias

import numpy as np
from pydantic import Field

from emdist.families.closures import Features
from emdist.families.discrete import FLOOR, Discrete, Means, Pseudo, check_trials, logit
from emdist.inputs.quoting import shown
from emdist.interfaces import Array, Domain, Floats, Spread
from emdist.kernels.tiles.counts import log_choose

Trials: TypeAlias = Annotated[int, Field(ge=1)]


@dataclass(frozen=True)
class Binomial(Discrete):
    """Binomial counts: ``p(x | k) = prod_j C(m, x_j) theta_kj^x_j (1 - theta_kj)^(m - x_j)``.

    Attributes
    ----------
    trials
        The number of trials m, the same for every feature or one for each.
    smoothing
        The number of successes, and of failures, that are added to the counts of each component
        and feature. The prior is Beta(1 + smoothing, 1 + smoothing).
    """

    trials: Trials | Annotated[tuple[Trials, ...], Field(min_length=1)] = 1
    smoothing: Pseudo = 0.0

    @property
    def domain(self) -> Domain:
        m = self.trials
        most = f"{m}" if isinstance(m, int) else f"m, with m = {shown(m)}"
        what = f"whole numbers of successes in 0..{most}"
        high = float(m) if isinstance(m, int) else tuple(float(each) for each in m)
        return Domain(what, 0.0, high, whole=True, option="model.options.trials")

    @property
    def _m(self) -> Floats:
        return np.asarray(self.trials, np.float64)

    def bounded(self, means: Floats) -> Floats:
        return np.clip(means, self._m * FLOOR, self._m * (1 - FLOOR))

    def natural(self, means: Floats) -> tuple[Floats, Floats]:
        theta = means / self._m
        return logit(theta), self._m * np.log1p(-theta)

    def pseudo(self) -> tuple[float, Floats]:
        return self.smoothing, 2 * self.smoothing / self._m

    def middle(self, spread: Spread) -> Floats:
        return self._m / 2 + np.zeros(len(spread.mean))

    def log_base(self, x: Array) -> Floats:
        return log_choose(x, self._m)

    def log_prior(self, params: Means) -> float:
        theta = self.bounded(params.means) / self._m
        return self.smoothing * float((np.log(theta) + np.log1p(-theta)).sum())

    def restricted(self, features: Features) -> Binomial:
        m = self.trials
        return self if isinstance(m, int) else replace(self, trials=tuple(m[j] for j in features))

    def sample(self, params: Means, k: int, n: int, rng: np.random.Generator) -> Floats:
        check_trials(self._m)
        theta = params.means[k] / self._m
        return rng.binomial(self._m.astype(np.int64), theta, (n, len(theta))).astype(np.float64)


family = Binomial
