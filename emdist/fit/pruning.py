"""Pruned K-means on one block: the pass that skips rows, and what a process remembers for it."""

from __future__ import annotations

import itertools
import threading
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdist.dissimilarities.squared_euclidean import SquaredEuclidean
from emdist.families.densities import NearestMeans
from emdist.fit.movements import Drift
from emdist.interfaces import Array, Floats, Model, Numerics, Source, Spread
from emdist.kernels.tiles.exact import grid, in_two, inertia
from emdist.kernels.vector.bounds import passes_left, rescore, unsafe
from emdist.kernels.vector.lanes import COMPONENTS, panel_rows, row_width
from emdist.kernels.vector.panels import is_readable, pack_components, readable, widened
from emdist.models.kcentroids import KCentroidsModel
from emdist.models.ready import READY
from emdist.runtime.cache import MEMO, Key
from emdist.store.sources.ahead import expect
from emdist.store.sources.arrays import ArraySource
from emdist.sums import Sums

#: Stands for sample weights that are all 1.
_NO_WEIGHT = np.empty(0)
#: How many rows are converted at once if the kernel is not compiled for their type.
_STRETCH = 1 << 16


def is_kmeans(model: Model[Any]) -> bool:
    """Return whether the model assigns complete rows to the nearest mean."""
    return isinstance(model, KCentroidsModel) and type(model.dissimilarity) is SquaredEuclidean


def is_resident(source: Source) -> bool:
    """Return whether any row is available without reading its block."""
    return type(source) is ArraySource and source.non_finite != "drop"


def bounds_bytes(rows: int, d: int, k: int, blocks: int, groups: int) -> int:
    """Return the bytes that labels, bounds and sums take for that many rows in all blocks."""
    return rows * (6 + 4 * groups) + blocks * 16 * k * (row_width(d) + 1)


@dataclass(frozen=True)
class PreparedCentres:
    """Centres that are ready to score rows, group by group.

    Attributes
    ----------
    means
        (k, d) the centres themselves.
    eta, offset
        See `pack_components`, in the precision of the pass. Groups are padded with centres that
        are never the nearest.
    starts
        (g + 1,) where each group starts.
    names
        (p,) the index of each centre, padding included.
    """

    means: Floats
    eta: Array
    offset: Array
    starts: NDArray[np.int64]
    names: NDArray[np.int32]


def centres_of(model: Model[Any], params: Any, numerics: Numerics, drift: Drift) -> PreparedCentres:
    """Return the centres of `params`, so that scores are those of plain K-means."""
    assert isinstance(model, KCentroidsModel)
    density = READY.density(model.family, params.components, numerics)
    assert isinstance(density, NearestMeans)
    offset = density.offset + model.weights.logarithms(params).astype(numerics.dtype)
    k, d = density.eta.shape
    parts: list[Any] = []
    ends = np.cumsum(drift.sizes)
    for a, b in zip([0, *ends[:-1]], ends, strict=True):
        group = drift.order[a:b]
        parts.append(np.concatenate([group, np.full(-len(group) % COMPONENTS, k)]))
    names = np.concatenate(parts)
    eta = np.concatenate([density.eta, np.zeros((1, d), density.eta.dtype)])
    offset = np.concatenate([offset, np.full(1, -np.inf, offset.dtype)])
    return PreparedCentres(
        model.locations(params),
        *pack_components(eta[names], offset[names]),
        np.cumsum([0, *map(len, parts)]),
        names.astype(np.int32),
    )


@dataclass(frozen=True)
class Rounders:
    """The constants that round to the units of exact sums, see `exact.Grid`.

    They are large enough for all rows and weights.

    Attributes
    ----------
    rows
        (2, w + 1) for the features, padded with zeros to whole vectors, and for the weights.
    norm
        (2,) for the sum of squares.
    """

    rows: Floats
    norm: Floats


def rounders_of(spread: Spread, source: Source) -> Rounders:
    """Return the rounders for data of `spread`.

    Both parts of a value add exactly within a block, and the first part also over all blocks.
    """
    return READY.once(spread, rounders_of, source.bounds, lambda: _rounders(spread, source))


