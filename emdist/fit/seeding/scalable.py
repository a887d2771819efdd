"""The seeder `k-means||`: several passes over all rows that each add many candidates.

Bahmani et al. 2012, "Scalable K-Means++", PVLDB 5(7). Each round draws rows as a priority sample,
in proportion to weight times squared distance (or the dissimilarity of the model). That takes one
pass a round, needs no potential in advance, and gives the same rows for any chunking. The first
round is drawn from the survey's sample, without a pass. Finally, the candidates are clustered in
memory.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdist.dissimilarities.squared_euclidean import SquaredEuclidean
from emdist.families.densities import NearestMeans
from emdist.fit.sample import Sample, sample_rows
from emdist.fit.seeding import DRAWING, Seeder, Seeding
from emdist.fit.seeding.geometry import Euclidean, Geometry, spread_out
from emdist.interfaces import Block, Floats, Numerics, Source, Spread
from emdist.kernels.tiles.assign import scatter
from emdist.kernels.tiles.distances import nearest
from emdist.kernels.tiles.tiles import shifted, tile_rows, tiles
from emdist.kernels.vector.lloyd import nearest_rows
from emdist.models.kcentroids import KCentroidsModel
from emdist.runtime.cache import MEMO, Key
from emdist.sums import Sums

name = "k-means||"

#: Passes that draw candidates, and how many rows each adds for a cluster.
ROUNDS = 2
OVERSAMPLING = 0.75
#: The smallest number of rows that a round adds.
_LEAST = 8
#: The memory of each process for the nearest candidate of each row, 12 bytes a row. Blocks beyond
#: it compare their rows with all earlier candidates once more.
MEMO_BYTES = 128 << 20

#: Bytes for each row that is remembered.
_ROW_BYTES = 12

Found = tuple[NDArray[np.int32], Floats]


def memo_bytes(rows: int) -> int:
    """Return how many bytes a process may remember of so many rows."""
    return min(MEMO_BYTES, _ROW_BYTES * rows)


def candidates_of(k: int) -> int:
    """Return the largest number of candidates for `k` clusters."""
    return max((ROUNDS + 1) * _size_of(k) + 1, k)


def _size_of(k: int) -> int:
    """Return how many candidates each round adds."""
    return max(_LEAST, int(OVERSAMPLING * k))


class _Kept:
    """What is remembered of a block. It is mutable, because each round replaces `last`.

    `last` has the number of rounds of candidates, and the rows' nearest candidates and distances.
    """

    def __init__(self, rounds: int, found: Found) -> None:
        self.last = rounds, found
        self.nbytes = sum(array.nbytes for array in found)


@dataclass(frozen=True)
class Candidates:
    """The candidates of all rounds, and the nearest of them for the rows of a block.

    Attributes
    ----------
    source, origin, geometry
        The source of the rows, its origin, and the geometry in which candidates are near.
    rounds
        The candidates of each round, (c, d), relative to the origin.
    spread
        The spread of the rows; without it, rows are compared by `geometry` tile by tile.
    run
        Identifies the entries in the memos of processes.
    """

    source: Source
    origin: Floats
    rounds: tuple[Floats, ...]
    geometry: Geometry = field(default_factory=Euclidean)
    spread: Spread | None = None
    run: str = field(default_factory=lambda: uuid.uuid4().hex)

    def nearest(self, block: Block) -> Found:
        """Return the nearest candidates and their distances of the rows that count: (m,), (m,)."""
        key, last = Key(self.run, "", block.index), len(self.rounds)
        kept: _Kept | None = MEMO.get(key)
        done, found = (0, None) if kept is None else kept.last
        if done > last:  # A later round is already there if a task runs once more.
            done, found = 0, None
        # Round by round, so that what was remembered makes no difference to a bit.
        for number in range(done, last):
            found = self._nearer(block, number, found)
        assert found is not None
        if kept is None:
            MEMO.put(key, _Kept(last, found), MEMO_BYTES)
        elif kept.last[0] < last:
            kept.last = last, found
        return found

    def _nearer(self, block: Block, number: int, before: Found | None) -> Found:
        """Return what is nearest if candidates of one more round are there."""
        labels, distance = self._among(block, number)
        if before is None:
            return labels, distance
        labels += np.int32(sum(map(len, self.rounds[:number])))
        further = ~(distance < before[1])
        np.copyto(labels, before[0], where=further)
        np.copyto(distance, before[1], where=further)
        return labels, distance

    def _among(self, block: Block, number: int) -> Found:
        """Return the nearest candidates of one round and their distances."""
        if self.spread is not None:
            params, numerics = self._ready[number]
            density = _KMEANS.family.density(params.components, numerics)
            if not isinstance(density, NearestMeans):
                found = _KMEANS.assign(block, params, self.origin, numerics)
                return found.labels, found.score
            x, _ = block.valid()
            return nearest_rows(x, self.origin, density.eta, density.offset, density.means)
        x, _ = block.valid()
        centres = self.rounds[number]
        labels, distance = np.empty(len(x), np.int32), np.empty(len(x))
        for a, b in tiles(len(x), tile_rows(x.shape[1] + len(centres), 8)):
            tile = shifted(x[a:b], self.origin, "float64")
            labels[a:b], distance[a:b] = nearest(tile, centres, self.geometry.between)
        return labels, distance

    @cached_property
    def _ready(self) -> Sequence[tuple[Any, Numerics]]:
        """The candidates of each round as centres of K-means, and how it computes."""
        assert self.spread is not None
        spread, dtype = self.spread, self.source.dtype
        params = [_KMEANS.start(centres, spread) for centres in self.rounds]
        return [(one, _KMEANS.numerics(one, spread, dtype)) for one in params]


_KMEANS = KCentroidsModel(SquaredEuclidean())


@dataclass(frozen=True)
class _Draw:
    """Return the candidates of one block in one round."""

    candidates: Candidates
    size: int
    key: tuple[int, ...]

    @property
    def source(self) -> Source:
        """The source that is read."""
        return self.candidates.source

    def __call__(self, i: int) -> Sample:
        block = self.source.read(i)
        x, weight = block.valid()
        _, potential = self.candidates.nearest(block)
        if weight is not None:
            potential = potential * weight
        return sample_rows(self.size + 1, x, potential, block.rows(), self.key)


@dataclass(frozen=True)
class _Gather:
    """Return the weight and, for means, the sum of the rows nearest to each candidate."""

    candidates: Candidates

    @property
    def source(self) -> Source:
        """The source that is read."""
        return self.candidates.source

    def __call__(self, i: int) -> Sums:
        block = self.source.read(i)
        x, weight = block.valid()
        labels, _ = self.candidates.nearest(block)
        number = sum(map(len, self.candidates.rounds))
        if self.candidates.spread is None:
            n = np.bincount(labels, weight, minlength=number).astype(np.float64)
            return Sums({"n": n})
        n, t = np.zeros(number), np.zeros((number, x.shape[1]))
        for a, b in tiles(len(x), tile_rows(x.shape[1], 8)):
            tile = shifted(x[a:b], self.candidates.origin, "float64")
            own = None if weight is None else weight[a:b]
            more = scatter(tile, labels[a:b], own, number)
            n, t = n + more[0], t + more[1]
        return Sums({"n": n, "t": t})


def choose(seeding: Seeding, k: int) -> Floats:
    """Return `k` centres of the weighted clusters of about ``2.25 k`` candidates from all rows."""
    geometry, size = seeding.geometry, _size_of(k)
    spread = seeding.survey.spread if type(geometry) is Euclidean else None
    first = geometry.seeds(_from_sample(seeding, size))
    candidates = Candidates(
        seeding.source, seeding.survey.spread.origin, (first,), geometry, spread
    )
    try:
        for number in range(ROUNDS):
            draw = _Draw(candidates, size, (seeding.seed, seeding.restart, 4, number))
            rows, _, _ = _passed(seeding, draw, number).rows()
            if len(rows):
                more = geometry.seeds(seeding.placed(rows))
                candidates = replace(candidates, rounds=(*candidates.rounds, more))
        if sum(map(len, candidates.rounds)) < k:
            # There are fewer rows with weight than are drawn, so the sample holds all of them.
            MEMO.forget(candidates.run)
            everything = (geometry.seeds(seeding.sample()[0]),)
            candidates = replace(candidates, rounds=everything, run=uuid.uuid4().hex)
        sums = _passed(seeding, _Gather(candidates), ROUNDS)
    finally:
        MEMO.forget(candidates.run)
    found, n = np.concatenate(candidates.rounds), sums["n"]
    if spread is not None:
        # A candidate moves to the mean of its rows: a few rows for each cluster are otherwise worse
        # centres than means of all rows.
        found = np.where(n[:, None] > 0, sums["t"] / np.where(n > 0, n, 1.0)[:, None], found)
    chosen = found[seeding.spread_out(found, n, k, seeding.rng(5))]
    return seeding.clustered(found, n, chosen)


def _from_sample(seeding: Seeding, size: int) -> Floats:
    """Return a row of the sample, and `size` others in proportion to their distance from it."""
    x, weight = seeding.sample()
    rng, geometry = seeding.rng(3), seeding.geometry
    first = spread_out(geometry, x, weight, 1, rng)
    potential = weight * geometry.between(x, geometry.seeds(x[first]))[0]
    potential[first] = 0.0
    # The rows with the smallest exponential keys are a draw without replacement.
    with np.errstate(divide="ignore"):
        key = rng.exponential(size=len(x)) / potential
    more = np.argsort(key, kind="stable")[: min(size, int((potential > 0).sum()))]
    found: Floats = x[np.concatenate([first, more])]
    return found


def _passed(seeding: Seeding, task: Any, number: int) -> Any:
    """Return the result of a pass over all blocks, and tell how many blocks of all are done."""
    blocks = len(seeding.source)

    def told(done: int) -> None:
        seeding.told(DRAWING, number * blocks + done, (ROUNDS + 1) * blocks)

    told(0)
    return seeding.engine.map_reduce(task, range(blocks), told)


seeder = Seeder(choose, clusters=True)
