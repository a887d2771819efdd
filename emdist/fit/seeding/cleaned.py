"""K-means on the rows of the sample that are not clutter, for models with noise.

Byers and Raftery 1998, "Nearest-neighbor clutter removal for estimating features in spatial point
processes", JASA 93: where points occur at a constant rate, the volume of the ball that reaches to a
point's K-th neighbour has a gamma distribution. A mixture of two rates, fitted by EM, separates
clutter from the rest. A row of weight w counts as w rows of the mean weight.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from emdist.fit.seeding import COMPARING, Seeder, Seeding
from emdist.interfaces import Floats
from emdist.kernels.tiles.distances import squared_distances
from emdist.kernels.tiles.plusplus import Each, in_turn

name = "cleaned"

#: The largest K: the distance of the K-th neighbour counts. There are at most as many neighbours
#: as a third of the rows that are compared for a component, ...
NEIGHBOUR = 10
#: ... and at least so many.
_LEAST = 3
#: The largest number of sampled rows to compare with each other: in all, or for each component.
_ROWS, _ROWS_PER_COMPONENT = 4096, 32
#: How many iterations' worth of distances to all rows may be computed.
_COMPARING = 0.5
_ITERATIONS = 200
#: Rows that are compared with all at a time.
_PART = 128
#: Distances of which the smallest stands for all in a first look.
_GROUP = 16


def choose(seeding: Seeding, k: int) -> Floats:
    """Return `k` centres of clusters of those rows of the sample that lie in dense regions."""
    x, weight = seeding.sample()
    rng = seeding.rng(7)
    paid = math.isqrt(int(_COMPARING * seeding.survey.rows * k))
    most = max(_ROWS, min(_ROWS_PER_COMPONENT * k, paid))
    if len(x) > most:
        some = np.sort(rng.choice(len(x), most, replace=False))
        x, weight = x[some], weight[some]
    neighbour = min(NEIGHBOUR, max(_LEAST, most // (3 * k)))

    def each(work: Callable[[int], None], number: int) -> None:
        seeding.each(work, number, lambda done: seeding.told(COMPARING, done, number))

    dense = no_clutter(x, weight, neighbour, each)
    if len(np.unique(x[dense], axis=0)) >= k:
        x, weight = x[dense], weight[dense]
    start = seeding.geometry.seeds(x[seeding.spread_out(x, weight, k, rng)])
    return seeding.clustered(x, weight, start)


def no_clutter(
    x: Floats, weight: Floats, neighbour: int = NEIGHBOUR, each: Each = in_turn
) -> NDArray[np.bool_]:
    """Return (m,) whether a row of `x` (m, d) is in a dense region; all are if rows are few."""
    if len(x) < 4 * neighbour:
        return np.ones(len(x), bool)
    log_volume = 0.5 * x.shape[1] * np.log(_neighbours(x, weight, neighbour, each))
    # In units of the median, and within the range of exp.
    volume = np.exp(np.clip(log_volume - np.median(log_volume), -500.0, 500.0))
    return _in_dense(volume, neighbour) > 0.5


def _neighbours(x: Floats, weight: Floats, neighbour: int, each: Each) -> Floats:
    """Return (m,) squared distance of each row to its K-th neighbour, never 0."""
    found = np.empty(len(x))
    equal = bool((weight == weight[0]).all())

    def part(index: int) -> None:
        own = slice(index * _PART, (index + 1) * _PART)
        near = squared_distances(x, x[own])
        if equal:
            found[own] = _smallest(near, neighbour)
        else:
            found[own] = _heavy_enough(near, weight, (neighbour + 1) * weight.mean())

    each(part, -(-len(x) // _PART))
    some = found[found > 0]
    return np.maximum(found, some.min() if len(some) else 1.0)


def _smallest(near: Floats, nth: int) -> Floats:
    """Return the n-th smallest value of each row, counted from 0: (r, m) -> (r,)."""
    whole = near.shape[1] // _GROUP * _GROUP
    if whole // _GROUP <= 4 * nth:
        return np.asarray(np.partition(near, nth, axis=1)[:, nth])
    # At least n + 1 values are no larger than the n-th smallest of the least values of groups, and
    # hardly more are.
    least = near[:, :whole].reshape(len(near), _GROUP, -1).min(axis=1)
    bound = np.partition(least, nth, axis=1)[:, nth]
    row, column = np.nonzero(near <= bound[:, None])
    value = near[row, column]
    order = np.lexsort((value, row))
    return np.asarray(value[order][np.searchsorted(row, np.arange(len(near))) + nth])


def _heavy_enough(near: Floats, weight: Floats, wanted: float) -> Floats:
    """Return the distance of each row within which rows weigh `wanted` together: (r,)."""
    found = np.empty(len(near))
    left = np.arange(len(near))
    # The nearest few suffice for most rows.
    for size in (min(8 * NEIGHBOUR, near.shape[1]), near.shape[1]):
        own = near[left]
        nearest = np.argpartition(own, size - 1, axis=1)[:, :size]
        distance = np.take_along_axis(own, nearest, axis=1)
        order = np.argsort(distance, axis=1)
        within = weight[np.take_along_axis(nearest, order, axis=1)].cumsum(axis=1) < wanted
        count = np.minimum(within.sum(axis=1), size - 1)
        found[left] = np.take_along_axis(
            np.take_along_axis(distance, order, axis=1), count[:, None], axis=1
        )[:, 0]
        left = left[within.all(axis=1)]
    return found


def _in_dense(volume: Floats, neighbour: int) -> Floats:
    """Return (m,) probability of the higher of two rates, by EM from the two halves of `volume`."""
    dense = (volume <= np.median(volume)).astype(np.float64)
    for _ in range(_ITERATIONS):
        share = dense.mean()
        if not 0 < share < 1:
            break
        high = neighbour * dense.sum() / (dense @ volume)
        low = neighbour * (1 - dense).sum() / ((1 - dense) @ volume)
        odds = np.log((1 - share) / share) + neighbour * np.log(low / high) + (high - low) * volume
        before, dense = dense, 1.0 / (1.0 + np.exp(np.clip(odds, -500.0, 500.0)))
        if np.abs(dense - before).max() < 1e-6:
            break
    return dense


seeder = Seeder(choose, clusters=True)
