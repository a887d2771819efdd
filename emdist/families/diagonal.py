"""The family of diagonal Gaussians: one variance per component and feature, T(x) = (x, x^2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from emdist.components import Density, IncompleteFamily
from emdist.families.base import entrywise
from emdist.families.centred import CentredDiagonal
from emdist.families.closures import Features, IndependentFeatures, pairwise_sums
from emdist.families.densities import LOG_2PI, expanded
from emdist.families.full import Full, FullParams
from emdist.families.gaussian.base import (
    about_mean,
    positive,
)
from emdist.families.gaussian.incomplete import IncompleteDiagonal
from emdist.families.gaussian.normal_wishart import Conjugate
from emdist.families.gaussian.shapes import Axes, Shape
from emdist.interfaces import Floats, Numerics, Spread
from emdist.kernels.tiles.moments import with_squares
from emdist.kernels.vector.lines import squares
from emdist.sums import Sums


@dataclass(frozen=True)
class DiagonalParams:
    """The parameters of k Gaussians with diagonal covariances.

    Attributes
    ----------
    means
        The means, (k, d), relative to the origin.
    variances
        The variances, (k, d).
    """

    means: Floats
    variances: Floats


class Variances(Protocol):
    """Parameters with means (k, d), and variances (k, d) or (k,)."""

    @property
    def means(self) -> Floats: ...

    @property
    def variances(self) -> Floats: ...


V = TypeVar("V", bound=Variances)


class OwnVariances(IndependentFeatures, Conjugate[V]):
    """Base class of Gaussians without correlations, whose components have their own variances."""

    def scales(self, params: V) -> Floats:
        return params.variances

    def sample(self, params: V, k: int, n: int, rng: np.random.Generator) -> Floats:
        noise = rng.standard_normal((n, params.means.shape[1]))
        drawn: Floats = params.means[k] + np.sqrt(params.variances[k]) * noise
        return drawn


@dataclass(frozen=True)
class Diagonal(OwnVariances[DiagonalParams]):
    """Gaussians with diagonal covariances: ``p(x | k) = N(mean_k, diag(variance_k))``.

    Attributes
    ----------
    reg_covar
        The number that is added to every variance, in squared units of the data.
    prior
        The prior of means and covariances, or None for maximum likelihood.
    """

    wider: ClassVar[type[Full]] = Full

    shape: ClassVar[Shape] = Axes()
    params: ClassVar[type[DiagonalParams]] = DiagonalParams

    def start(self, seeds: Floats, spread: Spread) -> DiagonalParams:
        variance = spread.variance + self.reg_covar
        return DiagonalParams(np.array(seeds, np.float64), np.tile(variance, (len(seeds), 1)))

    def density(self, params: DiagonalParams, numerics: Numerics) -> Density:
        means = params.means
        precision = 1.0 / positive(params.variances, "variance")
        half_log = 0.5 * np.log(precision).sum(axis=1)
        constant = -0.5 * means.shape[1] * LOG_2PI
        if numerics.centred:
            return CentredDiagonal(means, precision, half_log, constant=constant)
        eta = np.concatenate([means * precision, -0.5 * precision], axis=1)
        offset = half_log - 0.5 * np.einsum("ij,ij,ij->i", means, means, precision)
        return expanded(
            eta,
            offset,
            numerics.dtype,
            expand=with_squares,
            constant=constant,
            lines=squares(means.shape[1]),
        )

    def estimate(self, sums: Sums, params: DiagonalParams, numerics: Numerics) -> DiagonalParams:
        _, means, shift, second = about_mean(sums, params.means, numerics)
        variances = np.maximum(second - shift * shift, 0.0) + self.reg_covar
        return DiagonalParams(*self.most_probable(sums["n"], means, variances))

    def amplification(self, params: DiagonalParams, spread: Spread) -> float:
        # For a collapsed component no digit is correct. The result is infinite then, or NaN if the
        # feature is constant.
        with np.errstate(divide="ignore", invalid="ignore"):
            return float((spread.variance / params.variances).mean(axis=1).max())

    def collapsed(self, params: DiagonalParams) -> NDArray[np.bool_]:
        return np.asarray(~(params.variances > 0).all(axis=1))

    def within(self, params: DiagonalParams, weights: Floats) -> Floats:
        return np.diag(weights @ params.variances)

    def marginal(
        self, params: DiagonalParams, features: Features
    ) -> tuple[Diagonal, DiagonalParams]:
        return self, DiagonalParams(params.means[:, features], params.variances[:, features])

    def convolved(
        self, params: DiagonalParams, other: Diagonal, theirs: DiagonalParams
    ) -> tuple[Diagonal, DiagonalParams]:
        return self, entrywise(pairwise_sums, params, theirs)

    def widened(self, params: DiagonalParams) -> tuple[Full, FullParams]:
        covariances = params.variances[:, :, None] * np.eye(params.means.shape[1])
        return Full(self.reg_covar), FullParams(params.means, covariances)

    def free_parameters(self, n_components: int, n_features: int) -> int:
        return 2 * n_components * n_features

    def with_missing(self) -> IncompleteFamily[DiagonalParams]:
        return IncompleteDiagonal(self)


family = Diagonal
