"""The seeder `standardised`: K-means on the sample with features in units of their deviation."""

from __future__ import annotations

import numpy as np

from emdist.fit.seeding import Seeder, Seeding
from emdist.fit.seeding.geometry import Euclidean
from emdist.interfaces import Floats

name = "standardised"


def choose(seeding: Seeding, k: int) -> Floats:
    """Return `k` centres of the clusters of the sample, in the units of the data."""
    x, weight = seeding.sample()
    deviation = np.sqrt(seeding.survey.spread.variance)
    # A constant feature carries no information, whatever its unit.
    unit = np.where(deviation > 0, deviation, 1.0)
    x = x / unit
    # Not the model's own geometry, which knows nothing of these units.
    plain = Euclidean()
    start = x[seeding.spread_out(x, weight, k, seeding.rng(8), plain)]
    centres = seeding.clustered(x, weight, start, plain)
    return seeding.geometry.seeds(centres * unit)


# Not `clusters=True`: its M-step would form clusters of all rows in the units of the data.
seeder = Seeder(choose)
