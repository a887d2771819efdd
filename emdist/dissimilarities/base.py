"""What dissimilarities share: centres as parameters, scores ready for tiles, sums to centres."""

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
from emdist.families.densities import Unexpanded, expanded, itself
from emdist.families.discrete import summed_base, term_size, unmoved
from emdist.families.gaussian.base import DUST
from emdist.families.isotropic import Centres
from emdist.interfaces import Array, Floats, Numerics, Spread
from emdist.kernels.tiles.assign import scatter
from emdist.sums import Sums

P = TypeVar("P")


class Dissimilarity(Components[P], Protocol[P]):
    """k centres, scored by minus the dissimilarity D(x, centre) >= 0: K-centroids.

    In centred numerics the scores are -D itself, nothing left out.
    """

    @property
    def squares(self) -> bool:
        """Whether squares of the features are added up, so that they must not overflow."""

    def check(self, x: Floats) -> None:
        """ConfigError unless it can be computed for rows like the few in `x` (m, d)."""

    def seed(self, rows: Floats, spread: Spread) -> Floats:
        """`rows` (k, d) as centres that are at a finite D from all rows."""

    def unit(self, spread: Spread, x: Floats, weight: Floats) -> float:
        """Mean variance of a feature in the space of the centres: the unit of `tol`.

        `x` (m, d) and `weight` (m,) are a sample of the rows.
        """

    def gain(self, sums: Sums, params: P, new: P) -> float:
        """What the sum of D falls by when `params` become `new`; NaN if sums do not tell.

        `sums` are those of the pass with `params`; no row changes its label.
        """


