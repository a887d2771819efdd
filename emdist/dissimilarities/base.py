"""Base classes of dissimilarities: scores of tiles, and centres from sums."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from emdist.components import Components, Density
from emdist.errors import ConfigError
from emdist.families.base import MeansAsLocations, replaced
from emdist.families.centred import Unexpanded
from emdist.families.densities import expanded, itself
from emdist.families.discrete import summed_base, term_size, unmoved
from emdist.families.gaussian.base import DUST
from emdist.families.isotropic import Centres
from emdist.interfaces import Array, Floats, Numerics, Spread
from emdist.kernels.tiles.assign import scatter
from emdist.sums import Sums

P = TypeVar("P")


class Dissimilarity(Components[P], Protocol[P]):
    """k centres whose scores are minus the dissimilarity D(x, centre) >= 0, for K-centroids.

    In centred arithmetic, the scores are exactly -D. In expanded arithmetic, they leave out the
    terms of D that are the same for all centres.
    """

    @property
    def squares(self) -> bool:
        """Whether squares of the features are added up, so that they must not overflow."""

    def check(self, x: Floats) -> None:
        """Raise a ConfigError unless D can be computed for rows like the few in `x` (m, d)."""

    def seed(self, rows: Floats, spread: Spread) -> Floats:
        """Return centres (k, d) at `rows` (k, d), or near them so that D is finite for all rows."""

    def unit(self, spread: Spread, x: Floats, weight: Floats) -> float:
        """Return the unit of `tol`: the variance of a feature, averaged over all features.

        Features are those of the space in which centres lie, such as directions or proportions.
        `x` (m, d) and `weight` (m,) are a sample of the rows and its sample weights.
        """

    def gain(self, sums: Sums, params: P, new: P) -> float:
        """Return by how much the sum of D falls if centres move from `params` to `new`.

        `sums` are those of the pass with `params`. No row changes its label. The result is NaN if
        it does not follow from sums.
        """


@dataclass(frozen=True)
class Direct(Unexpanded):
    """A density whose scores are minus the dissimilarities, computed without an expansion.

    Attributes
    ----------
    n_components, width
        The number of centres, and the number of columns of T(x).
    expand
        The function T, from (m, d) to (m, width).
    pairs
        The function that computes D of rows x (m, d), with their T(x), to all centres: (k, m).
    constant
        The number that is part of every score.
    """

    n_components: int
    width: int
    expand: Callable[[Array], Array]
    pairs: Callable[[Array, Array], Floats]
    constant: float = 0.0

    @property
    def offset(self) -> Floats:
        return np.zeros(self.n_components)

    def statistics(self, x: Array) -> Array:
        return self.expand(x)

    def score(self, x: Array, t: Array, out: Array) -> None:
        np.negative(self.pairs(x, t), out=out)

    def gather(self, x: Array, t: Array, resp: Array) -> Array:
        out: Array = np.matmul(resp, t)
        return out

    def scatter(
        self, x: Array, t: Array, labels: NDArray[np.int32], weight: Floats | None
    ) -> tuple[Floats, Floats]:
        return scatter(t, labels, weight, self.n_components)

    def expected(self, n: Floats, t: Floats, about: Floats | None) -> float:
        return math.nan  # D does not follow from sums of T(x).


class CentreBased(MeansAsLocations[Centres]):
    """Base class of dissimilarities whose centres follow from the means of T(x) of their rows."""

    @abstractmethod
    def density(self, params: Centres, numerics: Numerics) -> Density:
        """Return a density that scores -D; it may leave out terms that all centres share."""

    @abstractmethod
    def amplification(self, params: Centres, spread: Spread) -> float:
        """Return the factor by which rounding errors grow in the expanded score."""

    @abstractmethod
    def centre(self, mean: Floats, before: Floats) -> Floats:
        """Return the centres (c, d) of clusters in which T has the means `mean` (c, W).

        Clusters for which every centre is equally good keep the centres `before` (c, d).
        """

    def expand(self, x: Array) -> Array:
        """Return T(x) of rows `x` (m, d): (m, W).

        The mean of T(x) over a cluster determines its centre.
        """
        return itself(x)

    def bounded(self, centres: Floats) -> Floats:
        """Return the nearest centres (k, d) for which D is finite for all rows."""
        return centres

    @property
    def squares(self) -> bool:
        """False: squares of the features are not added up."""
        return False

    def check(self, x: Floats) -> None:
        """Accept all rows: D exists for every row in the domain."""

    def seed(self, rows: Floats, spread: Spread) -> Floats:
        """Return the centres of clusters that consist of one row each: (k, d)."""
        rows = np.asarray(rows, np.float64)
        return self.centre(self.expand(rows), rows)

    def unit(self, spread: Spread, x: Floats, weight: Floats) -> float:
        return float(spread.variance.mean())

    def gain(self, sums: Sums, params: Centres, new: Centres) -> float:
        # T(x) is summed about the origin in both arithmetics, centred or not.
        plain = Numerics("float64")
        before, after = (
            self.density(p, plain).expected(sums["n"], sums["t"], None) for p in (params, new)
        )
        return after - before

    @property
    def shifted(self) -> bool:
        """False: the mean of the data is not subtracted."""
        return False

    params: ClassVar[type[Centres]] = Centres

    def start(self, seeds: Floats, spread: Spread) -> Centres:
        return Centres(self.bounded(np.array(seeds, np.float64)))

    def estimate(self, sums: Sums, params: Centres, numerics: Numerics) -> Centres:
        n = sums["n"]
        # A cluster without rows keeps its centre. The policy for collapses may move it later.
        has = n > DUST * sums["weight"]
        means = params.means.copy()
        if has.any():
            means[has] = self.centre(sums["t"][has] / n[has, None], params.means[has])
        return Centres(means)

    def translate(self, params: Centres, shift: Floats) -> Centres:
        if not self.shifted:
            unmoved(shift)
        return Centres(params.means + shift)

    def reseat(
        self, params: Centres, index: NDArray[np.int64], rows: Floats, spread: Spread
    ) -> Centres:
        return Centres(replaced(params.means, index, self.seed(rows, spread)))

    def with_missing(self) -> Dissimilarity[Centres]:
        """Raise a ConfigError: D is not defined for rows with missing values.

        A dissimilarity that is defined for them overrides this method.
        """
        raise ConfigError(
            "Only the dissimilarity squared_euclidean supports missing values: this one is not "
            "defined for a part of the features. Use squared_euclidean (K-means), fill the "
            "values, or set data.non_finite to 'drop' to leave out these rows."
        )


class Expandable(CentreBased):
    """Base class of dissimilarities ``D(x, mu) = -log_base(x) - <eta(mu), T(x)> - b(mu)``.

    A subclass defines its domain, T, the bounds of centres, eta and b, the part that all centres
    share, and D itself without cancellation. K-centroids follows from these.
    """

    @abstractmethod
    def natural(self, centres: Floats) -> tuple[Floats, Floats]:
        """Return eta (k, W) and b (k,) of bounded `centres` (k, d)."""

    @abstractmethod
    def log_base(self, x: Array) -> Floats:
        """Return minus the part of D that depends on the rows `x` (m, d) alone: (m,)."""

    @abstractmethod
    def exact(self, t: Array, centres: Floats, labels: NDArray[np.int32]) -> Floats:
        """Return D of rows with T(x) = `t` (m, W) and the bounded centres of their labels: (m,)."""

    def precise(self, x: Array) -> Array:
        """Return T(x) of rows `x` (m, d), without more rounding errors than `x` has: (m, W)."""
        return self.expand(x)

    def centre(self, mean: Floats, before: Floats) -> Floats:
        return self.bounded(mean)

    def size(self, spread: Spread) -> Floats:
        """Return the size of T(x), from which the size of rounding errors follows: (W,)."""
        found: Floats = np.abs(spread.mean) + deviation(spread)
        return found

    def density(self, params: Centres, numerics: Numerics) -> Density:
        centres = self.bounded(params.means)
        k, width = centres.shape
        if numerics.centred:
            return Direct(
                k,
                width,
                self.expand,
                lambda x, t: np.stack([self._from(t, centres, c) for c in range(k)]),
            )
        eta, b = self.natural(centres)
        return expanded(
            eta,
            b,
            numerics.dtype,
            expand=self.expand,
            base_of=self.log_base,
            own=lambda x, labels: -self.exact(self.precise(x), centres, labels),
        )

    def _from(self, t: Array, centres: Floats, c: int) -> Floats:
        """Return D of rows with T(x) = `t` and the centre number `c`: (m,)."""
        return self.exact(t, centres, np.full(len(t), c, np.int32))

    def amplification(self, params: Centres, spread: Spread) -> float:
        centres = self.bounded(params.means)
        eta, b = self.natural(centres)
        terms = term_size(eta, b, self.size(spread)) * centres.shape[1]
        # D between centres is expanded as well, which takes k^2 d operations. Its errors are small
        # relative to its terms, so only a very small result has to be computed again.
        apart = _nearest(-(eta @ centres.T + b[:, None] + self.log_base(centres)))
        if apart < 1e-9 * terms:
            apart = _nearest(np.stack([self._from(centres, centres, c) for c in range(len(b))]))
        if not 0 < apart < np.inf:  # There is one centre, or all are the same.
            apart = self._scale(spread)
        return max(1.0, float(terms / apart)) if apart > 0 else 1.0

    def _scale(self, spread: Spread) -> float:
        """Return D of a row at one standard deviation from the mean in each feature."""
        low, high = self.expand(spread.mean + deviation(spread) * [[0.0], [1.0]])
        return float(self._from(high[None], self.bounded(low[None]), 0)[0])

    def shared(self, x: Floats, weight: Floats | None) -> dict[str, Floats]:
        return summed_base(self.log_base(x), weight)

    def shared_base(
        self, params: Centres, shared: Mapping[str, Floats], numerics: Numerics
    ) -> float:
        # Centred scores are complete, so they have no base.
        return 0.0 if numerics.centred else float(shared["base"])


def deviation(spread: Spread) -> Floats:
    """Return the standard deviations of the features, or their ranges if squares overflow: (d,)."""
    known = np.isfinite(spread.variance)
    with np.errstate(invalid="ignore"):
        return np.where(known, np.sqrt(spread.variance), spread.high - spread.low)


def _nearest(between: Floats) -> float:
    """Return the median over centres of the smallest D to another centre, of `between` (k, k).

    Labels are reliable if rounding errors are small compared with it. The diagonal of `between`
    is overwritten.
    """
    np.fill_diagonal(between, np.inf)
    return float(np.median(between.min(axis=0)))


def mean_variance(x: Floats, weight: Floats) -> float:
    """Return the mean over features of the variances of rows (m, d) with weights (m,)."""
    share = weight / weight.sum()
    deviation = x - share @ x
    variances: Floats = share @ (deviation * deviation)
    return float(variances.mean())


def zero_rows(x: Array) -> NDArray[np.bool_]:
    """Return which rows are all zero, and so have neither direction nor proportions: (m,)."""
    return ~np.asarray((x != 0).any(axis=1))


class Normalised(Expandable):
    """Base class of dissimilarities that first scale every row to the same size.

    Centres are in the space of the scaled rows.
    """

    def precise(self, x: Array) -> Array:
        return self.expand(x.astype(np.float64, copy=False))

    def unit(self, spread: Spread, x: Floats, weight: Floats) -> float:
        return mean_variance(self.expand(x), weight)