def _rounders(spread: Spread, source: Source) -> Rounders:
    reach = np.maximum(np.abs(spread.low), np.abs(spread.high)) * (1 + 1e-6)
    rows = max(b - a for a, b in itertools.pairwise(source.bounds))
    with np.errstate(over="ignore"):
        squares = (reach * reach).sum()
    largest = np.concatenate([widened(reach), [1.0, squares]]) * spread.weight
    found = np.array(grid(largest, rows).rounders)
    # Features that only pad the vectors are zero, and stay so.
    return Rounders(np.ascontiguousarray(found[:, :-1]), np.ascontiguousarray(found[:, -1]))


class BlockMemory:
    """What a process remembers of a block. It changes in place, guarded by `lock`.

    Attributes
    ----------
    now
        The last pass that it took part in; -1 if there was none, or if a pass was interrupted.
    labels, since, margins
        (m,) the centre of each row, (m,) the pass when its bounds were computed, and (g, m) these
        bounds.
    n, t, norm
        Exact sums: see `exact.move` and `exact.square`.
    weight
        The total weight of the rows.
    rows, x, w
        Which rows are kept, and these rows and their weights, ready to be scored.
    nbytes
        The size of all of this, including `room` for rows.
    """

    def __init__(self, x: Array, weight: Floats | None, k: int, groups: int, room: int) -> None:
        m, d = x.shape
        self.lock = threading.Lock()
        self.margins = np.empty((groups, m), np.float32)
        self.labels, self.since = np.empty(m, np.int32), np.empty(m, np.uint16)
        self.n, self.t = np.empty((2, k)), np.empty((2, k, row_width(d)))
        self.norm = np.empty((2, row_width(d)))
        self.weight = float(m) if weight is None else float(weight.sum())
        self.rows = np.empty(0, np.int64)
        self.x, self.w = np.empty((0, d), x.dtype), _NO_WEIGHT
        arrays = (self.margins, self.labels, self.since, self.n, self.t)
        self.nbytes = room + sum(a.nbytes for a in arrays)
        self.clear()

    def clear(self) -> None:
        """Reset everything to the state before the first pass."""
        self.now = -1
        self.labels.fill(-1)
        self.since.fill(0)
        self.margins.fill(-np.inf)
        for sums in (self.n, self.t, self.norm):
            sums.fill(0.0)


