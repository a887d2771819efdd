"""Distances between rows and centres, and the nearest of the centres."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from emdist.kernels.tiles.tiles import tile_rows, tiles

Array = NDArray[Any]
Floats = NDArray[np.float64]

#: Returns dissimilarities (c, m) of rows (m, d) and centres (c, d), never negative.
Between: TypeAlias = Callable[[Floats, Floats], Floats]


def squared_distances(x: Array, centres: Array) -> Array:
    """Return all squared distances, never negative: (m, d), (c, d) -> (c, m)."""
    # Doubling is exact, so it may come before the product, where there is less to double.
    out = (-2.0 * centres) @ x.T
    out += np.einsum("ij,ij->i", x, x)
    out += np.einsum("ij,ij->i", centres, centres)[:, None]
    return np.maximum(out, 0.0, out=out)


def nearest(
    x: Floats, centres: Floats, between: Between = squared_distances
) -> tuple[NDArray[np.int32], Floats]:
    """Return the nearest centre and its distance, tile by tile: (m, d), (c, d) -> (m,), (m,)."""
    label, distance = np.empty(len(x), np.int32), np.empty(len(x))
    for a, b in tiles(len(x), tile_rows(x.shape[1] + len(centres), 8)):
        found = between(x[a:b], centres)
        label[a:b] = found.argmin(axis=0)
        distance[a:b] = found[label[a:b], np.arange(b - a)]
    return label, distance


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
