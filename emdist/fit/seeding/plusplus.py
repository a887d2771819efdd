"""Greedy k-means++ on the survey's sample."""

from __future__ import annotations

from emdist.fit.seeding import Seeder, Seeding
from emdist.interfaces import Floats
from emdist.kernels.plusplus import plusplus

name = "k-means++"


def choose(seeding: Seeding, k: int) -> Floats:
    """`k` rows spread out by squared distance."""
    x, weight = seeding.sample()
    chosen: Floats = x[plusplus(x, weight, k, seeding.rng(2))]
    return chosen


seeder = Seeder(choose)
