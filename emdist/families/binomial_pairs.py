"""The binomial family for pairs of successes and failures: each row has its own numbers of trials.

T(x) = x.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from emdist.components import Density, IncompleteFamily
from emdist.errors import ConfigError
from emdist.families.densities import expanded
from emdist.families.discrete import (
    FLOOR,
    Discrete,
    Means,
    Pseudo,
    whole_draws,
    whole_variance,
)
from emdist.families.incomplete import Incomplete
from emdist.interfaces import Array, Cells, Domain, Floats, Numerics, Spread
from emdist.kernels.tiles.counts import log_factorials
from emdist.kernels.tiles.missing import filled_pairs
from emdist.sums import Sums


@dataclass(frozen=True)
class BinomialPairs(Discrete):
    """Pairs of counts, of which the numbers of trials s + f are given.

    ``p(x | k) = prod_j C(s_j + f_j, s_j) theta_kj^s_j (1 - theta_kj)^f_j``. A row contains the
    successes s of its d cells and then their failures f, so it has 2 d columns. A cell without
    trials adds nothing to the likelihood, and so it also stands for a missing value. The means
    are expected counts. Only their proportions theta enter the likelihood. Their sums are the
    expected numbers of trials, which `sample` uses.

    Attributes
    ----------
    smoothing
        The number of successes, and of failures, that are added to the counts of each component
        and cell. The prior is Beta(1 + smoothing, 1 + smoothing).
    """

    smoothing: Pseudo = 0.0

    @property
    def domain(self) -> Domain:
        return Domain("pairs, successes and then failures, whole numbers >= 0", 0.0, whole=True)

    def start(self, seeds: Floats, spread: Spread) -> Means:
        d = np.shape(seeds)[1]
        if d % 2:
            raise ConfigError(
                "binomial_pairs needs successes in the first half of the columns and failures "
                f"in the second, but the data have {d} columns, an odd number."
            )
        return super().start(seeds, spread)

    def bounded(self, means: Floats) -> Floats:
        successes, failures = np.split(np.maximum(means, 0.0), 2, axis=1)
        trials = successes + failures
        with np.errstate(invalid="ignore"):
            theta = np.where(trials > 0, successes / trials, 0.5)
        theta, trials = np.clip(theta, FLOOR, 1 - FLOOR), np.maximum(trials, FLOOR)
        return np.concatenate([trials * theta, trials * (1 - theta)], axis=1)

    def natural(self, means: Floats) -> tuple[Floats, Floats]:
        successes, failures = np.split(means, 2, axis=1)
        trials = np.log(successes + failures)
        eta = np.log(np.concatenate([successes, failures], axis=1)) - np.tile(trials, 2)
        return eta, np.zeros_like(means)

    def pseudo(self) -> tuple[float, float]:
        return self.smoothing, 0.0

    def middle(self, spread: Spread) -> Floats:
        return spread.mean

    def estimate(self, sums: Sums, params: Means, numerics: Numerics) -> Means:
        counts = sums["t"] + self.smoothing
        successes, failures = np.split(counts, 2, axis=1)
        n = np.maximum(sums["n"], np.finfo(float).tiny)[:, None]
        # A cell without trials in any row of a component keeps its previous means.
        known = np.tile(successes + failures > 0, 2)
        return Means(self.bounded(np.where(known, counts / n, params.means)))

    def log_base(self, x: Array) -> Floats:
        successes, failures = np.split(x, 2, axis=1)
        ways: Floats = log_factorials(successes + failures) - log_factorials(x)
        return ways

    def log_prior(self, params: Means) -> float:
        return self.smoothing * float(self.natural(self.bounded(params.means))[0].sum())

    def within(self, params: Means, weights: Floats) -> Floats:
        """Return the covariances of draws, summed over components with `weights`: (2 d, 2 d)."""
        successes, failures = np.split(self.bounded(params.means), 2, axis=1)
        trials = successes + failures
        theta = successes / trials
        rounding = whole_variance(trials)
        own = trials * theta * (1 - theta)
        first = np.diag(weights @ (own + theta**2 * rounding))
        second = np.diag(weights @ (own + (1 - theta) ** 2 * rounding))
        both = np.diag(weights @ (theta * (1 - theta) * rounding - own))
        return np.block([[first, both], [both, second]])

    def marginal(self, params: Means, features: Any) -> NoReturn:
        """Raise a ConfigError: half of a pair depends on its trials, which are not modelled."""
        raise ConfigError(
            "The distribution of successes or failures alone depends on the number of trials, "
            "which emdist does not model, and so does that of either given the other. Use the "
            "binomial family if all rows have the same trials."
        )

    def sample(self, params: Means, k: int, n: int, rng: np.random.Generator) -> Floats:
        successes, failures = np.split(params.means[k], 2)
        expected = successes + failures
        trials = whole_draws(expected, n, rng)
        drawn = rng.binomial(trials, successes / expected)
        return np.concatenate([drawn, trials - drawn], axis=1).astype(np.float64)

    def free_parameters(self, n_components: int, n_features: int) -> int:
        return n_components * (n_features // 2)

    def with_missing(self) -> IncompleteFamily[Means]:
        """Return the family for which a pair with NaN in either half is a cell without trials."""
        return IncompletePairs(self)


@dataclass(frozen=True)
class IncompletePairs(Incomplete[Means]):
    """`BinomialPairs` for rows with missing values: it uses cells that have both counts."""

    complete: BinomialPairs

    def cells(self, d: int) -> Cells:
        """Return the columns of each pair, for `d` columns in all."""
        return tuple([j, d // 2 + j] for j in range(d // 2))

    def density(self, params: Means, numerics: Numerics) -> Density:
        whole = self.complete
        eta, offset = whole.natural(whole.bounded(params.means))
        return expanded(
            eta,
            offset.sum(axis=1),
            numerics.dtype,
            expand=filled_pairs,
            base_of=self.log_base,
        )

    def log_base(self, x: Array) -> Floats:
        """Return log h of the observed pairs of rows `x` (m, 2 d): (m,)."""
        return self.complete.log_base(filled_pairs(x))

    def estimate(self, sums: Sums, params: Means, numerics: Numerics) -> Means:
        return self.complete.estimate(sums, params, numerics)

    def shared(self, x: Floats, weight: Floats | None) -> dict[str, Floats]:
        return self.complete.shared(filled_pairs(x), weight)

    def shared_base(self, params: Means, shared: Mapping[str, Floats], numerics: Numerics) -> float:
        return self.complete.shared_base(params, shared, numerics)

    def fill(
        self, params: Means, x: Floats, resp: Array, variance: bool = False
    ) -> tuple[Floats, Floats | None]:
        raise ConfigError(
            "Pairs of successes and failures cannot be completed, because emdist does not model "
            "their number of trials. The probability of success is predict_proba(X) @ "
            "probabilities_."
        )


family = BinomialPairs
