"""Shapes of k covariances, as priors see them: matrices, one matrix, axes, spheres.

An array of covariances is (k, d, d), (d, d), (k, d) or (k,) by shape, and so is what is
computed of them here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from emdist.errors import ConfigError
from emdist.families.gaussian.base import factor, factors, indefinite, positive
from emdist.interfaces import Floats, Spread


@dataclass(frozen=True)
class Measured:
    """k covariances against a prior's scale, about its mean.

    Attributes
    ----------
    log_det
        (k,) logarithms of the determinants of the covariances.
    trace
        (k,) ``tr(scale covariance^-1)``.
    distance
        (k,) ``diff^T covariance^-1 diff`` of the means from the prior's.
    """

    log_det: Floats
    trace: Floats
    distance: Floats


class Shape(Protocol):
    """What a prior needs to know of a kind of covariance."""

    @property
    def pooled(self) -> bool:
        """Whether all components share one covariance."""
        ...

    @property
    def matrices(self) -> bool:
        """Whether features are correlated."""
        ...

    def dimension(self, d: int) -> int:
        """Of the inverse Wishart distributions that a covariance is made of: d, or 1."""
        ...

    def repeats(self, d: int) -> int:
        """Observations of a parameter that one row gives: d for a width, else 1."""
        ...

    def unit(self, d: int) -> Floats:
        """A covariance of 1 in every direction: (d, d), (d,) or ()."""
        ...

    def outer(self, diff: Floats) -> Floats:
        """(k, d) deviations multiplied with themselves, one for each component."""
        ...

    def measure(self, diff: Floats, covariances: Floats, scale: Floats) -> Measured:
        """Covariances against a prior's `scale`, of means that differ from its by `diff` (k, d)."""
        ...

    def log_det(self, scale: Floats, d: int) -> float:
        """Logarithm of the determinant of a prior's scale, as a (d, d) matrix."""
        ...

    def scale(self, given: Any, spread: Spread, floor: float) -> Floats:
        """A prior's scale: as `given`, else the unbiased covariance of the data.

        `floor` is added where features are constant or copies of others.
        """
        ...


@dataclass(frozen=True)
class Matrices:
    """Full covariances, one for each component or one for all."""

    pooled: bool = False

    @property
    def matrices(self) -> bool:
        return True

    def dimension(self, d: int) -> int:
        return d

    def repeats(self, d: int) -> int:
        return 1

    def unit(self, d: int) -> Floats:
        return np.eye(d)

    def outer(self, diff: Floats) -> Floats:
        out: Floats = diff[:, :, None] * diff[:, None, :]
        return out

    def measure(self, diff: Floats, covariances: Floats, scale: Floats) -> Measured:
        k = len(diff)
        stacked = covariances[None] if self.pooled else covariances
        inverse, half_log = factors(stacked)
        white = np.einsum("ki,kij->kj", diff, np.broadcast_to(inverse, (k, *scale.shape)))
        trace = np.einsum("kij,kij->k", scale @ inverse, inverse)
        return Measured(
            np.broadcast_to(-2.0 * half_log, k),
            np.broadcast_to(trace, k),
            np.einsum("ki,ki->k", white, white),
        )

    def log_det(self, scale: Floats, d: int) -> float:
        return -2.0 * factor(scale, "prior's covariance")[1]

    def scale(self, given: Any, spread: Spread, floor: float) -> Floats:
        d = len(spread.variance)
        if given is None:
            covariance = spread.covariance
            found = np.diag(spread.variance) if covariance is None else covariance
            found = found * _unbiased(spread)
            return found + floor * np.eye(d) if indefinite(found[None])[0] else found
        found = _shaped(given, (d, d))
        if not np.allclose(found, found.T) or indefinite(found[None])[0]:
            raise ConfigError(
                "The prior's covariance is not symmetric and positive definite. Give a "
                "covariance matrix, or none for the data's own."
            )
        return found


@dataclass(frozen=True)
class Axes:
    """Variances along the axes, one for each component and feature."""

    pooled: bool = False

    @property
    def matrices(self) -> bool:
        return False

    def dimension(self, d: int) -> int:
        return 1

    def repeats(self, d: int) -> int:
        return 1

    def unit(self, d: int) -> Floats:
        return np.ones(d)

    def outer(self, diff: Floats) -> Floats:
        return diff * diff

    def measure(self, diff: Floats, covariances: Floats, scale: Floats) -> Measured:
        precision = 1.0 / positive(covariances, "variance")
        return Measured(
            np.log(covariances).sum(axis=1),
            precision @ scale,
            np.einsum("ij,ij,ij->i", diff, diff, precision),
        )

    def log_det(self, scale: Floats, d: int) -> float:
        return float(np.log(scale).sum())

    def scale(self, given: Any, spread: Spread, floor: float) -> Floats:
        variance = spread.variance * _unbiased(spread)
        if given is None:
            return np.where(variance > 0, variance, floor)
        return _above_zero(_shaped(given, variance.shape))


@dataclass(frozen=True)
class Spheres(Axes):
    """One variance for each component."""

    def repeats(self, d: int) -> int:
        return d

    def unit(self, d: int) -> Floats:
        return np.array(1.0)

    def outer(self, diff: Floats) -> Floats:
        return np.asarray((diff * diff).mean(axis=1))

    def measure(self, diff: Floats, covariances: Floats, scale: Floats) -> Measured:
        d = diff.shape[1]
        wide = np.repeat(covariances[:, None], d, axis=1)
        return super().measure(diff, wide, np.full(d, scale))

    def log_det(self, scale: Floats, d: int) -> float:
        return d * float(np.log(scale))

    def scale(self, given: Any, spread: Spread, floor: float) -> Floats:
        if given is not None:
            return _above_zero(_shaped(given, ()))
        variance = float(spread.variance.mean()) * _unbiased(spread)
        return np.array(variance if variance > 0 else floor)


def _unbiased(spread: Spread) -> float:
    """n / (n - 1), as scikit-learn estimates; 1 where the rows weigh too little to tell."""
    return spread.weight / (spread.weight - 1.0) if spread.weight >= 2.0 else 1.0


def _shaped(given: Any, shape: tuple[int, ...]) -> Floats:
    found = np.asarray(given, np.float64)
    if found.shape != shape or not np.isfinite(found).all():
        wanted = f"numbers of shape {shape}" if shape else "one number"
        raise ConfigError(
            f"The prior's covariance has shape {found.shape}; this family wants {wanted}, all "
            "finite, or none for the data's own."
        )
    return found


def _above_zero(found: Floats) -> Floats:
    if not (found > 0).all():
        raise ConfigError("The prior's covariance holds values <= 0; wanted positive variances.")
    return found
