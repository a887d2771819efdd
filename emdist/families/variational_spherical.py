"""Variational spherical Gaussians: posteriors of means and precisions."""

from __future__ import annotations

from dataclasses import dataclass

from emdist.families.gaussian.variational import Variational
from emdist.families.spherical import Spherical, SphericalParams
from emdist.interfaces import Floats


@dataclass(frozen=True)
class SphericalPosterior(SphericalParams):
    """Normal-Wishart posteriors of k Gaussians: expected means, inverse expected precisions.

    Attributes
    ----------
    counts
        (k,) weight of the rows of each component.
    """

    counts: Floats


@dataclass(frozen=True)
class VariationalSpherical(Variational[SphericalPosterior]):
    """`Spherical` with a posterior instead of one value.

    Attributes
    ----------
    reg_covar
        Added to the diagonal of the rows' covariances: squared units of the data.
    prior
        Of means and precisions.
    """

    @property
    def likelihood(self) -> Spherical:
        return Spherical(self.reg_covar)

    @property
    def params(self) -> type[SphericalPosterior]:
        return SphericalPosterior


family = VariationalSpherical
