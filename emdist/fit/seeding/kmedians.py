"""k-means++ by absolute differences, on the survey's sample: what K-medians starts from."""

from __future__ import annotations

from emdist.fit.seeding import Seeder, Seeding
from emdist.interfaces import Floats
from emdist.kernels.absolute import distances_of_rows
from emdist.kernels.plusplus import plusplus

name = "k-medians++"


def choose(seeding: Seeding, k: int) -> Floats:
    """`k` rows spread out by L1 distance, which a few far rows sway less than its square."""
    x, weight = seeding.sample()
    chosen: Floats = x[plusplus(x, weight, k, seeding.rng(7), distances_of_rows)]
    return chosen


seeder = Seeder(choose)
