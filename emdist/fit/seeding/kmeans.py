"""The seeder `kmeans`: K-means on the survey's sample in memory, started by greedy k-means++."""

from __future__ import annotations

from emdist.fit.seeding import Seeder, Seeding
from emdist.interfaces import Floats

name = "kmeans"


def choose(seeding: Seeding, k: int) -> Floats:
    """Return `k` centres of the clusters of the sample."""
    x, weight = seeding.sample()
    start = seeding.geometry.seeds(x[seeding.spread_out(x, weight, k, seeding.rng(6))])
    return seeding.clustered(x, weight, start)


seeder = Seeder(choose, clusters=True)
