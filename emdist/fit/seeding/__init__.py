"""Seeders: methods to choose starting values. Each file has one: its ``name`` and ``seeder``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from emdist.engines.threads import LocalEngine
from emdist.fit.seeding.geometry import Euclidean, Geometry, spread_out
from emdist.fit.seeding.reclustering import lloyd
from emdist.fit.survey import Survey
from emdist.interfaces import Array, Engine, Floats, Source
from emdist.kernels.tiles.missing import filled
from emdist.kernels.tiles.plusplus import JUDGES, plusplus_bytes, trials_of

#: How many iterations' worth of distances to all rows seeders may compute to judge candidates, and
#: to cluster the sample.
_JUDGING, _CLUSTERING = 1.0, 1
#: How many products of a feature and a centre these may take at least: about a tenth of a second.
_CHEAP_JUDGING, _CHEAP_CLUSTERING = 6 * 10**9, 4 * 10**9
#: How many products as much time takes as looking at a distance once more.
_PASSES = 16
#: The largest number of iterations to cluster a sample.
_ITERATIONS = 300

#: The stages of seeding, as progress messages call them.
CHOOSING, CLUSTERING, DRAWING = "seeding", "clustering the sample", "drawing candidates"
COMPARING = "comparing neighbours"


def _unheard(what: str, done: int, total: int) -> None:
    """Ignore the progress: nobody watches."""


def judges_for(rows: int, k: int, d: int) -> int:
    """Return how many rows judge candidates, so that this takes little of the time of a fit."""
    cheap = _CHEAP_JUDGING // (trials_of(k) * k * (d + _PASSES))
    return max(JUDGES, int(_JUDGING * rows / trials_of(k)), cheap)


def seeding_bytes(sample: int, rows: int, k: int, d: int) -> int:
    """Return how many bytes it takes to choose `k` rows of a sample, besides the sample."""
    return plusplus_bytes(sample, k, judges_for(rows, k, d))


@dataclass(frozen=True)
class _Part:
    """A task whose result is what `work` does to arrays of this process."""

    work: Callable[[int], None]

    def __call__(self, i: int) -> int:
        self.work(i)
        return 0


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

    @cached_property
    def local(self) -> LocalEngine:
        """The threads of this process, on which rows in memory are computed."""
        return LocalEngine(getattr(self.engine, "threads", None))

    def each(
        self,
        work: Callable[[int], None],
        number: int,
        done: Callable[[int], None] | None = None,
    ) -> None:
        """Call `work` for every index below `number`, on threads, and `done` with how many are."""
        self.local.map_reduce(_Part(work), range(number), done)

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
            self.each,
            judges_for(self.survey.rows, k, x.shape[1]),
        )

    def clustered(
        self, x: Floats, weight: Floats, centres: Floats, geometry: Geometry | None = None
    ) -> Floats:
        """Return the centres (k, d) of K-means on the rows (m, d), from `centres`.

        There are at most as many iterations as take the time of one iteration on all rows.
        """
        worth = _CLUSTERING * self.survey.rows // len(x)
        cheap = _CHEAP_CLUSTERING // (x.size * len(centres))
        return lloyd(
            geometry or self.geometry,
            x,
            weight,
            centres,
            max(1, min(_ITERATIONS, max(worth, cheap))),
            self.local,
            self.source.dtype,
            lambda done, most: self.told(CLUSTERING, done, most),
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
