"""The shapes of k covariances, one class for each covariance type: what priors need to know.

Arrays of covariances have the shape (k, d, d) for full, (d, d) for tied, (k, d) for diagonal and
(k,) for spherical. "In the family's shape" means the one of these that the family has.
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
    """k means and covariances, compared with the mean and the scale of a prior.

    Attributes
    ----------
    log_det
        The logarithms of the determinants of the covariances, (k,).
    trace
        The traces ``tr(scale covariance^-1)``, (k,).
    distance
        The distances ``diff^T covariance^-1 diff``, (k,), where diff is the difference of a mean
        from that of the prior.
    """

    log_det: Floats
    trace: Floats
    distance: Floats


class Shape(Protocol):
    """What a prior needs to know of a covariance type."""

    @property
    def pooled(self) -> bool:
        """Whether all components share one covariance."""
        ...

    @property
    def matrices(self) -> bool:
        """Whether features can be correlated, so that covariances are matrices."""
        ...

    def dimension(self, d: int) -> int:
        """Return the dimension of the inverse Wishart distributions of a covariance: d or 1."""
        ...

    def repeats(self, d: int) -> int:
        """Return how many observations of a parameter one row gives: d if spherical, else 1."""
        ...

    def unit(self, d: int) -> Floats:
        """Return a covariance that is 1 in every direction: (d, d), (d,) or ()."""
        ...

    def outer(self, diff: Floats) -> Floats:
        """Return the squares of deviations `diff` (k, d), as k covariances in this shape."""
        ...

    def measure(self, diff: Floats, covariances: Floats, scale: Floats) -> Measured:
        """Compare covariances with the `scale` of a prior.

        `diff` (k, d) are the differences of the means from the mean of the prior.
        """
        ...

    def log_det(self, scale: Floats, d: int) -> float:
        """Return the logarithm of the determinant of a prior's scale, as a (d, d) matrix."""
        ...

    def scale(self, given: Any, spread: Spread, floor: float) -> Floats:
        """Return the scale of a prior: `given`, or by default the unbiased covariance of the data.

        The default gets `floor` where features are constant or copies of others.
        """
        ...


@dataclass(frozen=True)
class Matrices:
    """Full covariances: one matrix for each component, or one for all if `pooled`."""

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
                "The covariance of the prior is not symmetric and positive definite. Give a "
                "covariance matrix, or leave it out to use that of the data."
            )
        return found


@dataclass(frozen=True)
class Axes:
    """Diagonal covariances: one variance for each component and feature."""

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
    """Spherical covariances: one variance for each component."""

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
    """Return the factor n / (n - 1) of unbiased covariances, as scikit-learn estimates them.

    It is 1 if the total weight n is less than 2.
    """
    return spread.weight / (spread.weight - 1.0) if spread.weight >= 2.0 else 1.0


def _shaped(given: Any, shape: tuple[int, ...]) -> Floats:
    """Return `given` as an array of the given shape; ConfigError if it is not, or not finite."""
    found = np.asarray(given, np.float64)
    if found.shape != shape or not np.isfinite(found).all():
        wanted = f"numbers of shape {shape}" if shape else "one number"
        raise ConfigError(
            f"The covariance of the prior has shape {found.shape}; expected {wanted}, all "
            "finite. Leave it out to use that of the data."
        )
    return found


def _above_zero(found: Floats) -> Floats:
    """Return `found` if all values are positive; ConfigError otherwise."""
    if not (found > 0).all():
        raise ConfigError(
            "The covariance of the prior holds values <= 0; expected positive variances."
        )
    return found
