"""K-means on the survey's sample, from greedy k-means++: a start converged in memory."""

from __future__ import annotations

from emdist.fit.seeding import Seeder, Seeding
from emdist.interfaces import Floats

name = "kmeans"


def choose(seeding: Seeding, k: int) -> Floats:
    """`k` centres of the sample's clusters."""
    x, weight = seeding.sample()
    start = seeding.geometry.seeds(x[seeding.spread_out(x, weight, k, seeding.rng(6))])
    return seeding.clustered(x, weight, start)


seeder = Seeder(choose, clusters=True)
