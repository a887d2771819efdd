"""Seeders: methods to choose starting values. Each file has one: its ``name`` and ``seeder``."""

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

#: The stages of seeding, as progress messages call them.
CHOOSING, CLUSTERING, DRAWING = "seeding", "clustering the sample", "drawing candidates"


def _unheard(what: str, done: int, total: int) -> None:
    """Ignore the progress: nobody watches."""


@dataclass(frozen=True)
class Seeding:
    """What a seeder may use.

    Attributes
    ----------
    source, engine
        The data and the engine, for passes over all rows.
    survey
        The survey of the source, which has its spread and its sample.
    seed, restart
        The random seed and the number of the restart, which identify the random stream.
    geometry
        The dissimilarities by which seeds are drawn, and how centres are computed.
    told
        Called with the name of the stage, how much is done, and how much there is in total. For
        display only.
    """

    source: Source
    engine: Engine
    survey: Survey
    seed: int
    restart: int
    geometry: Geometry = field(default_factory=Euclidean)
    told: Callable[[str, int, int], None] = field(default=_unheard)

    def rng(self, stream: int) -> np.random.Generator:
        """Return a random generator for one purpose of one restart."""
        return np.random.default_rng([self.seed, self.restart, stream])

    def sample(self) -> tuple[Floats, Floats]:
        """Return sampled rows relative to the origin (m, d) and weights (m,). See `placed`."""
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
        """Return the indices of `k` of the rows (m, d), chosen by greedy k-means++."""
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
        """Return the centres (k, d) with which K-means on the rows (m, d) ends."""
        return lloyd(
            geometry or self.geometry,
            x,
            weight,
            centres,
            told=lambda done, most: self.told(CLUSTERING, done, most),
        )

    def placed(self, x: Array) -> Floats:
        """Return stored rows (m, d) relative to the origin, with missing values at the mean."""
        spread = self.survey.spread
        return filled(x.astype(np.float64) - spread.origin, spread.mean)


@dataclass(frozen=True)
class Seeder:
    """A method to choose k starting locations.

    Attributes
    ----------
    choose
        Maps ``(seeding, k)`` to locations (k, d), relative to the origin.
    clusters
        Whether the locations are centres of clusters. A mixture then starts from the M-step of
        these clusters, and otherwise from components as wide as the data.
    """

    choose: Callable[[Seeding, int], Floats]
    clusters: bool = False
