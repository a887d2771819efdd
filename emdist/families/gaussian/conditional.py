"""Gaussians with full or tied covariances, for rows with missing values.

Source: Ghahramani and Jordan 1994, "Supervised learning from incomplete data via an EM approach",
NIPS 6. The E-step uses the marginal density of the observed values of a row, and the expectations
of x and x x^T given these values. So sums are those of completed rows, plus the conditional
covariances of missing values. Rows in which the same features are missing share their factors.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from emdist.components import Density
from emdist.families.centred import WithCovariances
from emdist.families.densities import LOG_2PI, expanded_full
from emdist.families.gaussian.base import factors
from emdist.families.incomplete import Blend, Incomplete
from emdist.interfaces import Array, Floats, Numerics
from emdist.kernels.tiles.missing import (
    conditional,
    marginal_by_covariance,
    marginal_by_precision,
    patterns,
)
from emdist.kernels.tiles.moments import pack, unpack
from emdist.sums import Sums

P = TypeVar("P")

_NONE = np.empty((0, 0))


@dataclass(frozen=True)
class Conditional(WithCovariances):
    """A density that scores the observed values of rows, and sums the moments of completed rows.

    Attributes
    ----------
    means
        The means, (k, d).
    covariances, precisions
        The covariances and their inverses, (k, d, d).
    half_logs
        Half of the log-determinants of the precisions, (k,).
    whole
        The expanded density that processes rows without missing values. It is None in centred
        arithmetic: moments are then about the means, and the covariance of the observed features
        is factored. This costs more if most features are observed, but is free of cancellation.
    constant
        The number that is part of every log p(x|k), in nats.
    """

    means: Floats
    covariances: Floats
    precisions: Floats
    half_logs: Floats
    whole: Density | None
    constant: float = 0.0

    @property
    def offset(self) -> Floats:
        return np.zeros(len(self.means))

    def statistics(self, x: Array) -> Array:
        return x if self.whole is None else self.whole.statistics(x)

    def _split(self, x: Array) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Return which rows `whole` processes, and which are left: (m,) each."""
        rest = np.ones(len(x), bool)
        if self.whole is not None:
            rest = np.asarray(np.isnan(x).any(axis=1))
        return ~rest, rest

    def score(self, x: Array, t: Array, out: Array) -> None:
        kept, rest = self._split(x)
        if self.whole is not None and kept.any():
            own = np.empty((len(out), np.count_nonzero(kept)), out.dtype)
            self.whole.score(x[kept], t[kept], own)
            own += (self.whole.offset + self.whole.constant)[:, None].astype(out.dtype)
            out[:, kept] = own
        if rest.any():
            out[:, rest] = self._marginal(x[rest])

    def _marginal(self, x: Array) -> Floats:
        """Return the log-densities of the observed values of rows, in nats: (k, m)."""
        missing = np.isnan(x)
        groups = patterns(missing)
        out = np.empty((self.n_components, len(x)))
        for k in range(self.n_components):
            e, pe = self._errors(k, x, missing)
            if self.whole is None:
                marginal_by_covariance(e, self.covariances[k], missing, *groups, out[k])
            else:
                marginal_by_precision(e, pe, self.precisions[k], missing, *groups, out[k])
                out[k] += self.half_logs[k]
        out -= 0.5 * LOG_2PI * (x.shape[1] - missing.sum(axis=1))
        return out

    def _errors(self, k: int, x: Array, missing: NDArray[np.bool_]) -> tuple[Floats, Floats]:
        """Return ``x - mean``, 0 where missing, and its product with the precision: (m, d) each."""
        e = np.where(missing, 0.0, x - self.means[k])
        return e, e @ self.precisions[k]

    def gather(self, x: Array, t: Array, resp: Array) -> Array:
        kept, rest = self._split(x)
        out = np.zeros((self.n_components, self.width))
        if self.whole is not None and kept.any():
            out += self.whole.gather(x[kept], t[kept], resp[:, kept])
        if rest.any():
            rows = x[rest]
            for k in range(self.n_components):
                out[k] += self.own_sums(k, rows, resp[k, rest])
        return out

    def own_sums(self, k: int, x: Array, resp: Array) -> Floats:
        """Return the sums of component `k` over completed rows: (width,).

        They are about the means in centred arithmetic, and about the origin otherwise.
        """
        r = resp.astype(np.float64)
        own, _, spread = self.completed(k, x, r)
        if self.whole is not None:
            own += self.means[k]
        weighted = r[:, None] * own
        return np.concatenate([weighted.sum(axis=0), pack(weighted.T @ own + spread)])

    def completed(
        self, k: int, x: Array, weight: Floats, variance: bool = False
    ) -> tuple[Floats, Floats, Floats]:
        """Complete rows by component `k`, and return the spread of their missing values.

        Returns
        -------
        tuple
            The conditional expectations relative to the mean of the component, (m, d), which are
            not computed for rows of weight 0. The conditional variances, (m, d), or an empty array
            unless `variance` is True. The conditional covariances summed by `weight`, (d, d).
        """
        missing = np.isnan(x)
        e, pe = self._errors(k, x, missing)
        spread = np.zeros(self.covariances.shape[1:])
        each = np.zeros(x.shape) if variance else _NONE
        groups = patterns(missing)
        conditional(e, pe, self.precisions[k], missing, *groups, weight, spread, each)
        return e, each, spread

    def expected(self, n: Floats, t: Floats, about: Floats | None) -> float:
        """Return the sum of resp * E[log p(x|k) | observed values of x] from sums, in nats.

        The sums are about `about` (k, d), or about the origin if it is None.
        """
        d = self.means.shape[1]
        second = self.about_means(n, t, about)
        whole = n @ (self.half_logs - 0.5 * d * LOG_2PI)
        return float(whole - 0.5 * np.sum(self.precisions * second))


