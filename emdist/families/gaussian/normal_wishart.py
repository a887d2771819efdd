"""The conjugate prior of Gaussians.

It is Normal-Wishart for precisions and Normal-inverse-Wishart for covariances. With n rows of mean
x and covariance S, both lead to the same sums (Bishop 2006, 10.60 to 10.63):

    mean_precision    kappa = kappa0 + n
    degrees           nu = nu0 + n
    mean              (kappa0 m0 + n x) / kappa
    scatter           scale + n S + kappa0 n / kappa (x - m0) (x - m0)^T
"""

from __future__ import annotations

import copy
from abc import abstractmethod
from dataclasses import dataclass, field
from typing import Annotated, Any, Self, TypeAlias

import numpy as np
from pydantic import ConfigDict, Field
from scipy.special import digamma, multigammaln

from emdist.errors import ConfigError
from emdist.families.base import L
from emdist.families.densities import LOG_2PI
from emdist.families.gaussian.base import RealRows, Width, by_feature
from emdist.families.gaussian.shapes import Measured, Shape
from emdist.interfaces import Floats, Spread

Positive: TypeAlias = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Vector: TypeAlias = tuple[float, ...]


@dataclass(frozen=True)
class NormalWishart:
    """The prior of means and covariances as an option. The defaults are scikit-learn's.

    Attributes
    ----------
    mean
        The mean of the prior, (d,), in the units of the data, or None for the mean of the data.
    mean_precision
        The number kappa0 of rows to which the mean of the prior is equivalent.
    degrees_of_freedom
        The degrees of freedom nu0, more than d - 1, or None for d.
    covariance
        The scale of the prior: (d, d) for full and tied, (d,) for diagonal, one number for
        spherical. None stands for the unbiased covariance of the data.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    mean: Vector | None = None
    mean_precision: Positive = 1.0
    degrees_of_freedom: Positive | None = None
    covariance: float | Vector | tuple[Vector, ...] | None = None

    def degrees(self, d: int) -> float:
        """Return the degrees of freedom nu0 for `d` features."""
        return float(d) if self.degrees_of_freedom is None else self.degrees_of_freedom


@dataclass(frozen=True)
class Prior:
    """The numbers of a prior for given data, relative to the origin.

    Attributes
    ----------
    mean
        The mean of the prior, (d,).
    mean_precision, degrees
        The numbers kappa0 and nu0.
    scale
        The scale of the prior, as one covariance in the family's shape.
    """

    mean: Floats
    mean_precision: float
    degrees: float
    scale: Floats


def made(option: NormalWishart, spread: Spread, shape: Shape, least: int, floor: float) -> Prior:
    """Return the numbers of the prior `option` for data of this spread.

    Parameters
    ----------
    option
        The prior as the user gave it.
    spread
        The spread of the data.
    shape
        The shape of the family's covariances.
    least
        The number above which degrees of freedom must be.
    floor
        The variance of constant features in a default scale.

    Raises
    ------
    ConfigError
        If an option does not match the features of the data.
    """
    d = len(spread.origin)
    mean = np.zeros(d) + spread.mean
    if option.mean is not None:
        mean = np.array(option.mean, np.float64)
        if mean.shape != (d,) or not np.isfinite(mean).all():
            raise ConfigError(
                f"The mean of the prior has {mean.size} number(s); expected {d} finite numbers."
            )
        mean -= spread.origin
    degrees = option.degrees(d)
    if not degrees > least:
        raise ConfigError(
            f"The degrees_of_freedom of the prior are {degrees:g}; {d} features need more than "
            f"{least}."
        )
    scale = shape.scale(option.covariance, spread, floor or 1e-12)
    return Prior(mean, option.mean_precision, degrees, scale)


def posterior(
    prior: Prior, shape: Shape, n: Floats, means: Floats, covariances: Floats
) -> tuple[Floats, Floats]:
    """Return posterior means (k, d) and scatters, given the rows of weight `n` (k,).

    `means` and `covariances` are those of the rows. Scatters have the family's shape, and lack the
    scale of the prior. If components share one covariance, scatters are summed over components.
    If covariances are diagonal, `n` may be (k, d): with missing values, each feature has its own.
    """
    lift = (..., *[None] * (shape.outer(means[:1]).ndim - n.ndim))
    kappa = prior.mean_precision + n
    diff = means - prior.mean
    between = (prior.mean_precision * n / kappa)[lift] * shape.outer(diff)
    # This form gives a component without rows exactly the mean of the prior, bit for bit.
    centres = prior.mean + by_feature(n / kappa) * diff
    if shape.pooled:
        return centres, n.sum() * covariances + between.sum(axis=0)
    return centres, n[lift] * covariances + between


@dataclass(frozen=True)
class Conjugate(RealRows[L]):
    """Base class of the Gaussian families that can have this prior.

    Without a prior, `estimate` returns the maximum of the likelihood. With one, it returns the most
    probable value. Source: Fraley and Raftery 2007, "Bayesian regularization for normal mixture
    estimation and model-based clustering".
    """

    reg_covar: Width = 1e-6
    prior: NormalWishart | None = None
    # The type is Any because annotations serve to validate options, and this field is no option.
    known: Any = field(default=None, init=False, repr=False, compare=False)

    @property
    @abstractmethod
    def shape(self) -> Shape:
        """The shape of the family's covariances."""

    @abstractmethod
    def scales(self, params: Any) -> Floats:
        """Return the covariances in `params`, in the family's shape."""

    def least(self, d: int) -> int:
        """Return the number above which the degrees of freedom of a prior must be."""
        return self.shape.dimension(d) - 1

    @property
    def needs_covariance(self) -> bool:
        """Whether the covariance of the data is needed, as the default scale of a prior."""
        return self.prior is not None and self.prior.covariance is None and self.shape.matrices

    def informed(self, spread: Spread) -> Self:
        """Return the family with the numbers of its prior, for data of this spread."""
        if self.prior is None:
            return self
        least = self.least(len(spread.origin))
        twin = copy.copy(self)
        numbers = made(self.prior, spread, self.shape, least, self.reg_covar)
        object.__setattr__(twin, "known", numbers)  # No other code has the copy yet.
        return twin

    @property
    def numbers(self) -> Prior:
        """The numbers of the prior; ValueError before `informed`."""
        if not isinstance(self.known, Prior):
            raise ValueError(f"{type(self).__name__} with a prior is fitted after informed(spread)")
        return self.known

    def most_probable(self, n: Floats, means: Floats, covariances: Floats) -> tuple[Floats, Floats]:
        """Return means and covariances at the mode of the posterior.

        `means` and `covariances` are those of maximum likelihood. They are returned unchanged if
        there is no prior.
        """
        if self.prior is None:
            return means, covariances
        prior, d = self.numbers, means.shape[1]
        q, m = self.shape.dimension(d), self.shape.repeats(d)
        centres, scatter = posterior(prior, self.shape, n, means, covariances)
        # The prior of the means counts as one more observation of each covariance.
        observed = m * (n.sum() + len(n) if self.shape.pooled else n + 1.0)
        divisor = np.asarray(prior.degrees + q + 1.0 + observed)
        lift = (slice(None),) * divisor.ndim + (None,) * (scatter.ndim - divisor.ndim)
        return centres, (prior.scale + m * scatter) / divisor[lift]

    def of_rows(self, params: Any, n: Floats) -> Floats:
        """Return the covariances of the rows of components, in the family's shape.

        `n` (k,) is the weight of the rows. What `reg_covar` and a prior have added is subtracted
        again. This is possible because estimated covariances are linear in those of the rows.
        """
        d = params.means.shape[1]
        scales, unit = self.scales(params), self.shape.unit(d)
        if self.prior is not None:
            prior = self.numbers
            kappa = prior.mean_precision + n
            means = prior.mean + by_feature(kappa / n) * (params.means - prior.mean)
            k = () if self.shape.pooled else (len(n),)
            ones = np.broadcast_to(unit, (*k, *unit.shape))
            _, low = self.most_probable(n, means, np.zeros_like(ones))
            _, high = self.most_probable(n, means, ones)
            lift = (..., *[None] * unit.ndim)
            size = (high - low).reshape(*k, -1)[..., 0]
            # If the prior is so strong that the unit is lost in rounding, nothing is subtracted.
            told = np.broadcast_to(size[lift] > 0, np.shape(scales))
            own = np.array(scales, np.float64)
            scales = np.divide(scales - low, size[lift], out=own, where=told)
        return np.asarray(scales - self.reg_covar * unit)

    def log_prior(self, params: Any) -> float:
        """Return the log-density of means and covariances under the prior, in nats."""
        if self.prior is None:
            return 0.0
        prior, shape = self.numbers, self.shape
        d = params.means.shape[1]
        found = shape.measure(params.means - prior.mean, self.scales(params), prior.scale)
        widths = _log_inverse_wishart(found, prior, shape, d)
        spread = d * (LOG_2PI - np.log(prior.mean_precision)) + found.log_det
        means = -0.5 * (spread + prior.mean_precision * found.distance)
        return float((widths[:1] if shape.pooled else widths).sum() + means.sum())


