"""K-means on the survey's sample, every feature in units of its deviation: for mixed data."""

from __future__ import annotations

import numpy as np

from emdist.fit.seeding import Seeder, Seeding
from emdist.fit.seeding.reclustering import lloyd
from emdist.interfaces import Floats
from emdist.kernels.plusplus import plusplus

name = "standardised"


def choose(seeding: Seeding, k: int) -> Floats:
    """`k` centres of the sample's clusters, in the units of the data."""
    x, weight = seeding.sample()
    deviation = np.sqrt(seeding.survey.spread.variance)
    # A constant feature tells nothing, whatever its unit.
    unit = np.where(deviation > 0, deviation, 1.0)
    x = x / unit
    return lloyd(x, weight, x[plusplus(x, weight, k, seeding.rng(8))]) * unit


# Not clusters to take an M-step of: those would be of all rows, and in the units of the data.
seeder = Seeder(choose)
