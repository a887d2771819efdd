"""Categorical: independent codes 0..c-1, T(x) = one-hot(x)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from emdist.components import Density, IncompleteFamily
from emdist.families.closures import Features
from emdist.families.densities import expanded
from emdist.families.discrete import FEW_NATS, AsTheyAre, Pseudo, floored, mean_of, row_growth
from emdist.families.incomplete import Incomplete, no_variance
from emdist.interfaces import Array, Domain, Floats, Numerics, Spread
from emdist.kernels.tiles.counts import indicators
from emdist.kernels.tiles.missing import filled
from emdist.kernels.vector.lines import categories
from emdist.sums import Sums


@dataclass(frozen=True)
class Categories:
    """k tables of probabilities.

    Attributes
    ----------
    probabilities
        (k, d, c), summing to 1 along the last axis.
    """

    probabilities: Floats


@dataclass(frozen=True)
class Categorical(AsTheyAre[Categories]):
    """``prod_j p_kj[x_j]``: latent class analysis.

    Attributes
    ----------
    categories
        c, the same for every feature; a feature may leave some out.
    smoothing
        Added to each component's count of every category: the prior is
        Dirichlet(1 + smoothing).
    """

    categories: Annotated[int, Field(ge=1)] = 2
    smoothing: Pseudo = 0.0

    @property
    def domain(self) -> Domain:
        what = f"codes of categories in 0..{self.categories - 1} (categories={self.categories})"
        return Domain(what, 0.0, self.categories - 1.0, whole=True)

    params: ClassVar[type[Categories]] = Categories

    def start(self, seeds: Floats, spread: Spread) -> Categories:
        c = self.categories
        codes = np.clip(np.rint(seeds), 0, c - 1)
        own = indicators(np.asarray(codes, np.float64), c).reshape(*codes.shape, c)
        return Categories(floored(0.5 * (own + 1.0 / c)))

    def _eta(self, params: Categories) -> Floats:
        table = floored(params.probabilities)
        return np.log(table).reshape(len(table), -1)

    def density(self, params: Categories, numerics: Numerics) -> Density:
        eta = self._eta(params)
        d = params.probabilities.shape[1]
        expand = partial(indicators, categories=self.categories)
        return expanded(
            eta,
            np.zeros(len(eta)),
            numerics.dtype,
            expand=expand,
            lines=categories(d, self.categories),
        )

    def estimate(self, sums: Sums, params: Categories, numerics: Numerics) -> Categories:
        before = params.probabilities
        add = self.smoothing
        mean = mean_of(sums, before.reshape(len(before), -1), add, add * self.categories)
        return Categories(floored(mean.reshape(before.shape)))

    def amplification(self, params: Categories, spread: Spread) -> float:
        eta = self._eta(params)
        # One indicator of each feature is 1.
        share = np.full(eta.shape[1], 1.0 / self.categories)
        return row_growth(eta, np.zeros(len(eta)), share, FEW_NATS)

    def log_prior(self, params: Categories) -> float:
        return self.smoothing * float(self._eta(params).sum())

    def locations(self, params: Categories) -> Floats:
        """(k, d) expected codes."""
        codes: Floats = params.probabilities @ np.arange(float(self.categories))
        return codes

    def sample(self, params: Categories, k: int, n: int, rng: np.random.Generator) -> Floats:
        above = params.probabilities[k].cumsum(axis=1)[:, :-1]
        drawn: Floats = (rng.random((n, len(above), 1)) > above).sum(axis=2).astype(np.float64)
        return drawn

    def component_means(self, params: Categories) -> Floats:
        return self.locations(params)

    def within(self, params: Categories, weights: Floats) -> Floats:
        codes = np.arange(float(self.categories))
        from_mean = codes - self.locations(params)[:, :, None]
        variances = (params.probabilities * from_mean**2).sum(axis=2)
        return np.diag(weights @ variances)

    def marginal(self, params: Categories, features: Features) -> tuple[Categorical, Categories]:
        return self, Categories(params.probabilities[:, features])

    def free_parameters(self, n_components: int, n_features: int) -> int:
        return n_components * n_features * (self.categories - 1)

    def with_missing(self) -> IncompleteFamily[Categories]:
        """A missing code has no indicator and drops out of the score."""
        return IncompleteCategorical(self)


@dataclass(frozen=True)
class IncompleteCategorical(Incomplete[Categories]):
    """`Categorical` of what is observed: a missing code is in none of the categories."""

    def density(self, params: Categories, numerics: Numerics) -> Density:
        return self.complete.density(params, numerics)

    def estimate(self, sums: Sums, params: Categories, numerics: Numerics) -> Categories:
        # Indicators of a feature sum to the weight of the rows that have it.
        k, d, c = params.probabilities.shape
        n = np.repeat(sums["t"].reshape(k, d, c).sum(axis=2), c, axis=1)
        return self.complete.estimate(Sums({**sums.fields, "n": n}), params, numerics)

    def fill(
        self, params: Categories, x: Floats, resp: Array, variance: bool = False
    ) -> tuple[Floats, None]:
        """The most probable code: codes have no mean."""
        k, d, c = params.probabilities.shape
        p = (resp.T @ params.probabilities.reshape(k, -1)).reshape(-1, d, c)
        no_variance(variance)
        return filled(x, p.argmax(axis=2).astype(np.float64)), None


family = Categorical
