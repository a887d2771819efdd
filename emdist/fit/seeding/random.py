"""The seeder `random`: random rows of the sample, in proportion to their weights."""

from __future__ import annotations

import numpy as np

from emdist.fit.seeding import Seeder, Seeding
from emdist.interfaces import Floats
from emdist.kernels.tiles.hashing import hash_of_rows

name = "random"


def choose(seeding: Seeding, k: int) -> Floats:
    """Return `k` rows of the sample without replacement; equal rows only if no others are left."""
    x, weight = seeding.sample()
    # The rows with the k smallest exponential keys are a draw without replacement by weight.
    key = seeding.rng(1).exponential(size=len(x)) / weight
    order = np.argsort(key, kind="stable")
    _, first = np.unique(hash_of_rows(x[order]), return_index=True)
    distinct = np.sort(first)
    again = np.setdiff1d(np.arange(len(order)), distinct)
    return seeding.geometry.seeds(x[order[np.concatenate([distinct, again])[:k]]])


seeder = Seeder(choose)
