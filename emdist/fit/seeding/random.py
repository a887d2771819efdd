"""Random rows, in proportion to their weights."""

from __future__ import annotations

import numpy as np

from emdist.fit.seeding import Seeder, Seeding
from emdist.interfaces import Floats
from emdist.kernels.tiles.hashing import hash_of_rows

name = "random"


def choose(seeding: Seeding, k: int) -> Floats:
    """`k` rows of the sample without replacement; equal rows only when no others are left."""
    x, weight = seeding.sample()
    # Exponential keys: the k smallest are a draw without replacement in proportion to weight.
    key = seeding.rng(1).exponential(size=len(x)) / weight
    order = np.argsort(key, kind="stable")
    _, first = np.unique(hash_of_rows(x[order]), return_index=True)
    distinct = np.sort(first)
    again = np.setdiff1d(np.arange(len(order)), distinct)
    return seeding.geometry.seeds(x[order[np.concatenate([distinct, again])[:k]]])


seeder = Seeder(choose)
