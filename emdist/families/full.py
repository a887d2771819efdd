"""The family of Gaussians with full covariances: T(x) = (x, upper(x x^T))."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from emdist.components import Density, IncompleteFamily
from emdist.families.base import entrywise
from emdist.families.centred import CentredFull
from emdist.families.closures import Features, pairwise_sums
from emdist.families.densities import LOG_2PI, expanded_full
from emdist.families.gaussian.base import (
    about_mean,
    conditioned,
    factors,
    indefinite,
)
from emdist.families.gaussian.conditional import IncompleteGaussian
from emdist.families.gaussian.normal_wishart import Conjugate
from emdist.families.gaussian.shapes import Matrices, Shape
from emdist.interfaces import Floats, Numerics, Spread
from emdist.kernels.tiles.moments import unpack
from emdist.sums import Sums


@dataclass(frozen=True)
class FullParams:
    """The parameters of k Gaussians, each with its own covariance.

    Attributes
    ----------
    means
        The means, (k, d), relative to the origin.
    covariances
        The covariances, (k, d, d).
    """

    means: Floats
    covariances: Floats


@dataclass(frozen=True)
class Full(Conjugate[FullParams]):
    """Gaussians with full covariances: ``p(x | k) = N(mean_k, covariance_k)``.

    Attributes
    ----------
    reg_covar
        The number that is added to the diagonal of every covariance, in squared units of the data.
    prior
        The prior of means and covariances, or None for maximum likelihood.
    """

    shape: ClassVar[Shape] = Matrices()

    def scales(self, params: FullParams) -> Floats:
        return params.covariances

    params: ClassVar[type[FullParams]] = FullParams

    def start(self, seeds: Floats, spread: Spread) -> FullParams:
        covariance = np.diag(spread.variance + self.reg_covar)
        return FullParams(np.array(seeds, np.float64), np.tile(covariance, (len(seeds), 1, 1)))

    def density(self, params: FullParams, numerics: Numerics) -> Density:
        means = params.means
        inverse, half_log = factors(params.covariances)
        constant = -0.5 * means.shape[1] * LOG_2PI
        if numerics.centred:
            return CentredFull(means, inverse, half_log, constant)
        precision = inverse @ inverse.transpose(0, 2, 1)
        return expanded_full(means, precision, half_log, numerics.dtype)

    def estimate(self, sums: Sums, params: FullParams, numerics: Numerics) -> FullParams:
        d = params.means.shape[1]
        _, means, shift, second = about_mean(sums, params.means, numerics)
        covariances = unpack(second, d) - shift[:, :, None] * shift[:, None, :]
        covariances[:, np.arange(d), np.arange(d)] += self.reg_covar
        return FullParams(*self.most_probable(sums["n"], means, covariances))

    def amplification(self, params: FullParams, spread: Spread) -> float:
        inverse, _ = factors(params.covariances)
        scale = np.sqrt(spread.variance)
        precision = np.abs(inverse @ inverse.transpose(0, 2, 1))
        return float((scale @ precision @ scale).max()) / len(scale)

    def collapsed(self, params: FullParams) -> NDArray[np.bool_]:
        return indefinite(params.covariances)

    def sample(self, params: FullParams, k: int, n: int, rng: np.random.Generator) -> Floats:
        noise = rng.standard_normal((n, params.means.shape[1]))
        drawn: Floats = params.means[k] + noise @ np.linalg.cholesky(params.covariances[k]).T
        return drawn

    def within(self, params: FullParams, weights: Floats) -> Floats:
        summed: Floats = np.einsum("k,kij->ij", weights, params.covariances)
        return summed

    def marginal(self, params: FullParams, features: Features) -> tuple[Full, FullParams]:
        covariances = params.covariances[:, features[:, None], features]
        return self, FullParams(params.means[:, features], covariances)

    def slopes(self, params: FullParams, kept: Features, observed: Features) -> Floats:
        return conditioned(params.covariances, kept, observed)[0]

    def conditional(
        self, params: FullParams, kept: Features, observed: Features, values: Floats
    ) -> tuple[Full, FullParams]:
        slopes, covariances = conditioned(params.covariances, kept, observed)
        moved = np.einsum("kab,kb->ka", slopes, values - params.means[:, observed])
        return self, FullParams(params.means[:, kept] + moved, covariances)

    def convolved(
        self, params: FullParams, other: Full, theirs: FullParams
    ) -> tuple[Full, FullParams]:
        return self, entrywise(pairwise_sums, params, theirs)

    def free_parameters(self, n_components: int, n_features: int) -> int:
        return n_components * (n_features + n_features * (n_features + 1) // 2)

    def with_missing(self) -> IncompleteFamily[FullParams]:
        return IncompleteGaussian(self, _covariances)


def _covariances(params: FullParams) -> Floats:
    return params.covariances


family = Full