@dataclass(frozen=True)
class IncompleteGaussian(Incomplete[P]):
    """The family of Gaussians with covariances for rows with missing values.

    Attributes
    ----------
    covariances_of
        The function that returns the covariances (k, d, d) of given parameters.
    """

    covariances_of: Callable[[Any], Floats]

    def density(self, params: Any, numerics: Numerics) -> Density:
        covariances = self.covariances_of(params)
        return self._conditional(params.means, covariances, numerics)

    def _conditional(self, means: Floats, covariances: Floats, numerics: Numerics) -> Conditional:
        """Return the density of k Gaussians with these means (k, d) and covariances (k, d, d)."""
        inverse, half_logs = factors(covariances)
        precisions = inverse @ inverse.transpose(0, 2, 1)
        whole = None
        if not numerics.centred:
            whole = expanded_full(means, precisions, half_logs, numerics.dtype)
        return Conditional(means, covariances, precisions, half_logs, whole)

    def estimate(self, sums: Sums, params: Any, numerics: Numerics) -> P:
        # For `Tied`: with complete rows, the sum of x x^T follows from the rows alone. With missing
        # values, it depends on parameters, and so it is taken from the sums of this pass.
        d = params.means.shape[1]
        outer = unpack(sums["t"][:, d:].sum(axis=0)[None], d)[0]
        return self.complete.estimate(
            Sums({**sums.fields, "shared.outer": outer}), params, numerics
        )

    def fill(
        self, params: Any, x: Floats, resp: Array, variance: bool = False
    ) -> tuple[Floats, Floats | None]:
        covariances = self.covariances_of(params)
        density = self._conditional(params.means, covariances, Numerics("float64", centred=True))
        blend = Blend(np.zeros(x.shape))
        for k, share in enumerate(resp):
            own, within, _ = density.completed(k, x, share.astype(np.float64), variance)
            blend.add(share, params.means[k] + own, within if variance else 0.0)
        missing = np.isnan(x)
        spread = np.where(missing, blend.variance(), 0.0) if variance else None
        return np.where(missing, blend.mean, x), spread
