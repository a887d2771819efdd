"""Densities that are expanded about the origin, so that matrix products score and sum tiles.

An expanded density needs two matrix products for a tile, ``eta T(x)`` and ``resp T(x)``.
`centred.py` has those that subtract the mean before they square. `Numerics` says which one a pass
uses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from emdist.components import Logits
from emdist.interfaces import Array, Floats
from emdist.kernels.tiles.assign import scatter
from emdist.kernels.tiles.moments import (
    distance_to_own,
    pack,
    with_products,
)
from emdist.kernels.tiles.tiles import shifted, tile_rows, tiles
from emdist.kernels.vector.hard import classified_rows, classified_sums
from emdist.kernels.vector.lines import Lines, products
from emdist.kernels.vector.lloyd import labelled_sums, nearest_rows, nearest_sums

LOG_2PI = float(np.log(2 * np.pi))

#: Labels (m,), weights (k,), statistics (k, D), and log p(x|label) of each row (m,).
Labelled: TypeAlias = tuple[NDArray[np.int32], Floats, Floats, Floats]


def itself(x: Array) -> Array:
    """Return T(x) = x."""
    return x


def no_base(x: Array) -> Floats:
    """Return a base of 0 for each row, for scores that leave nothing out: (m,)."""
    return np.zeros(len(x))


@dataclass(frozen=True)
class Expanded:
    """A density of an exponential family, with scores ``<eta_k, T(x)>`` and offsets ``offset_k``.

    Attributes
    ----------
    eta
        The natural parameters, (k, D).
    offset
        The numbers to add to the scores, (k,): minus the log-partition functions.
    expand
        The function T, from (m, d) to (m, D).
    base_of
        The function log h(x), which all components share, from (m, d) to (m,).
    constant
        The number that is part of every log p(x|k), in nats.
    own
        The function that computes log p(x|label) of each row without cancellation, or None if
        the score is accurate enough.
    lines
        The definition of T for the compiled pass over a block, or None if T has no such form.
    """

    eta: Array
    offset: Array
    expand: Callable[[Array], Array]
    base_of: Callable[[Array], Floats] = no_base
    constant: float = 0.0
    own: Callable[[Array, NDArray[np.int32]], Floats] | None = None
    lines: Lines | None = None

    @property
    def n_components(self) -> int:
        return len(self.eta)

    @property
    def width(self) -> int:
        return int(self.eta.shape[1])

    def statistics(self, x: Array) -> Array:
        return self.expand(x)

    def score(self, x: Array, t: Array, out: Array) -> None:
        np.matmul(self.eta, t.T, out=out)

    def base(self, x: Array) -> Floats:
        return self.base_of(x)

    @property
    def exact(self) -> bool:
        return self.own is not None

    def explain(self, x: Array, score: Array, labels: NDArray[np.int32]) -> Floats:
        if self.own is not None:
            return self.own(x, labels)
        return score.astype(np.float64) + self.base_of(x)

    def gather(self, x: Array, t: Array, resp: Array) -> Array:
        out: Array = np.matmul(resp, t)
        return out

    def scatter(
        self, x: Array, t: Array, labels: NDArray[np.int32], weight: Floats | None
    ) -> tuple[Floats, Floats]:
        return scatter(t, labels, weight, self.n_components)

    def logits(self, log_weight: Array, temperature: float) -> Logits | None:
        if self.lines is None:
            return None
        eta, offset = self.eta, (self.offset + log_weight).astype(self.eta.dtype)
        if temperature != 1.0:
            narrow = self.eta.dtype.type(1 / temperature)
            eta, offset = eta * narrow, offset * narrow
        return Logits(eta, offset, self.lines.pairs, self.lines.extras, temperature)

    def has_wide_rows(self) -> bool:
        return False

    def hard_sums(
        self, x: Array, weight: Floats | None, origin: Floats, log_weight: Array
    ) -> tuple[Floats, Floats, float] | None:
        if self.own is not None:
            return self._own_sums(x, weight, origin, log_weight)
        if self.lines is None:
            return None
        offset = (self.offset + log_weight).astype(self.eta.dtype)
        return classified_sums(x, origin, self.eta, offset, self.lines, weight)

    def hard_rows(
        self, x: Array, origin: Floats, log_weight: Array
    ) -> tuple[NDArray[np.int32], Floats] | None:
        if self.own is not None:
            return self._own_rows(x, origin, log_weight)
        if self.lines is None:
            return None
        offset = (self.offset + log_weight).astype(self.eta.dtype)
        labels, value = classified_rows(x, origin, self.eta, offset, self.lines)
        for a, b in tiles(len(x), tile_rows(2 * x.shape[1], 8)):
            value[a:b] += self.base_of(shifted(x[a:b], origin, self.eta.dtype.name))
        return labels, value

    def _labelled(
        self, x: Array, weight: Floats | None, origin: Floats, log_weight: Array
    ) -> Iterator[tuple[slice, Labelled]]:
        """Yield what `own` and its labels make of a block, tile by tile."""
        assert self.own is not None
        offset = (self.offset + log_weight).astype(self.eta.dtype)
        rows = tile_rows(x.shape[1] + self.width, self.eta.itemsize)
        for a, b in tiles(len(x), rows):
            tile = shifted(x[a:b], origin, self.eta.dtype.name)
            w = None if weight is None else weight[a:b]
            labels, n, t = labelled_sums(self.expand(tile), self.eta, offset, w)
            yield slice(a, b), (labels, n, t, self.own(tile, labels))

    def _own_sums(
        self, x: Array, weight: Floats | None, origin: Floats, log_weight: Array
    ) -> tuple[Floats, Floats, float]:
        n, t, total = np.zeros(len(self.eta)), np.zeros(self.eta.shape), 0.0
        for at, (_, more, sums, value) in self._labelled(x, weight, origin, log_weight):
            n += more
            t += sums
            total += float(value.sum() if weight is None else value @ weight[at])
        held = n > 0
        return n, t, total + float(n[held] @ log_weight[held])

    def _own_rows(
        self, x: Array, origin: Floats, log_weight: Array
    ) -> tuple[NDArray[np.int32], Floats]:
        labels, value = np.empty(len(x), np.int32), np.empty(len(x))
        for at, (own, _, _, found) in self._labelled(x, None, origin, log_weight):
            labels[at], value[at] = own, found + log_weight[own]
        return labels, value

    def expected(self, n: Floats, t: Floats, about: Floats | None) -> float:
        # Expanded sums are about the origin in any case, so `about` does not matter.
        return float(np.sum(self.eta * t) + n @ self.offset)


def expanded(eta: Floats, offset: Floats, dtype: str, **options: Any) -> Expanded:
    """Return an `Expanded` with `eta` and `offset` rounded to the precision of tiles."""
    return Expanded(np.ascontiguousarray(eta, dtype), offset.astype(dtype), **options)


@dataclass(frozen=True, kw_only=True)
class NearestMeans(Expanded):
    """Isotropic Gaussians of one variance, whose scores follow from distances to the means.

    Attributes
    ----------
    means
        The means of the components, (k, d).
    scale
        The factor of squared distances in the log-likelihood: half of the precision.
    """

    means: Floats
    scale: float

    def has_wide_rows(self) -> bool:
        return True

    def hard_sums(
        self, x: Array, weight: Floats | None, origin: Floats, log_weight: Array
    ) -> tuple[Floats, Floats, float]:
        offset = self.offset + log_weight
        n, t, distance = nearest_sums(x, origin, self.eta, offset, self.means, weight)
        held = n > 0
        return n, t, float(n[held] @ log_weight[held]) - self.scale * distance

    def hard_rows(
        self, x: Array, origin: Floats, log_weight: Array
    ) -> tuple[NDArray[np.int32], Floats]:
        offset = self.offset + log_weight
        labels, distance = nearest_rows(x, origin, self.eta, offset, self.means)
        distance *= -self.scale
        distance += log_weight[labels]
        return labels, distance


def expanded_full(means: Floats, precisions: Floats, half_logs: Floats, dtype: str) -> Expanded:
    """Return the expanded density of Gaussians with full covariances: T(x) = (x, upper(x x^T)).

    `precisions` (k, d, d) are the inverse covariances, and `half_logs` (k,) are half of the
    log-determinants of `precisions`.
    """
    linear = np.einsum("kij,kj->ki", precisions, means)
    # x^T P x contains every off-diagonal product twice, but the upper triangle of x x^T only once.
    doubled = -0.5 * (2 * precisions - precisions * np.eye(means.shape[1]))
    eta = np.concatenate([linear, pack(doubled)], axis=1)
    offset = half_logs - 0.5 * np.einsum("ki,ki->k", linear, means)
    constant = -0.5 * means.shape[1] * LOG_2PI
    lines = products(means.shape[1])
    return expanded(eta, offset, dtype, expand=with_products, constant=constant, lines=lines)


def exact_distance(means: Floats, scale: float) -> Callable[[Array, NDArray[np.int32]], Floats]:
    """Return a function that computes ``-scale |x - mean_label|^2`` for each row.

    It subtracts before it squares, and so is free of cancellation.
    """

    def own(x: Array, labels: NDArray[np.int32]) -> Floats:
        out = np.empty(len(x))
        distance_to_own(x, means, labels, out)
        out *= -scale
        return out

    return own
