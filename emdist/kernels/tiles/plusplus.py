"""Weighted greedy k-means++ on rows in memory, and squared distances between rows and centres."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from emdist.kernels.tiles.tiles import tile_rows, tiles

Floats = NDArray[np.float64]

#: Returns dissimilarities (c, m) of rows (m, d) and centres (c, d), never negative.
Between: TypeAlias = Callable[[Floats, Floats], Floats]


def squared_distances(x: Floats, centres: Floats) -> Floats:
    """Return all squared distances, never negative: (m, d), (c, d) -> (c, m)."""
    out = centres @ x.T
    out *= -2.0
    out += np.einsum("ij,ij->i", x, x)
    out += np.einsum("ij,ij->i", centres, centres)[:, None]
    return np.maximum(out, 0.0, out=out)


def nearest(x: Floats, centres: Floats, between: Between = squared_distances) -> NDArray[np.int32]:
    """Return the index of the nearest centre, tile by tile: (m, d), (c, d) -> (m,)."""
    out = np.empty(len(x), np.int32)
    for a, b in tiles(len(x), tile_rows(x.shape[1] + len(centres), 8)):
        out[a:b] = between(x[a:b], centres).argmin(axis=0)
    return out


def nearest_others(centres: Floats) -> tuple[NDArray[np.int32], Floats]:
    """Return each centre's nearest other, and the squared distance: (k, d) -> (k,), (k,)."""
    k = len(centres)
    index, distance = np.zeros(k, np.int32), np.full(k, np.inf)
    for a, b in tiles(k, tile_rows(centres.shape[1] + k, 8)):
        # Each pair is compared once: centres before `a` have already met these.
        between = squared_distances(centres[a:], centres[a:b])
        own = np.arange(b - a)
        between[own, own] = np.inf
        _keep_nearer(index[a:b], distance[a:b], between.argmin(axis=1) + a, between.min(axis=1))
        if b < k:
            after = between[:, b - a :]
            _keep_nearer(index[b:], distance[b:], after.argmin(axis=0) + a, after.min(axis=0))
    return index, distance


def _keep_nearer(
    index: NDArray[np.int32], distance: Floats, at: NDArray[np.int64], near: Floats
) -> None:
    closer = near < distance
    np.copyto(index, at, "same_kind", closer)
    np.copyto(distance, near, where=closer)


def _draw(potential: Floats, size: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw `size` indices in proportion to `potential`."""
    cumulative = np.cumsum(potential)
    at = np.searchsorted(cumulative, rng.random(size) * cumulative[-1], side="right")
    last: NDArray[np.int64] = np.minimum(at, len(potential) - 1).astype(np.int64)
    return last


def plusplus(
    x: Floats,
    weight: Floats,
    k: int,
    rng: np.random.Generator,
    between: Between = squared_distances,
    told: Callable[[int], None] | None = None,
) -> NDArray[np.int64]:
    """Return the indices of `k` rows chosen by greedy k-means++.

    Source: Arthur and Vassilvitskii 2007, with their greedy variant: each new centre is the best of
    ``2 + log k`` candidates that are drawn in proportion to weight times squared distance.

    Parameters
    ----------
    x
        (m, d) rows, m >= k.
    weight
        (m,) weights, not all zero.
    k
        The number of rows to choose.
    rng
        The random generator.
    between
        Dissimilarities to use in place of squared distances.
    told
        Called with the number of rows chosen so far.
    """
    trials = 2 + int(np.log(k))
    chosen = np.empty(k, np.int64)
    chosen[0] = _draw(weight, 1, rng)[0]
    nearest = between(x, x[chosen[:1]])[0]
    # Rounding leaves a small distance of the row to itself, so that it could be drawn again.
    nearest[chosen[0]] = 0.0
    for c in range(1, k):
        potential = weight * nearest
        if not potential.sum() > 0:
            potential = weight.copy()
            potential[chosen[:c]] = 0.0
            if not potential.sum() > 0:
                potential = np.ones_like(weight)
        candidates = _draw(potential, trials, rng)
        closer = np.minimum(between(x, x[candidates]), nearest)
        best = int(np.argmin(closer @ weight))
        chosen[c] = candidates[best]
        nearest = closer[best]
        nearest[chosen[c]] = 0.0
        if told is not None:
            told(c + 1)
    return chosen
