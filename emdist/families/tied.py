"""The family of Gaussians with one common covariance: T(x) = x.

The sum of x x^T over all rows is computed once per run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from emdist.components import Density, IncompleteFamily
from emdist.families.base import replaced
from emdist.families.centred import CentredFull
from emdist.families.closures import Features, pairwise_sums
from emdist.families.densities import LOG_2PI, expanded, itself
from emdist.families.full import Full, FullParams
from emdist.families.gaussian.base import (
    about_mean,
    conditioned,
    factor,
    indefinite,
)
from emdist.families.gaussian.conditional import IncompleteGaussian
from emdist.families.gaussian.normal_wishart import Conjugate
from emdist.families.gaussian.shapes import Matrices, Shape
from emdist.interfaces import Array, Floats, Numerics, Spread
from emdist.kernels.tiles.moments import unpack
from emdist.kernels.vector.lines import features
from emdist.sums import Sums


@dataclass(frozen=True)
class TiedParams:
    """The parameters of k Gaussians with one common covariance.

    Attributes
    ----------
    means
        The means, (k, d), relative to the origin.
    covariance
        The common covariance, (d, d).
    """

    means: Floats
    covariance: Floats


def _quadratic(x: Array, whitening: Floats) -> Floats:
    """Return ``-1/2 x^T precision x`` of each row, with ``precision = whitening whitening^T``."""
    z = x.astype(np.float64, copy=False) @ whitening
    out: Floats = -0.5 * np.einsum("ij,ij->i", z, z)
    return out


@dataclass(frozen=True)
class Tied(Conjugate[TiedParams]):
    """Gaussians with one common covariance: ``p(x | k) = N(mean_k, covariance)``.

    The term ``-1/2 x^T precision x`` is the same for all components, so the score leaves it out.
    Its sum over all rows follows from the shared sum of x x^T.

    Attributes
    ----------
    reg_covar
        The number that is added to the diagonal of the covariance, in squared units of the data.
    prior
        The prior of means and covariances, or None for maximum likelihood.
    """

    wider: ClassVar[type[Full]] = Full

    shape: ClassVar[Shape] = Matrices(pooled=True)

    def scales(self, params: TiedParams) -> Floats:
        return params.covariance

    params: ClassVar[type[TiedParams]] = TiedParams

    def start(self, seeds: Floats, spread: Spread) -> TiedParams:
        return TiedParams(np.array(seeds, np.float64), np.diag(spread.variance + self.reg_covar))

    def density(self, params: TiedParams, numerics: Numerics) -> Density:
        means = params.means
        whitening, half_log = factor(params.covariance, "shared covariance")
        white = means @ whitening
        constant = half_log - 0.5 * means.shape[1] * LOG_2PI
        if numerics.centred:
            nothing = np.zeros(len(means))
            whitenings = np.tile(whitening, (len(means), 1, 1))
            return CentredFull(means, whitenings, nothing, constant)
        return expanded(
            white @ whitening.T,
            -0.5 * np.einsum("ij,ij->i", white, white),
            numerics.dtype,
            expand=itself,
            base_of=partial(_quadratic, whitening=whitening),
            constant=constant,
            lines=features(means.shape[1]),
        )

    def estimate(self, sums: Sums, params: TiedParams, numerics: Numerics) -> TiedParams:
        n, means, shift, second = about_mean(sums, params.means, numerics)
        if numerics.centred:
            # With sums about the origin, the difference below would cancel most digits.
            scatter = unpack(n.T @ second, len(means.T))[0]
        else:
            scatter = sums["shared.outer"]
        covariance = (scatter - (n * shift).T @ shift) / n.sum()
        covariance.flat[:: len(covariance) + 1] += self.reg_covar
        return TiedParams(*self.most_probable(sums["n"], means, covariance))

    def amplification(self, params: TiedParams, spread: Spread) -> float:
        whitening, _ = factor(params.covariance, "shared covariance")
        scale = np.sqrt(spread.variance)
        precision = np.abs(whitening @ whitening.T)
        return float(scale @ precision @ scale) / len(scale)

    def shared(self, x: Floats, weight: Floats | None) -> dict[str, Floats]:
        return {"outer": x.T @ (x if weight is None else weight[:, None] * x)}

    def shared_base(
        self, params: TiedParams, shared: Mapping[str, Floats], numerics: Numerics
    ) -> float:
        if numerics.centred:  # Centred scores are complete, so they have no base.
            return 0.0
        whitening, _ = factor(params.covariance, "shared covariance")
        return -0.5 * float(np.sum((whitening.T @ shared["outer"]) * whitening.T))

    def collapsed(self, params: TiedParams) -> NDArray[np.bool_]:
        return np.full(len(params.means), indefinite(params.covariance[None])[0])

    def reseat(
        self, params: TiedParams, index: NDArray[np.int64], rows: Floats, spread: Spread
    ) -> TiedParams:
        return TiedParams(replaced(params.means, index, rows), params.covariance)

    def take(self, params: TiedParams, index: NDArray[np.int64]) -> TiedParams:
        return TiedParams(params.means[index], params.covariance)

    def sample(self, params: TiedParams, k: int, n: int, rng: np.random.Generator) -> Floats:
        noise = rng.standard_normal((n, params.means.shape[1]))
        drawn: Floats = params.means[k] + noise @ np.linalg.cholesky(params.covariance).T
        return drawn

    def within(self, params: TiedParams, weights: Floats) -> Floats:
        summed: Floats = params.covariance * weights.sum()
        return summed

    def marginal(self, params: TiedParams, features: Features) -> tuple[Tied, TiedParams]:
        covariance = params.covariance[features[:, None], features]
        return self, TiedParams(params.means[:, features], covariance)

    def slopes(self, params: TiedParams, kept: Features, observed: Features) -> Floats:
        slopes = conditioned(params.covariance[None], kept, observed)[0]
        return np.broadcast_to(slopes, (len(params.means), *slopes.shape[1:]))

    def conditional(
        self, params: TiedParams, kept: Features, observed: Features, values: Floats
    ) -> tuple[Tied, TiedParams]:
        slopes, covariances = conditioned(params.covariance[None], kept, observed)
        moved = (values - params.means[:, observed]) @ slopes[0].T
        return self, TiedParams(params.means[:, kept] + moved, covariances[0])

    def convolved(
        self, params: TiedParams, other: Tied, theirs: TiedParams
    ) -> tuple[Tied, TiedParams]:
        means = pairwise_sums(params.means, theirs.means)
        return self, TiedParams(means, params.covariance + theirs.covariance)

    def widened(self, params: TiedParams) -> tuple[Full, FullParams]:
        covariances = np.tile(params.covariance, (len(params.means), 1, 1))
        return Full(self.reg_covar), FullParams(params.means, covariances)

    def free_parameters(self, n_components: int, n_features: int) -> int:
        return n_components * n_features + n_features * (n_features + 1) // 2

    def with_missing(self) -> IncompleteFamily[TiedParams]:
        """Return the family for rows with missing values, which works as that of `Full`.

        The conditional covariance of missing values depends on responsibilities. So the sum of
        x x^T does as well, and it cannot be computed once per run.
        """
        return IncompleteGaussian(self, _covariances)


def _covariances(params: TiedParams) -> Floats:
    """Return the common covariance once for each component: (k, d, d)."""
    return np.tile(params.covariance, (len(params.means), 1, 1))


family = Tied
