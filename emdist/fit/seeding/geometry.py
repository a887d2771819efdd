"""How far rows lie from centres, and where rows have their centre: what seeds are drawn by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from emdist.components import Density
from emdist.dissimilarities.base import Dissimilarity
from emdist.families.isotropic import Isotropic
from emdist.fit.survey import Survey
from emdist.interfaces import Floats, Numerics, Spread
from emdist.kernels.tiles.absolute import distances_of_rows
from emdist.kernels.tiles.assign import scatter
from emdist.kernels.tiles.missing import observed_distances
from emdist.kernels.tiles.plusplus import plusplus, squared_distances
from emdist.kernels.tiles.tiles import tile_rows, tiles
from emdist.models.mixture import Mixture
from emdist.sums import Sums


class Geometry(Protocol):
    """Of the rows, as a seeder sees it; picklable."""

    def seeds(self, rows: Floats) -> Floats:
        """`rows` (c, d), relative to the origin, as centres to start at: (c, d)."""

    def between(self, x: Floats, centres: Floats) -> Floats:
        """Dissimilarity of rows (m, d) and centres (c, d), never negative: (c, m)."""

    def centres(
        self, x: Floats, weight: Floats, labels: NDArray[np.int32], before: Floats
    ) -> Floats:
        """Centres of the rows by label: (k, d), as `before` where there are none."""


def spread_out(
    geometry: Geometry,
    x: Floats,
    weight: Floats,
    k: int,
    rng: np.random.Generator,
    told: Callable[[int], None] | None = None,
) -> NDArray[np.int64]:
    """Indices of `k` of the rows (m, d) by greedy k-means++; `told` how many it has."""

    def between(x: Floats, rows: Floats) -> Floats:
        return geometry.between(x, geometry.seeds(rows))

    return plusplus(x, weight, k, rng, between, told)


@dataclass(frozen=True)
class Euclidean:
    """Squared distances and means."""

    def seeds(self, rows: Floats) -> Floats:
        return rows

    def between(self, x: Floats, centres: Floats) -> Floats:
        return squared_distances(x, centres)

    def centres(
        self, x: Floats, weight: Floats, labels: NDArray[np.int32], before: Floats
    ) -> Floats:
        n, sums = scatter(x, labels, weight, len(before))
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(n[:, None] > 0, sums / n[:, None], before)


@dataclass(frozen=True)
class Observed(Euclidean):
    """Squared distances over what rows have; no centre misses anything."""

    def between(self, x: Floats, centres: Floats) -> Floats:
        return observed_distances(x, centres)


@dataclass(frozen=True)
class Absolute:
    """L1 distances and medians: which a few far rows sway less than squares."""

    def seeds(self, rows: Floats) -> Floats:
        return rows

    def between(self, x: Floats, centres: Floats) -> Floats:
        return distances_of_rows(x, centres)

    def centres(
        self, x: Floats, weight: Floats, labels: NDArray[np.int32], before: Floats
    ) -> Floats:
        out = before.copy()
        for c in np.unique(labels[weight > 0]):
            own = labels == c
            out[c] = np.quantile(x[own], 0.5, axis=0, weights=weight[own], method="inverted_cdf")
        return out


@dataclass(frozen=True)
class Dissimilar:
    """Any dissimilarity and its centres: Bregman k-means++ of Nock, Luosto and Kivinen 2008.

    Attributes
    ----------
    dissimilarity
        That rows are clustered by.
    spread
        Of the data.
    """

    dissimilarity: Dissimilarity[Any]
    spread: Spread

    def seeds(self, rows: Floats) -> Floats:
        return self.dissimilarity.seed(rows, self.spread)

    def _ready(self, centres: Floats) -> tuple[Any, Density, Numerics]:
        """Centres as parameters and as a density, and how it computes."""
        # By how far apart rows are: to look at all candidates' distances would cost more.
        mixture = Mixture(self.dissimilarity)
        middle = mixture.start(self.seeds(self.spread.mean[None]), self.spread)
        numerics = mixture.numerics(middle, self.spread, np.dtype(np.float64))
        params = self.dissimilarity.start(centres, self.spread)
        return params, self.dissimilarity.density(params, numerics), numerics

    def between(self, x: Floats, centres: Floats) -> Floats:
        _, density, _ = self._ready(centres)
        out = np.empty((len(centres), len(x)))
        for a, b in tiles(len(x), tile_rows(x.shape[1] + density.width + len(centres), 8)):
            tile = np.ascontiguousarray(x[a:b])
            score = np.empty((len(centres), b - a))
            density.score(tile, density.statistics(tile), score)
            out[:, a:b] = -(score + density.offset[:, None] + density.base(tile))
        return np.maximum(out, 0.0, out=out)

    def centres(
        self, x: Floats, weight: Floats, labels: NDArray[np.int32], before: Floats
    ) -> Floats:
        params, density, numerics = self._ready(before)
        n, t = density.scatter(x, density.statistics(x), labels, weight)
        sums = Sums({"n": n, "t": t, "weight": weight.sum()})
        return self.dissimilarity.locations(self.dissimilarity.estimate(sums, params, numerics))


@dataclass(frozen=True)
class Space:
    """Where centres lie and move.

    Attributes
    ----------
    unit
        Of squared movements: mean variance of a feature.
    geometry
        That seeds are drawn by.
    """

    unit: float
    geometry: Geometry = field(default_factory=Euclidean)


def space_of(dissimilarity: Dissimilarity[Any], survey: Survey) -> Space:
    """That of a dissimilarity; ConfigError if it cannot be computed for rows like the sample's."""
    spread = survey.spread
    x, weight, _ = survey.sample.rows()
    rows = x.astype(np.float64) - spread.origin
    dissimilarity.check(rows[:4])
    unit = dissimilarity.unit(spread, rows, weight)
    # Squared Euclidean is cheaper without all that others need, and the bits are K-means's.
    euclidean = isinstance(dissimilarity, Isotropic)
    return Space(unit, Euclidean() if euclidean else Dissimilar(dissimilarity, spread))
