"""The family of isotropic Gaussians with one given variance. Hard assignment makes it K-means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from emdist.components import Density, IncompleteFamily
from emdist.families.centred import CentredDiagonal
from emdist.families.closures import Features, IndependentFeatures, pairwise_sums
from emdist.families.densities import LOG_2PI, NearestMeans, exact_distance, itself
from emdist.families.gaussian.base import DUST, RealRows, by_feature
from emdist.families.gaussian.incomplete import IncompleteIsotropic
from emdist.families.spherical import Spherical, SphericalParams
from emdist.interfaces import Array, Floats, Numerics, Spread
from emdist.kernels.tiles.distances import nearest_others
from emdist.kernels.tiles.moments import distance_to_own
from emdist.kernels.vector.lines import features
from emdist.sums import Sums


@dataclass(frozen=True)
class Centres:
    """The parameters of k components that have a centre and nothing else.

    Attributes
    ----------
    means
        The centres, (k, d), relative to the origin.
    """

    means: Floats


def _norm(x: Array, scale: float) -> Floats:
    """Return ``-scale |x|^2`` of each row: (m,)."""
    out: Floats = -scale * np.einsum("ij,ij->i", x, x, dtype=np.float64)
    return out


@dataclass(frozen=True)
class Isotropic(IndependentFeatures, RealRows[Centres]):
    """Isotropic Gaussians with a given variance: ``p(x | k) = N(mean_k, variance I)``, T(x) = x.

    Attributes
    ----------
    variance
        The variance in squared units of the data. With 1/2, the log-likelihood of hard assignment
        is minus the inertia, up to a constant.
    """

    wider: ClassVar[type[Spherical]] = Spherical

    variance: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 0.5

    params: ClassVar[type[Centres]] = Centres

    @property
    def _scale(self) -> float:
        return 0.5 / self.variance

    def start(self, seeds: Floats, spread: Spread) -> Centres:
        return Centres(np.array(seeds, np.float64))

    def density(self, params: Centres, numerics: Numerics) -> Density:
        means, scale = params.means, self._scale
        constant = -0.5 * means.shape[1] * (LOG_2PI + float(np.log(self.variance)))
        if numerics.centred:
            precisions = np.full(means.shape, 2 * scale)
            nothing = np.zeros(len(means))
            return CentredDiagonal(means, precisions, nothing, moments=1, constant=constant)
        return NearestMeans(
            eta=np.ascontiguousarray(2 * scale * means, numerics.dtype),
            offset=(-scale * np.einsum("ij,ij->i", means, means)).astype(numerics.dtype),
            expand=itself,
            base_of=partial(_norm, scale=scale),
            constant=constant,
            own=exact_distance(means, scale),
            lines=features(means.shape[1]),
            means=means,
            scale=scale,
        )

    def estimate(self, sums: Sums, params: Centres, numerics: Numerics) -> Centres:
        n = by_feature(sums["n"])
        # A component without rows keeps its centre. The policy for collapses may move it later.
        with np.errstate(invalid="ignore", divide="ignore"):
            return Centres(np.where(n > DUST * sums["weight"], sums["t"] / n, params.means))

    def amplification(self, params: Centres, spread: Spread) -> float:
        # The whole score must be accurate, including the part that all components share.
        return max(self.between(params, spread), float(spread.variance.mean()) / self.variance)

    def between(self, params: Centres, spread: Spread) -> float:
        """Return how rounding errors grow in the differences of scores, which decide labels.

        The part of the score that all components share is left out.
        """
        if len(params.means) < 2:
            return 1.0
        nearest, between = nearest_others(params.means)
        separation = float(np.median(between))
        if separation < 1e-9 * float(spread.variance.sum()):
            # Such expanded distances may be rounding errors only, so compute them once more by
            # subtracting before squaring.
            exact = np.empty(len(params.means))
            distance_to_own(params.means, params.means, nearest, exact)
            separation = float(np.median(exact))
        return 4 * float(spread.variance.sum()) / separation if separation > 0 else 1.0

    def shared(self, x: Floats, weight: Floats | None) -> dict[str, Floats]:
        norm = np.einsum("ij,ij->i", x, x)
        return {"norm": np.array(norm.sum() if weight is None else weight @ norm)}

    def shared_base(
        self, params: Centres, shared: Mapping[str, Floats], numerics: Numerics
    ) -> float:
        # Centred scores are complete, so they have no base.
        return 0.0 if numerics.centred else -self._scale * float(shared["norm"])

    def sample(self, params: Centres, k: int, n: int, rng: np.random.Generator) -> Floats:
        d = params.means.shape[1]
        drawn: Floats = params.means[k] + np.sqrt(self.variance) * rng.standard_normal((n, d))
        return drawn

    def within(self, params: Centres, weights: Floats) -> Floats:
        return self.variance * float(weights.sum()) * np.eye(params.means.shape[1])

    def marginal(self, params: Centres, features: Features) -> tuple[Isotropic, Centres]:
        return self, Centres(params.means[:, features])

    def convolved(
        self, params: Centres, other: Isotropic, theirs: Centres
    ) -> tuple[Isotropic, Centres]:
        means = pairwise_sums(params.means, theirs.means)
        return Isotropic(self.variance + other.variance), Centres(means)

    def widened(self, params: Centres) -> tuple[Spherical, SphericalParams]:
        variances = np.full(len(params.means), self.variance)
        return Spherical(), SphericalParams(params.means, variances)

    def free_parameters(self, n_components: int, n_features: int) -> int:
        return n_components * n_features

    def with_missing(self) -> IncompleteFamily[Centres]:
        return IncompleteIsotropic(self, self.variance)


family = Isotropic
