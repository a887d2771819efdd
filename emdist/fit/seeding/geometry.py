"""Geometries: dissimilarities of rows and centres, and how centres are computed, for seeders."""

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
from emdist.kernels.tiles.distances import squared_distances
from emdist.kernels.tiles.missing import observed_distances
from emdist.kernels.tiles.plusplus import JUDGES, Each, in_turn, plusplus
from emdist.kernels.tiles.tiles import tile_rows, tiles
from emdist.models.mixture import Mixture
from emdist.sums import Sums


class Geometry(Protocol):
    """Dissimilarities and centres as a seeder uses them; picklable."""

    def seeds(self, rows: Floats) -> Floats:
        """Return centres (c, d) to start at, from `rows` (c, d), relative to the origin."""

    def between(self, x: Floats, centres: Floats) -> Floats:
        """Return the dissimilarity (c, m) of rows (m, d) and centres (c, d), never negative."""

    def centres(
        self, x: Floats, weight: Floats, labels: NDArray[np.int32], before: Floats
    ) -> Floats:
        """Return the centres (k, d) of the rows of each label; those of `before` if it has none."""


def spread_out(
    geometry: Geometry,
    x: Floats,
    weight: Floats,
    k: int,
    rng: np.random.Generator,
    told: Callable[[int], None] | None = None,
    each: Each = in_turn,
    judges: int = JUDGES,
) -> NDArray[np.int64]:
    """Return indices of `k` rows of (m, d) by greedy k-means++; see `plusplus`.

    The rows have no missing values.
    """

    def between(x: Floats, rows: Floats) -> Floats:
        return geometry.between(x, geometry.seeds(rows))

    plain = isinstance(geometry, Euclidean)
    chosen = squared_distances if plain else between
    return plusplus(x, weight, k, rng, chosen, told, each, judges)


@dataclass(frozen=True)
class Euclidean:
    """Squared Euclidean distances and means."""

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
    """Squared distances over the observed values of a row; centres have no missing values."""

    def between(self, x: Floats, centres: Floats) -> Floats:
        return observed_distances(x, centres)


@dataclass(frozen=True)
class Absolute:
    """L1 distances and medians, which a few far rows influence less than they do squares."""

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
        The dissimilarity by which rows are clustered.
    spread
        The spread of the data.
    """

    dissimilarity: Dissimilarity[Any]
    spread: Spread

    def seeds(self, rows: Floats) -> Floats:
        return self.dissimilarity.seed(rows, self.spread)

    def _ready(self, centres: Floats) -> tuple[Any, Density, Numerics]:
        """Return the centres as parameters and as a density, and how it computes."""
        # The numerics follow from how far rows are from their mean. Checking the distances of all
        # candidates would cost more.
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
    """The space in which centres lie and move.

    Attributes
    ----------
    unit
        The unit of squared movements: the mean variance of a feature.
    geometry
        The geometry by which seeds are drawn.
    """

    unit: float
    geometry: Geometry = field(default_factory=Euclidean)


def space_of(dissimilarity: Dissimilarity[Any], survey: Survey) -> Space:
    """Return the space of a dissimilarity; raise ConfigError if it cannot take such rows."""
    spread = survey.spread
    x, weight, _ = survey.sample.rows()
    rows = x.astype(np.float64) - spread.origin
    dissimilarity.check(rows[:4])
    unit = dissimilarity.unit(spread, rows, weight)
    # `Euclidean` costs less than `Dissimilar`, and its results are bit-identical to K-means'.
    euclidean = isinstance(dissimilarity, Isotropic)
    return Space(unit, Euclidean() if euclidean else Dissimilar(dissimilarity, spread))
