"""Densities that score the rows themselves, most of them centred: they subtract the mean first.

A centred density costs more than an expanded one (`densities.py`), but stays accurate for a
component that is a million times narrower than the data. `Numerics` says which one a pass uses.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from emdist.families.densities import no_base
from emdist.interfaces import Array, Floats
from emdist.kernels.tiles.assign import one_hot
from emdist.kernels.tiles.moments import (
    centred_quadratic,
    centred_squares,
    labelled_squares,
    pack,
    unpack,
)


class Unexpanded:
    """Base class of densities that score the rows themselves, T(x) = x, and leave nothing out."""

    exact: ClassVar[bool] = False

    def statistics(self, x: Array) -> Array:
        return x

    def base(self, x: Array) -> Floats:
        return no_base(x)

    def explain(self, x: Array, score: Array, labels: NDArray[np.int32]) -> Floats:
        return score.astype(np.float64)


class AboutMeans(Unexpanded):
    """Base class of densities that subtract the `means` (k, d) before they square."""

    means: Floats

    @property
    def n_components(self) -> int:
        return len(self.means)


class WithCovariances(AboutMeans, ABC):
    """Base class of centred densities that sum (x, upper(x x^T)), component by component."""

    @property
    def width(self) -> int:
        d = self.means.shape[1]
        return int(d + d * (d + 1) // 2)

    @abstractmethod
    def own_sums(self, k: int, x: Array, resp: Array) -> Floats:
        """Return sums of component `k` over rows (m, d) with responsibilities (m,): (width,)."""

    def scatter(
        self, x: Array, t: Array, labels: NDArray[np.int32], weight: Floats | None
    ) -> tuple[Floats, Floats]:
        n, out = np.zeros(self.n_components), np.zeros((self.n_components, self.width))
        for k in np.unique(labels):
            own = np.flatnonzero(labels == k)
            resp = np.ones(len(own)) if weight is None else weight[own]
            n[k], out[k] = resp.sum(), self.own_sums(k, x[own], resp)
        return n, out

    def about_means(self, n: Floats, t: Floats, about: Floats | None) -> Floats:
        """Return sums of second moments about the means, from those about `about`: (k, d, d).

        `about` is (k, d), or None for the origin.
        """
        d = self.means.shape[1]
        moved = self.means if about is None else self.means - about
        crossed = moved[:, :, None] * t[:, None, :d]
        second = unpack(t[:, d:], d) - crossed - crossed.transpose(0, 2, 1)
        second += n[:, None, None] * moved[:, :, None] * moved[:, None, :]
        return second


@dataclass(frozen=True)
class CentredDiagonal(AboutMeans):
    """The centred density of Gaussians along the axes: scores from ``(x - mean)^2`` per feature.

    Attributes
    ----------
    means, precisions
        The means and the inverse variances, (k, d).
    offset
        The numbers to add to the scores, (k,): half the log-determinants of the precisions.
    moments
        The highest power that the family needs. With 1, x is summed. With 2, the first and second
        moments about the means are summed.
    constant
        The number that is part of every log p(x|k), in nats.
    """

    means: Floats
    precisions: Floats
    offset: Floats
    moments: int = 2
    constant: float = 0.0

    @property
    def width(self) -> int:
        return self.moments * int(self.means.shape[1])

    def score(self, x: Array, t: Array, out: Array) -> None:
        centred_quadratic(x, self.means, self.precisions, out)

    def gather(self, x: Array, t: Array, resp: Array) -> Array:
        if self.moments == 1:
            first: Array = np.matmul(resp, x)
            return first
        out = np.zeros((self.n_components, self.width))
        centred_squares(x, resp, self.means, out)
        return out

    def scatter(
        self, x: Array, t: Array, labels: NDArray[np.int32], weight: Floats | None
    ) -> tuple[Floats, Floats]:
        if self.moments == 1:
            resp = one_hot(labels, weight, self.n_components)
            return resp.sum(axis=1), self.gather(x, t, resp)
        n, out = np.zeros(self.n_components), np.zeros((self.n_components, self.width))
        w = np.empty(0) if weight is None else weight
        labelled_squares(x, labels, w, self.means, n, out)
        return n, out

    def expected(self, n: Floats, t: Floats, about: Floats | None) -> float:
        if self.moments == 1:
            return math.nan  # It needs second moments, which were not summed.
        d = self.means.shape[1]
        moved = self.means if about is None else self.means - about
        second = t[:, d:] - 2 * moved * t[:, :d] + n[:, None] * moved * moved
        return float(n @ self.offset - 0.5 * np.sum(self.precisions * second))


@dataclass(frozen=True)
class CentredFull(WithCovariances):
    """The centred density of Gaussians with full covariances: it whitens ``x - mean_k``.

    Attributes
    ----------
    means
        The means, (k, d).
    factors
        The factors of the precisions, (k, d, d): ``precision = factor factor^T``.
    offset
        The numbers to add to the scores, (k,): half the log-determinants of the precisions.
    constant
        The number that is part of every log p(x|k), in nats.
    """

    means: Floats
    factors: Floats
    offset: Floats
    constant: float = 0.0

    def score(self, x: Array, t: Array, out: Array) -> None:
        for k, (mean, factor) in enumerate(zip(self.means, self.factors, strict=True)):
            z = (x - mean) @ factor
            out[k] = np.einsum("ij,ij->i", z, z)
            # Rows are finite. NaN means that infinities of both signs met in the product: the row
            # is infinitely far from the mean.
            out[k][np.isnan(out[k])] = np.inf
        out *= -0.5

    def gather(self, x: Array, t: Array, resp: Array) -> Array:
        return np.stack([self.own_sums(k, x, resp[k]) for k in range(self.n_components)])

    def own_sums(self, k: int, x: Array, resp: Array) -> Floats:
        diff = x - self.means[k]
        weighted = resp[:, None] * diff
        return np.concatenate([weighted.sum(axis=0), pack(weighted.T @ diff)])

    def expected(self, n: Floats, t: Floats, about: Floats | None) -> float:
        second = self.about_means(n, t, about)
        white = self.factors.transpose(0, 2, 1) @ second @ self.factors
        return float(n @ self.offset - 0.5 * np.einsum("kii->", white))
