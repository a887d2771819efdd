"""Seeders: one file per method; a module with a constant ``seeder`` is found by its ``name``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from emdist.fit.seeding.geometry import Euclidean, Geometry, spread_out
from emdist.fit.seeding.reclustering import lloyd
from emdist.fit.survey import Survey
from emdist.interfaces import Array, Engine, Floats, Source
from emdist.kernels.tiles.missing import filled

#: What seeding consists of, as its progress calls it.
CHOOSING, CLUSTERING, DRAWING = "seeding", "clustering the sample", "drawing candidates"


def _unheard(what: str, done: int, total: int) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class Seeding:
    """What a seeder may use.

    Attributes
    ----------
    source, engine
        For passes over all rows.
    survey
        Of the source: its spread and its sample.
    seed, restart
        Name the random stream.
    geometry
        Dissimilarities that seeds are drawn by, and centres.
    told
        Called with what is done, how much of it, and of how much in all: for display only.
    """

    source: Source
    engine: Engine
    survey: Survey
    seed: int
    restart: int
    geometry: Geometry = field(default_factory=Euclidean)
    told: Callable[[str, int, int], None] = field(default=_unheard)

    def rng(self, stream: int) -> np.random.Generator:
        """Draws for one purpose of one restart."""
        return np.random.default_rng([self.seed, self.restart, stream])

    def sample(self) -> tuple[Floats, Floats]:
        """Sampled rows relative to the origin (m, d), and their weights (m,); see `placed`."""
        x, weight, _ = self.survey.sample.rows()
        return self.placed(x), weight

    def spread_out(
        self,
        x: Floats,
        weight: Floats,
        k: int,
        rng: np.random.Generator,
        geometry: Geometry | None = None,
    ) -> NDArray[np.int64]:
        """Indices of `k` of the rows (m, d) by greedy k-means++."""
        return spread_out(
            geometry or self.geometry,
            x,
            weight,
            k,
            rng,
            lambda done: self.told(CHOOSING, done, k),
        )

    def clustered(
        self, x: Floats, weight: Floats, centres: Floats, geometry: Geometry | None = None
    ) -> Floats:
        """Centres of the clusters of the rows (m, d) that K-means ends in: (k, d)."""
        return lloyd(
            geometry or self.geometry,
            x,
            weight,
            centres,
            told=lambda done, most: self.told(CLUSTERING, done, most),
        )

    def placed(self, x: Array) -> Floats:
        """Rows as stored (m, d), relative to the origin; what is missing is its feature's mean."""
        spread = self.survey.spread
        return filled(x.astype(np.float64) - spread.origin, spread.mean)


@dataclass(frozen=True)
class Seeder:
    """A way to choose k starting locations.

    Attributes
    ----------
    choose
        ``(seeding, k)`` to (k, d), relative to the origin.
    clusters
        Whether the locations are centres of clusters: a mixture then starts from the M-step of
        those clusters, else from components as wide as the data.
    """

    choose: Callable[[Seeding, int], Floats]
    clusters: bool = False
