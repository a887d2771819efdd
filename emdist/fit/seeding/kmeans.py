"""K-means on the survey's sample, from greedy k-means++: a start converged in memory."""

from __future__ import annotations

from emdist.fit.seeding import Seeder, Seeding
from emdist.fit.seeding.geometry import spread_out
from emdist.fit.seeding.reclustering import lloyd
from emdist.interfaces import Floats

name = "kmeans"


def choose(seeding: Seeding, k: int) -> Floats:
    """`k` centres of the sample's clusters."""
    x, weight = seeding.sample()
    start = seeding.geometry.seeds(x[spread_out(seeding.geometry, x, weight, k, seeding.rng(6))])
    return lloyd(seeding.geometry, x, weight, start)


seeder = Seeder(choose, clusters=True)
