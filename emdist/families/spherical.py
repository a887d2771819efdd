"""The family of spherical Gaussians: one variance per component, T(x) = (x, |x|^2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from emdist.components import Density, IncompleteFamily
from emdist.families.base import entrywise
from emdist.families.centred import CentredDiagonal
from emdist.families.closures import Features, pairwise_sums
from emdist.families.densities import LOG_2PI, expanded
from emdist.families.diagonal import Diagonal, DiagonalParams, OwnVariances
from emdist.families.gaussian.base import (
    about_mean,
    positive,
)
from emdist.families.gaussian.incomplete import IncompleteSpherical
from emdist.families.gaussian.shapes import Shape, Spheres
from emdist.interfaces import Floats, Numerics, Spread
from emdist.kernels.tiles.moments import with_norm
from emdist.kernels.vector.lines import norm
from emdist.sums import Sums


@dataclass(frozen=True)
class SphericalParams:
    """The parameters of k spherical Gaussians.

    Attributes
    ----------
    means
        The means, (k, d), relative to the origin.
    variances
        The variances, (k,).
    """

    means: Floats
    variances: Floats


@dataclass(frozen=True)
class Spherical(OwnVariances[SphericalParams]):
    """Spherical Gaussians: ``p(x | k) = N(mean_k, variance_k I)``.

    Attributes
    ----------
    reg_covar
        The number that is added to every variance, in squared units of the data.
    prior
        The prior of means and covariances, or None for maximum likelihood.
    """

    wider: ClassVar[type[Diagonal]] = Diagonal

    shape: ClassVar[Shape] = Spheres()
    params: ClassVar[type[SphericalParams]] = SphericalParams

    def start(self, seeds: Floats, spread: Spread) -> SphericalParams:
        variance = float(spread.variance.mean()) + self.reg_covar
        return SphericalParams(np.array(seeds, np.float64), np.full(len(seeds), variance))

    def density(self, params: SphericalParams, numerics: Numerics) -> Density:
        means = params.means
        d = means.shape[1]
        precision = 1.0 / positive(params.variances, "variance")
        half_log = 0.5 * d * np.log(precision)
        constant = -0.5 * d * LOG_2PI
        if numerics.centred:
            wide = np.repeat(precision[:, None], d, axis=1)
            return CentredDiagonal(means, wide, half_log, constant=constant)
        eta = np.concatenate([means * precision[:, None], -0.5 * precision[:, None]], axis=1)
        offset = half_log - 0.5 * precision * np.einsum("ij,ij->i", means, means)
        return expanded(
            eta,
            offset,
            numerics.dtype,
            expand=with_norm,
            constant=constant,
            lines=norm(means.shape[1]),
        )

    def estimate(self, sums: Sums, params: SphericalParams, numerics: Numerics) -> SphericalParams:
        d = params.means.shape[1]
        _, means, shift, second = about_mean(sums, params.means, numerics)
        variances = (second.sum(axis=1) - np.einsum("ij,ij->i", shift, shift)) / d
        variances = np.maximum(variances, 0.0) + self.reg_covar
        return SphericalParams(*self.most_probable(sums["n"], means, variances))

    def amplification(self, params: SphericalParams, spread: Spread) -> float:
        # For a collapsed component no digit is correct, so the result is infinite.
        with np.errstate(divide="ignore", invalid="ignore"):
            return float(spread.variance.mean() / params.variances.min())

    def collapsed(self, params: SphericalParams) -> NDArray[np.bool_]:
        return ~(params.variances > 0)

    def within(self, params: SphericalParams, weights: Floats) -> Floats:
        return float(weights @ params.variances) * np.eye(params.means.shape[1])

    def marginal(
        self, params: SphericalParams, features: Features
    ) -> tuple[Spherical, SphericalParams]:
        return self, SphericalParams(params.means[:, features], params.variances)

    def convolved(
        self, params: SphericalParams, other: Spherical, theirs: SphericalParams
    ) -> tuple[Spherical, SphericalParams]:
        return self, entrywise(pairwise_sums, params, theirs)

    def widened(self, params: SphericalParams) -> tuple[Diagonal, DiagonalParams]:
        variances = np.repeat(params.variances[:, None], params.means.shape[1], axis=1)
        return Diagonal(self.reg_covar), DiagonalParams(params.means, variances)

    def free_parameters(self, n_components: int, n_features: int) -> int:
        return n_components * n_features + n_components

    def with_missing(self) -> IncompleteFamily[SphericalParams]:
        return IncompleteSpherical(self, self.reg_covar)


family = Spherical
