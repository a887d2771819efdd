"""Variational Gaussians of every covariance type: posteriors of means and precisions."""

from __future__ import annotations

from dataclasses import dataclass

from emdist.families.diagonal import Diagonal, DiagonalParams
from emdist.families.full import Full, FullParams
from emdist.families.gaussian.variational import Variational
from emdist.families.spherical import Spherical, SphericalParams
from emdist.families.tied import Tied, TiedParams
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


@dataclass(frozen=True)
class TiedPosterior(TiedParams):
    """Normal-Wishart posteriors of k Gaussians: expected means, inverse expected precisions.

    Attributes
    ----------
    counts
        (k,) weight of the rows of each component.
    """

    counts: Floats


@dataclass(frozen=True)
class VariationalTied(Variational[TiedPosterior]):
    """`Tied` with a posterior instead of one value.

    Attributes
    ----------
    reg_covar
        Added to the diagonal of the rows' covariances: squared units of the data.
    prior
        Of means and precisions.
    """

    @property
    def likelihood(self) -> Tied:
        return Tied(self.reg_covar)

    @property
    def params(self) -> type[TiedPosterior]:
        return TiedPosterior


@dataclass(frozen=True)
class DiagonalPosterior(DiagonalParams):
    """Normal-Wishart posteriors of k Gaussians: expected means, inverse expected precisions.

    Attributes
    ----------
    counts
        (k,) weight of the rows of each component.
    """

    counts: Floats


@dataclass(frozen=True)
class VariationalDiagonal(Variational[DiagonalPosterior]):
    """`Diagonal` with a posterior instead of one value.

    Attributes
    ----------
    reg_covar
        Added to the diagonal of the rows' covariances: squared units of the data.
    prior
        Of means and precisions.
    """

    @property
    def likelihood(self) -> Diagonal:
        return Diagonal(self.reg_covar)

    @property
    def params(self) -> type[DiagonalPosterior]:
        return DiagonalPosterior


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


family = {
    "variational_full": VariationalFull,
    "variational_tied": VariationalTied,
    "variational_diagonal": VariationalDiagonal,
    "variational_spherical": VariationalSpherical,
}