def _log_inverse_wishart(found: Measured, prior: Prior, shape: Shape, d: int) -> Floats:
    """Return the log-densities of covariances under the prior, in nats: (k,).

    Depending on the shape, the prior is one distribution of a matrix, one of each variance, or one
    of a variance that all features share.
    """
    q, m, nu = shape.dimension(d), shape.repeats(d), prior.degrees
    parts = d // (q * m)
    norm = 0.5 * nu * shape.log_det(prior.scale, d) / m
    norm -= parts * (0.5 * nu * q * np.log(2.0) + float(multigammaln(0.5 * nu, q)))
    return np.asarray(norm - 0.5 * ((nu + q + 1.0) * found.log_det + found.trace) / m)


def expected_log_det(nu: Floats, d: int) -> Floats:
    """Return ``E log |precision|`` of Wishart distributions whose expectation is 1: (k,).

    `nu` (k,) are their degrees of freedom. Source: Bishop 2006, 10.65, with the scale 1 / nu.
    """
    halves = 0.5 * (nu[:, None] - np.arange(d))
    return np.asarray((digamma(halves) - np.log(0.5 * nu)[:, None]).sum(axis=1))


def divergence(
    found: Measured, kappa: Floats, nu: Floats, prior: Prior, log_det: float, d: int
) -> Floats:
    """Return Kullback-Leibler divergences of Normal-Wishart posteriors from the prior: (k,).

    They are in nats and >= 0.

    Parameters
    ----------
    found
        The covariances, which are the inverses of the expected precisions, compared with the prior.
    kappa, nu
        The mean precisions and degrees of freedom of the posteriors, (k,) each.
    prior
        The prior of the posteriors.
    log_det
        The logarithm of the determinant of the scale of the prior.
    d
        The number of features.
    """
    kappa0, nu0 = prior.mean_precision, prior.degrees
    ratio = kappa0 / kappa
    means = 0.5 * (d * (ratio - 1.0 - np.log(ratio)) + kappa0 * found.distance)
    expected = expected_log_det(nu, d) - found.log_det
    norms = _log_norm(nu, d * np.log(nu) + found.log_det, d) - _log_norm(
        np.array([nu0]), np.array([log_det]), d
    )
    widths = norms + 0.5 * ((nu - nu0) * expected + found.trace - nu * d)
    return np.asarray(means + widths)


def _log_norm(nu: Floats, log_det: Floats, d: int) -> Floats:
    """Return the logarithms of normalisers of Wishart distributions (Bishop 2006, B.79): (k,).

    `log_det` (k,) are the log-determinants of the inverse scales.
    """
    return np.asarray(0.5 * nu * (log_det - d * np.log(2.0)) - multigammaln(0.5 * nu, d))
