"""Gaussians that share one covariance: T(x) = x, and one sum of x x^T for the whole run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from emdist.families.conditional import IncompleteGaussian
from emdist.families.densities import LOG_2PI, CentredFull, expanded, itself
from emdist.families.gaussian import (
    RealRows,
    Width,
    about_mean,
    factor,
    indefinite,
    replaced,
)
from emdist.interfaces import Array, Density, Floats, IncompleteFamily, Numerics, Spread
from emdist.kernels.moments import unpack
from emdist.sums import Sums


@dataclass(frozen=True)
class TiedParams:
    """k Gaussians of one covariance.

    Attributes
    ----------
    means
        (k, d), relative to the origin.
    covariance
        (d, d).
    """

    means: Floats
    covariance: Floats


def _quadratic(x: Array, whitening: Floats) -> Floats:
    z = x.astype(np.float64, copy=False) @ whitening
    out: Floats = -0.5 * np.einsum("ij,ij->i", z, z)
    return out


@dataclass(frozen=True)
class Tied(RealRows):
    """``N(mean_k, covariance)``.

    ``-1/2 x^T precision x`` is common to all components, so it is left out of the score; its
    sum over all rows follows from the one shared sum of x x^T.

    Attributes
    ----------
    reg_covar
        Added to the diagonal of the covariance: squared units of the data.
    """

    reg_covar: Width = 1e-6

    @property
    def params(self) -> type[TiedParams]:
        return TiedParams

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
        )

    def estimate(self, sums: Sums, params: TiedParams, numerics: Numerics) -> TiedParams:
        n, means, shift, second = about_mean(sums, params.means, numerics)
        if numerics.centred:
            # The difference below would lose what the pass was centred to keep.
            scatter = unpack(n.T @ second, len(means.T))[0]
        else:
            scatter = sums["shared.outer"]
        covariance = (scatter - (n * shift).T @ shift) / n.sum()
        covariance.flat[:: len(covariance) + 1] += self.reg_covar
        return TiedParams(means, covariance)

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
        if numerics.centred:  # Centred scores leave nothing out.
            return 0.0
        whitening, _ = factor(params.covariance, "shared covariance")
        return -0.5 * float(np.sum((whitening.T @ shared["outer"]) * whitening.T))

    def collapsed(self, params: TiedParams) -> NDArray[np.bool_]:
        return np.full(len(params.means), indefinite(params.covariance[None])[0])

    def translate(self, params: TiedParams, shift: Floats) -> TiedParams:
        return TiedParams(params.means + shift, params.covariance)

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

    def free_parameters(self, n_components: int, n_features: int) -> int:
        return n_components * n_features + n_features * (n_features + 1) // 2

    def with_missing(self) -> IncompleteFamily[TiedParams]:
        """As `Full`: what is missing has a share in the covariance that responsibilities enter."""
        return IncompleteGaussian(self, _covariances)


def _covariances(params: TiedParams) -> Floats:
    return np.tile(params.covariance, (len(params.means), 1, 1))


family = Tied
