"""Variational full Gaussians: posteriors of means and precisions."""

from __future__ import annotations

from dataclasses import dataclass

from emdist.families.full import Full, FullParams
from emdist.families.gaussian.variational import Variational
from emdist.interfaces import Floats


@dataclass(frozen=True)
class FullPosterior(FullParams):
    """Normal-Wishart posteriors of k Gaussians: expected means, inverse expected precisions.

    Attributes
    ----------
    counts
        (k,) weight of the rows of each component.
    """

    counts: Floats


@dataclass(frozen=True)
class VariationalFull(Variational[FullPosterior]):
    """`Full` with a posterior instead of one value.

    Attributes
    ----------
    reg_covar
        Added to the diagonal of the rows' covariances: squared units of the data.
    prior
        Of means and precisions.
    """

    @property
    def likelihood(self) -> Full:
        return Full(self.reg_covar)

    @property
    def params(self) -> type[FullPosterior]:
        return FullPosterior


family = VariationalFull
