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
class Counted:
    """Normal-Wishart posteriors of k Gaussians: expected means, inverse expected precisions.

    Attributes
    ----------
    counts
        (k,) weight of the rows of each component.
    """

    counts: Floats


@dataclass(frozen=True)
class FullPosterior(Counted, FullParams):
    """Posteriors of `Full`."""


@dataclass(frozen=True)
class VariationalFull(Variational[FullPosterior]):
    """`Full` with a posterior instead of one value."""

    without = Full
    counted = FullPosterior


@dataclass(frozen=True)
class TiedPosterior(Counted, TiedParams):
    """Posteriors of `Tied`."""


@dataclass(frozen=True)
class VariationalTied(Variational[TiedPosterior]):
    """`Tied` with a posterior instead of one value."""

    without = Tied
    counted = TiedPosterior


@dataclass(frozen=True)
class DiagonalPosterior(Counted, DiagonalParams):
    """Posteriors of `Diagonal`."""


@dataclass(frozen=True)
class VariationalDiagonal(Variational[DiagonalPosterior]):
    """`Diagonal` with a posterior instead of one value."""

    without = Diagonal
    counted = DiagonalPosterior


@dataclass(frozen=True)
class SphericalPosterior(Counted, SphericalParams):
    """Posteriors of `Spherical`."""


@dataclass(frozen=True)
class VariationalSpherical(Variational[SphericalPosterior]):
    """`Spherical` with a posterior instead of one value."""

    without = Spherical
    counted = SphericalPosterior


family = {
    "variational_full": VariationalFull,
    "variational_tied": VariationalTied,
    "variational_diagonal": VariationalDiagonal,
    "variational_spherical": VariationalSpherical,
}
