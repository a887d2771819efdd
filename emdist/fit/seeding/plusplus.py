"""The seeder `k-means++`: greedy k-means++ on the survey's sample."""

from __future__ import annotations

from emdist.fit.seeding import Seeder, Seeding
from emdist.interfaces import Floats

name = "k-means++"


def choose(seeding: Seeding, k: int) -> Floats:
    """Return `k` rows spread out by squared distance, or by the dissimilarity of the model."""
    x, weight = seeding.sample()
    return seeding.geometry.seeds(x[seeding.spread_out(x, weight, k, seeding.rng(2))])


seeder = Seeder(choose)
