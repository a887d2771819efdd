"""Gaussians with independent features, for rows with missing values.

Missing values drop out of the product over features:
``log p(x_observed | k) = sum_observed_j log N(x_j | mean_kj, variance_kj)``. With o_j = 1 if x_j is
observed, and 0 if not, this is an exponential family with T = (x o, o, x^2 o).
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from emdist.components import Density
from emdist.families.centred import AboutMeans
from emdist.families.densities import LOG_2PI, expanded
from emdist.families.gaussian.base import DUST, positive
from emdist.families.gaussian.normal_wishart import Prior, posterior
from emdist.families.gaussian.shapes import Axes
from emdist.families.incomplete import Blend, Incomplete, observed_sums
from emdist.interfaces import Array, Floats, Numerics
from emdist.kernels.tiles.assign import one_hot
from emdist.kernels.tiles.missing import (
    filled,
    observed_distance_to_own,
    observed_quadratic,
    observed_squares,
    with_observed,
    with_observed_norm,
    with_observed_squares,
)
from emdist.sums import Sums

P = TypeVar("P")


@dataclass(frozen=True)
class CentredObserved(AboutMeans):
    """The centred density of observed features: it subtracts means before it squares.

    Attributes
    ----------
    means, precisions
        The means and the inverse variances, (k, d).
    half_logs
        The numbers that each observed feature adds to the score, (k, d).
    moments
        With 1, (x, o) is summed. With 2, (x, o, x^2) is summed, about the means.
    constant
        The number that is part of every log p(x|k), in nats.
    """

    means: Floats
    precisions: Floats
    half_logs: Floats
    moments: int = 2
    constant: float = 0.0

    @property
    def width(self) -> int:
        return (1 + self.moments) * int(self.means.shape[1])

    @property
    def offset(self) -> Floats:
        return np.zeros(len(self.means))

    def score(self, x: Array, t: Array, out: Array) -> None:
        observed_quadratic(x, self.means, self.precisions, self.half_logs, out)

    def gather(self, x: Array, t: Array, resp: Array) -> Array:
        if self.moments == 1:
            first: Array = np.matmul(resp, with_observed(x))
            return first
        out = np.zeros((self.n_components, self.width))
        observed_squares(x, resp, self.means, out)
        return out

    def scatter(
        self, x: Array, t: Array, labels: NDArray[np.int32], weight: Floats | None
    ) -> tuple[Floats, Floats]:
        resp = one_hot(labels, weight, self.n_components)
        return resp.sum(axis=1), self.gather(x, t, resp)

    def expected(self, n: Floats, t: Floats, about: Floats | None) -> float:
        """Return the sum of resp * log p(x_observed|k) from sums about `about` (k, d), in nats.

        They are about the origin if `about` is None.
        """
        if self.moments == 1:
            return math.nan  # It needs second moments, which were not summed.
        first, seen, second = np.split(t, 3, axis=1)
        moved = self.means if about is None else self.means - about
        squares = second - 2 * moved * first + seen * moved * moved
        return float(np.sum(seen * self.half_logs - 0.5 * self.precisions * squares))


class Independent(Incomplete[P]):
    """Base class of Gaussians whose features are independent given the component."""

    @abstractmethod
    def variances(self, params: Any, d: int) -> Floats:
        """Return the variances of all features, for `d` features: (k, d)."""

    @abstractmethod
    def statistics(self) -> Callable[[Array], Array]:
        """Return the function T of the expanded density: (x, o), and squares if needed."""

    def _squares(self, precisions: Floats) -> Floats:
        """Return the natural parameters of the squares in T(x)."""
        return -0.5 * precisions

    def density(self, params: Any, numerics: Numerics) -> Density:
        means = params.means
        precisions = 1.0 / positive(self.variances(params, means.shape[1]), "variance")
        half_logs = 0.5 * (np.log(precisions) - LOG_2PI)
        if numerics.centred:
            return CentredObserved(means, precisions, half_logs)
        each = half_logs - 0.5 * means * means * precisions
        eta = np.concatenate([means * precisions, each, self._squares(precisions)], axis=1)
        expand = self.statistics()
        return expanded(eta, np.zeros(len(means)), numerics.dtype, expand=expand)

    def fill(
        self, params: Any, x: Floats, resp: Array, variance: bool = False
    ) -> tuple[Floats, Floats | None]:
        blend = Blend(np.zeros(x.shape))
        within = self.variances(params, x.shape[1])
        for share, mean, own in zip(resp, params.means, within, strict=True):
            blend.add(share, mean, own)
        missing = np.isnan(x)
        spread = np.where(missing, blend.variance(), 0.0) if variance else None
        return np.where(missing, blend.mean, x), spread


class IncompleteDiagonal(Independent[P]):
    """The family of diagonal Gaussians for rows with missing values."""

    def statistics(self) -> Callable[[Array], Array]:
        return with_observed_squares

    def variances(self, params: Any, d: int) -> Floats:
        found: Floats = params.variances
        return found

    def estimate(self, sums: Sums, params: Any, numerics: Numerics) -> Any:
        each = observed_sums(sums, params.means.shape[1])
        whole: Any = self.complete
        new: Any = whole.estimate(each, params, numerics)
        if whole.prior is not None:
            return new
        # A feature without an observed value in any row of a component keeps its parameters.
        seen = each["n"] > DUST * sums["weight"]
        return replace(
            new,
            means=np.where(seen, new.means, params.means),
            variances=np.where(seen, new.variances, params.variances),
        )


@dataclass(frozen=True)
class IncompleteSpherical(Independent[P]):
    """The family of spherical Gaussians for rows with missing values.

    Attributes
    ----------
    reg_covar
        The number that is added to every variance, in squared units of the data.
    """

    reg_covar: float = 0.0

    def statistics(self) -> Callable[[Array], Array]:
        return with_observed_norm

    def variances(self, params: Any, d: int) -> Floats:
        return np.repeat(params.variances[:, None], d, axis=1)

    def _squares(self, precisions: Floats) -> Floats:
        return -0.5 * precisions[:, :1]

    def estimate(self, sums: Sums, params: Any, numerics: Numerics) -> Any:
        d = params.means.shape[1]
        t, dust = sums["t"], DUST * sums["weight"]
        n = t[:, d : 2 * d]
        shift = t[:, :d] / np.maximum(n, dust)
        about = params.means if numerics.centred else np.zeros_like(params.means)
        squares = t[:, 2 * d :].sum(axis=1) - np.einsum("ij,ij,ij->i", n, shift, shift)
        cells = n.sum(axis=1)
        variances = np.maximum(squares / np.maximum(cells, dust), 0.0) + self.reg_covar
        whole: Any = self.complete
        if whole.prior is not None:
            return replace(
                params, **self._most_probable(whole.numbers, n, about + shift, variances)
            )
        return replace(
            params,
            means=np.where(n > dust, about + shift, params.means),
            variances=np.where(cells > dust, variances, params.variances),
        )

    def _most_probable(
        self, prior: Prior, n: Floats, means: Floats, variances: Floats
    ) -> dict[str, Floats]:
        """Return means and variances at the mode of the posterior, by name.

        Unlike `Conjugate.most_probable`, each feature has its own weight of rows, `n` (k, d).
        """
        cells, d = n.sum(axis=1), n.shape[1]
        centres, between = posterior(prior, Axes(), n, means, np.zeros_like(means))
        scatter = prior.scale + cells * variances + between.sum(axis=1)
        return {"means": centres, "variances": scatter / (prior.degrees + 2.0 + cells + d)}


@dataclass(frozen=True)
class IncompleteIsotropic(Independent[P]):
    """The family of isotropic Gaussians with a given variance, for rows with missing values.

    Attributes
    ----------
    variance
        The variance in squared units of the data.
    normalised
        Whether the density integrates to 1. K-means leaves the constant out, so that scores are
        squared distances: the constant depends on the number of observed features.
    """

    variance: float = 0.5
    normalised: bool = True

    def variances(self, params: Any, d: int) -> Floats:
        return np.full((len(params.means), d), self.variance)

    def statistics(self) -> Callable[[Array], Array]:
        return with_observed

    @property
    def _scale(self) -> float:
        return 0.5 / self.variance

    @property
    def _each(self) -> float:
        """Number that each observed feature adds to log p(x|k), in nats."""
        return -0.5 * (LOG_2PI + float(np.log(self.variance))) if self.normalised else 0.0

    def density(self, params: Any, numerics: Numerics) -> Density:
        means, scale, each = params.means, self._scale, self._each
        if numerics.centred:
            precisions = np.full(means.shape, 2 * scale)
            return CentredObserved(means, precisions, np.full(means.shape, each), moments=1)
        return expanded(
            np.concatenate([2 * scale * means, -scale * means * means], axis=1),
            np.zeros(len(means)),
            numerics.dtype,
            expand=self.statistics(),
            base_of=partial(_norm, scale=scale, each=each),
            own=partial(_to_own, means=means, scale=scale, each=each),
        )

    def estimate(self, sums: Sums, params: Any, numerics: Numerics) -> Any:
        return self.complete.estimate(observed_sums(sums, params.means.shape[1]), params, numerics)

    def shared(self, x: Floats, weight: Floats | None) -> dict[str, Floats]:
        """Return the weighted sum of squares of observed values, and their weighted number."""
        present = (~np.isnan(x)).sum(axis=1).astype(np.float64)
        norm = np.einsum("ij,ij->i", filled(x), filled(x))
        w = np.ones(len(x)) if weight is None else weight
        return {"norm": np.array(w @ norm), "cells": np.array(w @ present)}

    def shared_base(self, params: P, shared: Mapping[str, Floats], numerics: Numerics) -> float:
        # Centred scores are complete, so they have no base.
        if numerics.centred:
            return 0.0
        return self._each * float(shared["cells"]) - self._scale * float(shared["norm"])


def _norm(x: Array, scale: float, each: float) -> Floats:
    """Return the sum of ``each - scale x_j^2`` over the observed features of each row: (m,)."""
    present = (~np.isnan(x)).sum(axis=1)
    known = filled(x)
    out: Floats = each * present - scale * np.einsum("ij,ij->i", known, known, dtype=np.float64)
    return out


def _to_own(
    x: Array, labels: NDArray[np.int32], means: Floats, scale: float, each: float
) -> Floats:
    """Return the sum of ``each - scale (x_j - mean_j)^2`` over the observed features: (m,).

    The mean is that of the row's label.
    """
    out = np.empty(len(x))
    observed_distance_to_own(x, means, labels, out)
    out *= -scale
    return out + each * (~np.isnan(x)).sum(axis=1) if each else out
