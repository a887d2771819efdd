"""The families of variational Gaussians, with posteriors of means and precisions."""

from __future__ import annotations

from dataclasses import dataclass

from emdist.families.diagonal import Diagonal, DiagonalParams
from emdist.families.full import Full, FullParams
from emdist.families.gaussian.variational import Variational
from emdist.families.spherical import Spherical, SphericalParams
from emdist.families.tied import Tied, TiedParams
from emdist.interfaces import Floats


@dataclass(frozen=True)
class Counted:
    """Normal-Wishart posteriors of k Gaussians.

    The subclasses have the arrays of the family without posteriors: the means are the expected
    means, and the covariances are the inverses of the expected precisions.

    Attributes
    ----------
    counts
        The weight of the rows of each component, (k,). The widths of posteriors follow from it.
    """

    counts: Floats


@dataclass(frozen=True)
class FullPosterior(Counted, FullParams):
    """The parameters of posteriors of `Full`."""


@dataclass(frozen=True)
class VariationalFull(Variational[FullPosterior]):
    """The family `Full` with posteriors of means and precisions."""

    without = Full
    counted = FullPosterior


@dataclass(frozen=True)
class TiedPosterior(Counted, TiedParams):
    """The parameters of posteriors of `Tied`."""


@dataclass(frozen=True)
class VariationalTied(Variational[TiedPosterior]):
    """The family `Tied` with posteriors of means and precisions."""

    without = Tied
    counted = TiedPosterior


@dataclass(frozen=True)
class DiagonalPosterior(Counted, DiagonalParams):
    """The parameters of posteriors of `Diagonal`."""


@dataclass(frozen=True)
class VariationalDiagonal(Variational[DiagonalPosterior]):
    """The family `Diagonal` with posteriors of means and precisions."""

    without = Diagonal
    counted = DiagonalPosterior


@dataclass(frozen=True)
class SphericalPosterior(Counted, SphericalParams):
    """The parameters of posteriors of `Spherical`."""


@dataclass(frozen=True)
class VariationalSpherical(Variational[SphericalPosterior]):
    """The family `Spherical` with posteriors of means and precisions."""

    without = Spherical
    counted = SphericalPosterior


family = {
    "variational_full": VariationalFull,
    "variational_tied": VariationalTied,
    "variational_diagonal": VariationalDiagonal,
    "variational_spherical": VariationalSpherical,
}