@dataclass(frozen=True)
class Direct(Unexpanded):
    """Scores that are minus the dissimilarities, each computed by itself.

    Attributes
    ----------
    n_components, width
        Centres, and columns of T(x).
    expand
        T: (m, d) -> (m, width).
    pairs
        D of rows x (m, d), with T(x), to all centres: (k, m).
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
    """Base of dissimilarities: k centres, and their M-step from means of T(x)."""

    @abstractmethod
    def density(self, params: Centres, numerics: Numerics) -> Density:
        """Scores of minus D, up to what all centres share."""

    @abstractmethod
    def amplification(self, params: Centres, spread: Spread) -> float:
        """How many times rounding error grows in the expanded score."""

    @abstractmethod
    def centre(self, mean: Floats, before: Floats) -> Floats:
        """Centres (c, d) of clusters with `mean` (c, W) of T, `before` where any is as good."""

    def expand(self, x: Array) -> Array:
        """T: (m, d) -> (m, W), of which clusters keep the mean."""
        return itself(x)

    def bounded(self, centres: Floats) -> Floats:
        """The nearest centres (k, d) that are at a finite D from all rows."""
        return centres

    @property
    def squares(self) -> bool:
        """No."""
        return False

    def check(self, x: Floats) -> None:
        """Nothing can be wrong."""

    def seed(self, rows: Floats, spread: Spread) -> Floats:
        """The centre of each row alone."""
        rows = np.asarray(rows, np.float64)
        return self.centre(self.expand(rows), rows)

    def unit(self, spread: Spread, x: Floats, weight: Floats) -> float:
        return float(spread.variance.mean())

    def gain(self, sums: Sums, params: Centres, new: Centres) -> float:
        # T(x) is summed about the origin in either numerics.
        plain = Numerics("float64")
        before, after = (
            self.density(p, plain).expected(sums["n"], sums["t"], None) for p in (params, new)
        )
        return after - before

    @property
    def shifted(self) -> bool:
        """Rows are taken as they are."""
        return False

    params: ClassVar[type[Centres]] = Centres

    def start(self, seeds: Floats, spread: Spread) -> Centres:
        return Centres(self.bounded(np.array(seeds, np.float64)))

    def estimate(self, sums: Sums, params: Centres, numerics: Numerics) -> Centres:
        n = sums["n"]
        # A cluster without rows stays where it is; the collapse policy may move it later.
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
        """Refused, unless a dissimilarity says what it is over the features that a row has."""
        raise ConfigError(
            "Of the dissimilarities only squared_euclidean takes missing values: this one is not "
            "stated over the features that a row has. Take it (K-means), fill the values, or set "
            "data.non_finite to 'drop' to leave their rows out."
        )


class Expandable(CentreBased):
    """Base of dissimilarities ``D(x, mu) = -log_base(x) - <eta(mu), T(x)> - b(mu)``.

    One states its domain, T, the centres that it allows, eta and b, the part that all centres
    share, and D itself, free of cancellation; K-centroids follows.
    """

    @abstractmethod
    def natural(self, centres: Floats) -> tuple[Floats, Floats]:
        """eta (k, W) and b (k,) of bounded `centres` (k, d)."""

    @abstractmethod
    def log_base(self, x: Array) -> Floats:
        """Minus what D has of the row alone: (m, d) -> (m,)."""

    @abstractmethod
    def exact(self, t: Array, centres: Floats, labels: NDArray[np.int32]) -> Floats:
        """D of rows T(x) (m, W) to the bounded centres of their labels: (m,)."""

    def centre(self, mean: Floats, before: Floats) -> Floats:
        return self.bounded(mean)

    def size(self, spread: Spread) -> Floats:
        """(W,) size of T(x), for the size of rounding errors."""
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
            own=lambda x, labels: -self.exact(self.expand(_wide(x)), centres, labels),
        )

    def _from(self, t: Array, centres: Floats, c: int) -> Floats:
        return self.exact(t, centres, np.full(len(t), c, np.int32))

    def amplification(self, params: Centres, spread: Spread) -> float:
        centres = self.bounded(params.means)
        eta, b = self.natural(centres)
        terms = term_size(eta, b, self.size(spread)) * centres.shape[1]
        # Expanded as well, at k^2 d flops; what it gets wrong is small beside its terms.
        apart = _nearest(-(eta @ centres.T + b[:, None] + self.log_base(centres)))
        if apart < 1e-9 * terms:
            apart = _nearest(np.stack([self._from(centres, centres, c) for c in range(len(b))]))
        if not 0 < apart < np.inf:  # One centre, or all the same.
            apart = self._scale(spread)
        return max(1.0, float(terms / apart)) if apart > 0 else 1.0

    def _scale(self, spread: Spread) -> float:
        """D of a row one standard deviation from the mean."""
        low, high = self.expand(spread.mean + deviation(spread) * [[0.0], [1.0]])
        return float(self._from(high[None], self.bounded(low[None]), 0)[0])

    def shared(self, x: Floats, weight: Floats | None) -> dict[str, Floats]:
        return summed_base(self.log_base(x), weight)

    def shared_base(
        self, params: Centres, shared: Mapping[str, Floats], numerics: Numerics
    ) -> float:
        # Centred scores leave nothing out.
        return 0.0 if numerics.centred else float(shared["base"])


def deviation(spread: Spread) -> Floats:
    """(d,) standard deviations of the features, or what they reach over where squares overflow."""
    known = np.isfinite(spread.variance)
    with np.errstate(invalid="ignore"):
        return np.where(known, np.sqrt(spread.variance), spread.high - spread.low)


def _nearest(between: Floats) -> float:
    """Median of each centre's smallest D (k, k) to another: what labels are told apart by."""
    np.fill_diagonal(between, np.inf)
    return float(np.median(between.min(axis=0)))


def mean_variance(x: Floats, weight: Floats) -> float:
    """Of the features of rows (m, d) with weights (m,)."""
    share = weight / weight.sum()
    deviation = x - share @ x
    variances: Floats = share @ (deviation * deviation)
    return float(variances.mean())


def zero_rows(x: Array) -> NDArray[np.bool_]:
    """(m,) rows without a direction or proportions."""
    return ~np.asarray((x != 0).any(axis=1))


def _wide(x: Array) -> Floats:
    return x.astype(np.float64, copy=False)


class Normalised(Expandable):
    """For dissimilarities of rows brought to one size first, in whose space the centres lie."""

    def unit(self, spread: Spread, x: Floats, weight: Floats) -> float:
        return mean_variance(self.expand(x), weight)
