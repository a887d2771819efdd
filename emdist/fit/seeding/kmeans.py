"""K-means on the survey's sample, from greedy k-means++: a start converged in memory."""

from __future__ import annotations

from emdist.fit.seeding import Seeder, Seeding
from emdist.fit.seeding.reclustering import lloyd
from emdist.interfaces import Floats
from emdist.kernels.plusplus import plusplus

name = "kmeans"


def choose(seeding: Seeding, k: int) -> Floats:
    """`k` centres of the sample's clusters."""
    x, weight = seeding.sample()
    return lloyd(x, weight, x[plusplus(x, weight, k, seeding.rng(6))])


seeder = Seeder(choose, clusters=True)
