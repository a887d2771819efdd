"""Spherical Gaussians: one variance per component, T(x) = (x, |x|^2)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emdist.families.densities import LOG_2PI, CentredDiagonal, expanded
from emdist.families.gaussian import (
    RealRows,
    UnsharedBase,
    Width,
    about_mean,
    positive,
    replaced,
)
from emdist.families.incomplete_gaussian import IncompleteSpherical
from emdist.interfaces import Density, Floats, IncompleteFamily, Numerics, Spread
from emdist.kernels.moments import with_norm
from emdist.sums import Sums


@dataclass(frozen=True)
class SphericalParams:
    """k spherical Gaussians.

    Attributes
    ----------
    means
        (k, d), relative to the origin.
    variances
        (k,).
    """

    means: Floats
    variances: Floats


@dataclass(frozen=True)
class Spherical(RealRows, UnsharedBase):
    """``N(mean_k, variance_k I)``.

    Attributes
    ----------
    reg_covar
        Added to every variance: squared units of the data.
    """

    reg_covar: Width = 1e-6

    @property
    def params(self) -> type[SphericalParams]:
        return SphericalParams

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
        return expanded(eta, offset, numerics.dtype, expand=with_norm, constant=constant)

    def estimate(self, sums: Sums, params: SphericalParams, numerics: Numerics) -> SphericalParams:
        d = params.means.shape[1]
        _, means, shift, second = about_mean(sums, params.means, numerics)
        variances = (second.sum(axis=1) - np.einsum("ij,ij->i", shift, shift)) / d
        return SphericalParams(means, np.maximum(variances, 0.0) + self.reg_covar)

    def amplification(self, params: SphericalParams, spread: Spread) -> float:
        # A collapsed component has no digits left: infinite.
        with np.errstate(divide="ignore", invalid="ignore"):
            return float(spread.variance.mean() / params.variances.min())

    def collapsed(self, params: SphericalParams) -> NDArray[np.bool_]:
        return ~(params.variances > 0)

    def translate(self, params: SphericalParams, shift: Floats) -> SphericalParams:
        return SphericalParams(params.means + shift, params.variances)

    def reseat(
        self, params: SphericalParams, index: NDArray[np.int64], rows: Floats, spread: Spread
    ) -> SphericalParams:
        fresh = self.start(rows, spread)
        return SphericalParams(
            replaced(params.means, index, rows),
            replaced(params.variances, index, fresh.variances),
        )

    def take(self, params: SphericalParams, index: NDArray[np.int64]) -> SphericalParams:
        return SphericalParams(params.means[index], params.variances[index])

    def sample(self, params: SphericalParams, k: int, n: int, rng: np.random.Generator) -> Floats:
        noise = rng.standard_normal((n, params.means.shape[1]))
        drawn: Floats = params.means[k] + np.sqrt(params.variances[k]) * noise
        return drawn

    def free_parameters(self, n_components: int, n_features: int) -> int:
        return n_components * n_features + n_components

    def with_missing(self) -> IncompleteFamily[SphericalParams]:
        return IncompleteSpherical(self, self.reg_covar)


family = Spherical