@dataclass(frozen=True)
class PrunedStep:
    """Compute the sums of one block from rows that may have changed, for `lloyds`.

    The sums ``n`` (2, k), ``t`` (2, k, w) and ``norm`` (2,) have two parts, of which the first adds
    up exactly. Further sums are ``weight``, and how many blocks were ``read`` and rows ``scored``.
    """

    source: Source
    origin: Floats
    centres: PreparedCentres
    drift: Drift
    rounders: Rounders
    run: str
    budget: int
    keep_rows: bool = True

    def __call__(self, i: int) -> Sums:
        held = MEMO.get(Key(self.run, self.drift.generation, i))
        if held is None or not held.lock.acquire(blocking=False):
            return self._anew(i)
        try:
            if held.now > self.drift.now:
                return self._anew(i)  # This is an abandoned task of an earlier pass.
            return self._again(i, held)
        finally:
            held.lock.release()

    def expect(self, i: int) -> None:
        """Read block `i` ahead if nothing is known of it; if it is known, it may not be needed."""
        if MEMO.get(Key(self.run, self.drift.generation, i)) is None:
            expect(self.source, i)

    def _read(self, i: int) -> tuple[Array, Floats | None]:
        return self.source.read(i).valid()

    def _anew(self, i: int) -> Sums:
        """Return the sums of a block of which nothing is remembered."""
        x, weight = self._read(i)
        groups, _, k = self.drift.table.shape
        room = 0
        if self.keep_rows and not is_resident(self.source):
            row = len(self.origin) * x.itemsize + 16
            bounds = bounds_bytes(len(x), x.shape[1], k, 1, groups)
            room = max(0, min(self.budget // len(self.source) - bounds, len(x) * row))
        held = BlockMemory(x, weight, k, groups, room)
        every = np.arange(len(x))
        self._rescore(held, x, weight, every)
        held.now = self.drift.now
        self._keep(held, x, weight, room)
        MEMO.put(Key(self.run, self.drift.generation, i), held, self.budget)
        return self._sums(held, 1, len(x))

    def _again(self, i: int, held: BlockMemory) -> Sums:
        """Return the sums of a block after scoring its unsafe rows again."""
        if held.now == self.drift.now:
            return self._sums(held, 0, 0)  # This pass asks for the block a second time.
        at = self._unsafe(held)
        count, held.now, read = len(at), -1, 0
        if count and is_resident(self.source):
            self._rescore(held, *self._read(i), at)
            read = 1
        elif count:
            places = np.searchsorted(held.rows, at)
            if len(held.rows) and bool((held.rows[places % len(held.rows)] == at).all()):
                self._rescore_kept(held, places, at)
            else:
                x, weight = self._read(i)
                read, room = 1, held.x.nbytes + held.rows.nbytes * 2
                # Bounds of all rows are made anew only if they decide which rows to keep.
                at = np.arange(len(x)) if room else at
                self._rescore(held, x, weight, at)
                self._keep(held, x, weight, room)
        held.now = self.drift.now
        return self._sums(held, read, len(at))

    def _unsafe(self, held: BlockMemory) -> NDArray[np.int64]:
        """Return the rows whose bounds do not hold any more."""
        if held.now < 0:  # A pass was interrupted, so the sums may be incomplete.
            held.clear()
            return np.arange(len(held.labels))
        drift, at = self.drift, np.empty(len(held.labels) + 1, np.int64)
        count = unsafe(held.labels, held.since, held.margins, drift.table, drift.now, at)
        return at[:count]

    def _rescore_kept(self, held: BlockMemory, places: Array, at: Array) -> None:
        x, origin = self._ready(held.x)
        self._call(held, x, origin, held.w, places, at)

    def _rescore(self, held: BlockMemory, x: Array, weight: Floats | None, at: Array) -> None:
        """Score the rows `at` of the block's rows `x` again."""
        w = _NO_WEIGHT if weight is None else weight
        if is_readable(x):
            self._call(held, *self._ready(x), w, at, at)
            return
        for a in range(0, len(at), _STRETCH):
            part = at[a : a + _STRETCH]
            rows = np.arange(len(part))
            some = _NO_WEIGHT if weight is None else weight[part]
            self._call(held, *self._ready(x[part]), some, rows, part)

    def _ready(self, x: Array) -> tuple[Array, Floats]:
        """Return rows in a type that the kernel is compiled for, and the origin to subtract."""
        x, origin = readable(x, self.origin, self.centres.eta.dtype)
        return x, widened(origin)

    def _call(
        self, held: BlockMemory, x: Array, origin: Floats, weight: Floats, rows: Array, at: Array
    ) -> None:
        """Score rows `x[rows]`, which are the rows `at` of the block, and update what is held."""
        c, drift = self.centres, self.drift
        tile = panel_rows(c.eta.itemsize)
        rescore(
            x, origin, weight, rows, at, drift.now, c.eta, c.offset, c.starts, c.names,
            drift.floor, drift.gamma, tile, self.rounders.rows, held.labels, held.since,
            held.margins, held.n, held.t, held.norm,
        )  # fmt: skip

    def _keep(self, held: BlockMemory, x: Array, weight: Floats | None, room: int) -> None:
        """Keep the rows whose bounds will fail first, within `room` bytes."""
        count = min(len(x), room // (x.shape[1] * x.itemsize + 16))
        if count <= 0:
            return
        rows = np.arange(len(x))
        if count < len(x):
            left = np.empty(len(x))
            pace = self.drift.table[:, min(1, self.drift.table.shape[1] - 2)]
            passes_left(held.labels, held.margins, pace, left)
            rows = np.sort(np.argpartition(left, count)[:count])
        held.rows, held.x = rows, x[rows]
        held.w = _NO_WEIGHT if weight is None else weight[rows]

    def _sums(self, held: BlockMemory, read: int, scored: int) -> Sums:
        norm = np.array(in_two(held.norm, self.rounders.norm))
        return Sums(
            {
                "n": held.n.copy(),
                "t": held.t.copy(),
                "norm": norm,
                "weight": np.array(held.weight),
                "read": np.array(float(read)),
                "scored": np.array(float(scored)),
            }
        )


def lloyds(found: Sums, means: Floats) -> Sums:
    """Return the sums as K-means' E-step has them, about `means` (k, d).

    `found` are the sums of `PrunedStep` over all blocks.
    """
    n, t = found["n"], found["t"]
    return Sums(
        {
            "n": n[0] + n[1],
            "t": (t[0] + t[1])[:, : means.shape[1]],
            "objective": np.array(-inertia(means, n, t, found["norm"][:, None])),
            "weight": found["weight"],
        }
    )
