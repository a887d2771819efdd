"""The base class of variational Gaussians, whose means and precisions have posteriors.

Sources: Corduneanu and Bishop 2001; Bishop 2006, 10.2; Attias 2000. The expected log-density is the
log-density at the expected precision, plus terms that come from the width of the posterior:

    E log N(x) = log N(x | mean, covariance) + E log |precision| / 2 + log |covariance| / 2
                 - d / (2 kappa)

So the E-step is that of the family without posteriors, with another offset. Posteriors are
Normal-Wishart, with a scale in the family's shape. scikit-learn computes the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar, Generic, NoReturn, TypeVar

import numpy as np
from numpy.typing import NDArray

from emdist.components import Density
from emdist.errors import ConfigError
from emdist.families.closures import Components
from emdist.families.gaussian.normal_wishart import (
    Conjugate,
    NormalWishart,
    divergence,
    expected_log_det,
    posterior,
)
from emdist.families.gaussian.shapes import Shape
from emdist.interfaces import Floats, Numerics, Spread
from emdist.sums import Sums

Q = TypeVar("Q")


@dataclass(frozen=True)
class Variational(Conjugate[Any], Generic[Q]):
    """Base class of variational Gaussians, one subclass for each covariance type.

    `likelihood` is the family without a prior. `Q` is its parameters with ``counts`` (k,), the
    weights of the rows of each component. The widths of posteriors follow from the counts:
    ``mean_precision = kappa0 + counts`` and ``degrees_of_freedom = nu0 + counts``.

    Attributes
    ----------
    reg_covar
        The number that is added to the diagonal of the rows' covariances, in squared units of the
        data.
    prior
        The prior of means and precisions.
    """

    #: The family with the same covariance type without a prior, and its parameters with ``counts``.
    without: ClassVar[type[Any]]
    counted: ClassVar[type[Any]]

    prior: NormalWishart = field(default_factory=NormalWishart)

    @property
    def likelihood(self) -> Any:
        """The family with the same covariance type, without a prior."""
        return self.without(self.reg_covar)

    @property
    def params(self) -> type[Q]:
        """The dataclass of the parameters of `likelihood` and ``counts``."""
        return self.counted

    @property
    def shape(self) -> Shape:
        found: Shape = self.likelihood.shape
        return found

    def scales(self, params: Any) -> Floats:
        found: Floats = self.likelihood.scales(params)
        return found

    def least(self, d: int) -> int:
        return d - 1

    def _counted(self, bare: Any, counts: Floats) -> Q:
        """Return the parameters `bare` of `likelihood` with `counts` (k,) added."""
        cls: Any = self.params
        found: Q = cls(*(getattr(bare, f.name) for f in fields(bare)), counts)
        return found

    def widths(self, params: Any) -> tuple[Floats, Floats]:
        """Return the mean precisions kappa and degrees of freedom nu of posteriors: (k,) each."""
        counts, d = params.counts, params.means.shape[1]
        own = np.full(len(counts), counts.mean()) if self.shape.pooled else counts
        return self.prior.mean_precision + counts, self.prior.degrees(d) + own

    def cost(self, params: Any) -> Floats:
        """Return what the widths of posteriors add to the scores of each component: (k,).

        It is in nats and <= 0.
        """
        d = params.means.shape[1]
        kappa, nu = self.widths(params)
        return np.asarray(0.5 * (expected_log_det(nu, d) - d / kappa))

    def start(self, seeds: Floats, spread: Spread) -> Q:
        bare = self.likelihood.start(seeds, spread)
        return self._counted(bare, np.full(len(seeds), spread.weight / len(seeds)))

    def expected_components(self, params: Any) -> Components:
        """Return `likelihood` with expected means and the inverses of expected precisions."""
        cls = self.likelihood.params
        return self.likelihood, cls(*(getattr(params, f.name) for f in fields(cls)))

    def density(self, params: Any, numerics: Numerics) -> Density:
        inner = self.likelihood.density(params, numerics)
        offset = inner.offset.astype(np.float64) + self.cost(params)
        found: Density = replace(inner, offset=offset.astype(inner.offset.dtype))
        return found

    def estimate(self, sums: Sums, params: Any, numerics: Numerics) -> Q:
        n = sums["n"]
        rows = self.likelihood.estimate(sums, params, numerics)
        found = self.most_probable(n, rows.means, self.scales(rows))
        return self._counted(type(rows)(*found), np.array(n))

    def most_probable(self, n: Floats, means: Floats, covariances: Floats) -> tuple[Floats, Floats]:
        """Return the expected means, and the inverses of the expected precisions."""
        prior = self.numbers
        centres, scatter = posterior(prior, self.shape, n, means, covariances)
        if self.shape.pooled:
            return centres, (prior.scale + scatter / len(n)) / (prior.degrees + n.mean())
        nu = prior.degrees + n
        return centres, (prior.scale + scatter) / nu[(...,) + (None,) * (scatter.ndim - 1)]

    def log_prior(self, params: Any) -> float:
        """Return minus the divergence of the posteriors from the prior, in nats."""
        prior, d = self.numbers, params.means.shape[1]
        kappa, nu = self.widths(params)
        found = self.shape.measure(params.means - prior.mean, self.scales(params), prior.scale)
        log_det = self.shape.log_det(prior.scale, d)
        return -float(divergence(found, kappa, nu, prior, log_det, d).sum())

    def amplification(self, params: Any, spread: Spread) -> float:
        return float(self.likelihood.amplification(params, spread))

    def shared(self, x: Floats, weight: Floats | None) -> dict[str, Floats]:
        found: dict[str, Floats] = self.likelihood.shared(x, weight)
        return found

    def shared_base(self, params: Any, shared: Mapping[str, Floats], numerics: Numerics) -> float:
        return float(self.likelihood.shared_base(params, shared, numerics))

    def collapsed(self, params: Any) -> NDArray[np.bool_]:
        found: NDArray[np.bool_] = self.likelihood.collapsed(params)
        return found

    def reseat(self, params: Any, index: NDArray[np.int64], rows: Floats, spread: Spread) -> Q:
        counts = params.counts.copy()
        counts[index] = spread.weight / len(counts)
        _, bare = self.expected_components(params)
        return self._counted(self.likelihood.reseat(bare, index, rows, spread), counts)

    def take(self, params: Any, index: NDArray[np.int64]) -> Q:
        _, bare = self.expected_components(params)
        return self._counted(self.likelihood.take(bare, index), params.counts[index])

    def sample(self, params: Any, k: int, n: int, rng: np.random.Generator) -> Floats:
        drawn: Floats = self.likelihood.sample(params, k, n, rng)
        return drawn

    def with_missing(self) -> NoReturn:
        """Raise a ConfigError: a posterior has one count per component, not one per feature."""
        raise ConfigError(
            "Variational Gaussians need rows without missing values, because the number of "
            "values that a component has seen would differ between features. Fit Gaussians "
            "without posteriors (a prior is possible) to missing values, or set "
            "data.non_finite to 'drop' to leave out these rows."
        )

    def free_parameters(self, n_components: int, n_features: int) -> int:
        return int(self.likelihood.free_parameters(n_components, n_features))
