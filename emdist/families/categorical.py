"""The categorical family, for codes of categories: independent codes 0..c-1, T(x) = one-hot(x)."""

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
    """The parameters of k components: tables of probabilities.

    Attributes
    ----------
    probabilities
        The probability of each category, (k, d, c), summing to 1 along the last axis.
    """

    probabilities: Floats


@dataclass(frozen=True)
class Categorical(AsTheyAre[Categories]):
    """Independent codes, as in latent class analysis: ``p(x | k) = prod_j p_kj[x_j]``.

    Attributes
    ----------
    categories
        The number of categories c, the same for every feature. A feature need not have all.
    smoothing
        The number that is added to the count of every category, for each component and feature.
        The prior is Dirichlet(1 + smoothing).
    """

    categories: Annotated[int, Field(ge=1)] = 2
    smoothing: Pseudo = 0.0

    @property
    def domain(self) -> Domain:
        what = f"codes of categories in 0..{self.categories - 1}"
        high = self.categories - 1.0
        return Domain(what, 0.0, high, whole=True, option="model.options.categories")

    params: ClassVar[type[Categories]] = Categories

    def start(self, seeds: Floats, spread: Spread) -> Categories:
        c = self.categories
        codes = np.clip(np.rint(seeds), 0, c - 1)
        own = indicators(np.asarray(codes, np.float64), c).reshape(*codes.shape, c)
        return Categories(floored(0.5 * (own + 1.0 / c)))

    def _eta(self, params: Categories) -> Floats:
        """Return the natural parameters, which are logarithms of probabilities: (k, d c)."""
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
        # One of the c indicators of each feature is 1, so their mean size is 1 / c.
        share = np.full(eta.shape[1], 1.0 / self.categories)
        return row_growth(eta, np.zeros(len(eta)), share, FEW_NATS)

    def log_prior(self, params: Categories) -> float:
        return self.smoothing * float(self._eta(params).sum())

    def locations(self, params: Categories) -> Floats:
        """Return the expected codes of the components: (k, d)."""
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
        """Return the family for rows with missing codes, which have no indicator that is 1.

        So they add nothing to the score.
        """
        return IncompleteCategorical(self)


@dataclass(frozen=True)
class IncompleteCategorical(Incomplete[Categories]):
    """`Categorical` for rows with missing values: a missing code is in none of the categories."""

    def density(self, params: Categories, numerics: Numerics) -> Density:
        return self.complete.density(params, numerics)

    def estimate(self, sums: Sums, params: Categories, numerics: Numerics) -> Categories:
        # The indicators of a feature sum to the weight of the rows in which it is observed.
        k, d, c = params.probabilities.shape
        n = np.repeat(sums["t"].reshape(k, d, c).sum(axis=2), c, axis=1)
        return self.complete.estimate(Sums({**sums.fields, "n": n}), params, numerics)

    def fill(
        self, params: Categories, x: Floats, resp: Array, variance: bool = False
    ) -> tuple[Floats, None]:
        """Replace each NaN by the most probable code. A mean of codes would have no meaning."""
        k, d, c = params.probabilities.shape
        p = (resp.T @ params.probabilities.reshape(k, -1)).reshape(-1, d, c)
        no_variance(variance)
        return filled(x, p.argmax(axis=2).astype(np.float64)), None


family = Categorical
