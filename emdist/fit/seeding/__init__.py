"""Seeders: one file per method; a module with a constant ``seeder`` is found by its ``name``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from emdist.fit.seeding.geometry import Euclidean, Geometry
from emdist.fit.survey import Survey
from emdist.interfaces import Array, Engine, Floats, Source
from emdist.kernels.missing import filled


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
    """

    source: Source
    engine: Engine
    survey: Survey
    seed: int
    restart: int
    geometry: Geometry = field(default_factory=Euclidean)

    def rng(self, stream: int) -> np.random.Generator:
        """Draws for one purpose of one restart."""
        return np.random.default_rng([self.seed, self.restart, stream])

    def sample(self) -> tuple[Floats, Floats]:
        """Sampled rows relative to the origin (m, d), and their weights (m,); see `placed`."""
        x, weight, _ = self.survey.sample.rows()
        return self.placed(x), weight

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
