"""K-means on the survey's sample, every feature in units of its deviation: for mixed data."""

from __future__ import annotations

import numpy as np

from emdist.fit.seeding import Seeder, Seeding
from emdist.fit.seeding.geometry import Euclidean
from emdist.interfaces import Floats

name = "standardised"


def choose(seeding: Seeding, k: int) -> Floats:
    """`k` centres of the sample's clusters, in the units of the data."""
    x, weight = seeding.sample()
    deviation = np.sqrt(seeding.survey.spread.variance)
    # A constant feature tells nothing, whatever its unit.
    unit = np.where(deviation > 0, deviation, 1.0)
    x = x / unit
    # Whatever the model measures by: that would know nothing of these units.
    plain = Euclidean()
    start = x[seeding.spread_out(x, weight, k, seeding.rng(8), plain)]
    centres = seeding.clustered(x, weight, start, plain)
    return seeding.geometry.seeds(centres * unit)


# Not clusters to take an M-step of: those would be of all rows, and in the units of the data.
seeder = Seeder(choose)
