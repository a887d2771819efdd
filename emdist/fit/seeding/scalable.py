"""The seeder `k-means||`: several passes over all rows that each add many candidates.

Bahmani et al. 2012, "Scalable K-Means++", PVLDB 5(7). Each round draws exactly 2k rows as a
priority sample, in proportion to weight times squared distance (or the dissimilarity of the model).
That takes one pass a round, needs no potential in advance, and gives the same rows for any
chunking. Finally, the candidates are clustered in memory.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from emdist.fit.sample import Sample, sample_rows
from emdist.fit.seeding import DRAWING, Seeder, Seeding
from emdist.fit.seeding.geometry import Euclidean, Geometry, spread_out
from emdist.interfaces import Floats, Source
from emdist.kernels.tiles.plusplus import nearest
from emdist.kernels.tiles.tiles import shifted, tile_rows, tiles
from emdist.sums import Sums

name = "k-means||"

ROUNDS = 5
OVERSAMPLING = 2


@dataclass(frozen=True)
class _Draw:
    """Return the candidates of one block in one round."""

    source: Source
    origin: Floats
    centres: Floats
    size: int
    key: tuple[int, ...]
    geometry: Geometry = field(default_factory=Euclidean)

    def __call__(self, i: int) -> Sample:
        block = self.source.read(i)
        x, weight = block.valid()
        potential = np.empty(len(x))
        for a, b in tiles(len(x), tile_rows(x.shape[1] + len(self.centres), 8)):
            tile = shifted(x[a:b], self.origin, "float64")
            potential[a:b] = self.geometry.between(tile, self.centres).min(axis=0)
        if weight is not None:
            potential *= weight
        return sample_rows(self.size + 1, x, potential, block.rows(), self.key)


@dataclass(frozen=True)
class _Count:
    """Return the weight of the rows nearest to each candidate, in one block."""

    source: Source
    origin: Floats
    centres: Floats
    geometry: Geometry

    def __call__(self, i: int) -> Sums:
        x, weight = self.source.read(i).valid()
        count = np.zeros(len(self.centres))
        for a, b in tiles(len(x), tile_rows(x.shape[1] + len(self.centres), 8)):
            tile = shifted(x[a:b], self.origin, "float64")
            w = None if weight is None else weight[a:b]
            label = nearest(tile, self.centres, self.geometry.between)
            count += np.bincount(label, w, minlength=len(count))
        return Sums({"count": count})


def choose(seeding: Seeding, k: int) -> Floats:
    """Return `k` centres of the weighted clusters of about ``10 k`` candidates from all rows."""
    origin, source, geometry = seeding.survey.spread.origin, seeding.source, seeding.geometry
    blocks = range(len(source))
    x, weight = seeding.sample()
    candidates = geometry.seeds(x[spread_out(geometry, x, weight, 1, seeding.rng(3))])
    for number in range(ROUNDS):
        key = (seeding.seed, seeding.restart, 4, number)
        draw = _Draw(source, origin, candidates, OVERSAMPLING * k, key, geometry)
        seeding.told(DRAWING, number, ROUNDS + 1)
        rows, _, _ = seeding.engine.map_reduce(draw, blocks).rows()
        if len(rows):
            seeds = geometry.seeds(seeding.placed(rows))
            candidates = np.concatenate([candidates, seeds])
    if len(candidates) < k:
        # There are fewer rows with weight than 2k a round, so the sample holds every one of them.
        candidates = geometry.seeds(x)
    task = _Count(source, origin, candidates, geometry)
    seeding.told(DRAWING, ROUNDS, ROUNDS + 1)
    count = seeding.engine.map_reduce(task, blocks)["count"]
    chosen = candidates[seeding.spread_out(candidates, count, k, seeding.rng(5))]
    return seeding.clustered(candidates, count, chosen)


seeder = Seeder(choose, clusters=True)
