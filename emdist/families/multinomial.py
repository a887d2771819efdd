"""The multinomial family: counts that sum to the given total of their row.

T(x) = x, and log h = log (sum x)! - sum log x!.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from emdist.components import IncompleteFamily
from emdist.errors import ConfigError
from emdist.families.closures import Features
from emdist.families.discrete import (
    FLOOR,
    Discrete,
    Means,
    Pseudo,
    check_trials,
    floored,
    whole_draws,
    whole_variance,
)
from emdist.families.incomplete import refused
from emdist.interfaces import Array, Domain, Floats, Numerics, Spread
from emdist.kernels.tiles.counts import log_orders
from emdist.sums import Sums


@dataclass(frozen=True)
class Multinomial(Discrete):
    """Counts, given the total of each row: ``(sum_j x_j)! / prod_j x_j! prod_j p_kj^x_j``.

    The means are expected counts, ``total_k p_k``. Only their proportions p enter the likelihood.
    ``total_k`` is the mean total of the rows of component k. Draws have whole totals, whose mean
    is ``total_k``.

    Attributes
    ----------
    smoothing
        The number that is added to the count of every feature, for each component. The prior is
        Dirichlet(1 + smoothing).
    """

    smoothing: Pseudo = 0.0

    @property
    def domain(self) -> Domain:
        return Domain("counts, whole numbers >= 0", 0.0, whole=True)

    def bounded(self, means: Floats) -> Floats:
        totals = np.maximum(means.sum(axis=1, keepdims=True), FLOOR)
        scaled: Floats = totals * floored(np.maximum(means, 0.0))
        return scaled

    def natural(self, means: Floats) -> tuple[Floats, Floats]:
        p = means / means.sum(axis=1, keepdims=True)
        return np.log(p), np.zeros_like(p)

    def pseudo(self) -> tuple[float, float]:
        return self.smoothing, 0.0

    def middle(self, spread: Spread) -> Floats:
        return np.full(len(spread.mean), spread.mean.mean())

    def estimate(self, sums: Sums, params: Means, numerics: Numerics) -> Means:
        counts = sums["t"] + self.smoothing
        n = np.maximum(sums["n"], np.finfo(float).tiny)[:, None]
        totals = sums["t"].sum(axis=1, keepdims=True) / n
        p = counts / np.maximum(counts.sum(axis=1, keepdims=True), np.finfo(float).tiny)
        known = counts.sum(axis=1, keepdims=True) > 0
        return Means(self.bounded(np.where(known, p * np.maximum(totals, FLOOR), params.means)))

    def log_base(self, x: Array) -> Floats:
        return log_orders(x)

    def log_prior(self, params: Means) -> float:
        return self.smoothing * float(self.natural(self.bounded(params.means))[0].sum())

    def within(self, params: Means, weights: Floats) -> Floats:
        """Return the covariances of draws, summed over components with `weights` (k,): (d, d).

        The covariance of one component is ``total diag(p) - (total - var) p p^T``. A draw has a
        whole number as its total, and var is the variance of this number.
        """
        means = self.bounded(params.means)
        totals = means.sum(axis=1, keepdims=True)
        p = means / totals
        shared = weights[:, None] * (totals - whole_variance(totals)) * p
        spread: Floats = np.diag(weights @ means) - p.T @ shared
        return spread

    def marginal(self, params: Means, features: Features) -> tuple[Any, Means]:
        raise ConfigError(
            "A multinomial has no marginals or conditionals: they depend on the total of each "
            "row, which emdist does not model. Fit a new mixture to the features that you need; "
            "if the count of the others matters, add them up into one more feature. Or fit the "
            "Poisson family, which models totals."
        )

    def sample(self, params: Means, k: int, n: int, rng: np.random.Generator) -> Floats:
        means = params.means[k]
        total = means.sum()
        check_trials(total)
        whole = round(total)
        # A total that is whole up to rounding errors needs no random rounding.
        totals = whole if abs(total - whole) < 1e-9 * total else whole_draws(total, n, rng)
        return rng.multinomial(totals, means / total, n).astype(np.float64)

    def free_parameters(self, n_components: int, n_features: int) -> int:
        return n_components * (n_features - 1)

    def with_missing(self) -> IncompleteFamily[Means]:
        refused(
            "multinomial counts",
            "the total of a row is given, and a missing count makes it unknown.",
        )


family = Multinomial
