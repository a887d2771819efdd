"""K-means on the rows of the sample that are not clutter, for models with noise.

Byers and Raftery 1998, "Nearest-neighbor clutter removal for estimating features in spatial point
processes", JASA 93: where points occur at a constant rate, the volume of the ball that reaches to a
point's K-th neighbour has a gamma distribution. A mixture of two rates, fitted by EM, separates
clutter from the rest. A row of weight w counts as w rows of the mean weight.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emdist.fit.seeding import Seeder, Seeding
from emdist.interfaces import Floats
from emdist.kernels.tiles.plusplus import squared_distances
from emdist.kernels.tiles.tiles import tiles

name = "cleaned"

#: The K of the K-th neighbour, whose distance counts.
NEIGHBOUR = 10
#: The largest number of sampled rows to compare with each other: in all, or for each component.
_ROWS, _ROWS_PER_COMPONENT = 4096, 32
_ITERATIONS = 200


def choose(seeding: Seeding, k: int) -> Floats:
    """Return `k` centres of clusters of those rows of the sample that lie in dense regions."""
    x, weight = seeding.sample()
    rng = seeding.rng(7)
    most = max(_ROWS, _ROWS_PER_COMPONENT * k)
    if len(x) > most:
        some = np.sort(rng.choice(len(x), most, replace=False))
        x, weight = x[some], weight[some]
    dense = no_clutter(x, weight)
    if len(np.unique(x[dense], axis=0)) >= k:
        x, weight = x[dense], weight[dense]
    start = seeding.geometry.seeds(x[seeding.spread_out(x, weight, k, rng)])
    return seeding.clustered(x, weight, start)


def no_clutter(x: Floats, weight: Floats) -> NDArray[np.bool_]:
    """Return (m,) whether a row of `x` (m, d) is in a dense region; all are if rows are few."""
    if len(x) < 4 * NEIGHBOUR:
        return np.ones(len(x), bool)
    log_volume = 0.5 * x.shape[1] * np.log(_neighbours(x, weight))
    # In units of the median, and within the range of exp.
    volume = np.exp(np.clip(log_volume - np.median(log_volume), -500.0, 500.0))
    return _in_dense(volume) > 0.5


def _neighbours(x: Floats, weight: Floats) -> Floats:
    """Return (m,) squared distance of each row to its K-th neighbour, never 0."""
    found = np.empty(len(x))
    equal = bool((weight == weight[0]).all())
    for a, b in tiles(len(x), 256):
        near = squared_distances(x, x[a:b])
        if equal:
            found[a:b] = np.partition(near, NEIGHBOUR, axis=1)[:, NEIGHBOUR]
            continue
        order = np.argsort(near, axis=1)
        within = weight[order].cumsum(axis=1) < (NEIGHBOUR + 1) * weight.mean()
        last = np.minimum(within.sum(axis=1), len(x) - 1)
        rows = np.arange(b - a)
        found[a:b] = near[rows, order[rows, last]]
    some = found[found > 0]
    return np.maximum(found, some.min() if len(some) else 1.0)


def _in_dense(volume: Floats) -> Floats:
    """Return (m,) probability of the higher of two rates, by EM from the two halves of `volume`."""
    dense = (volume <= np.median(volume)).astype(np.float64)
    for _ in range(_ITERATIONS):
        share = dense.mean()
        if not 0 < share < 1:
            break
        high = NEIGHBOUR * dense.sum() / (dense @ volume)
        low = NEIGHBOUR * (1 - dense).sum() / ((1 - dense) @ volume)
        odds = np.log((1 - share) / share) + NEIGHBOUR * np.log(low / high) + (high - low) * volume
        before, dense = dense, 1.0 / (1.0 + np.exp(np.clip(odds, -500.0, 500.0)))
        if np.abs(dense - before).max() < 1e-6:
            break
    return dense


seeder = Seeder(choose, clusters=True)
