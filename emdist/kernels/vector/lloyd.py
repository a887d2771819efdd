"""K-means' E-step of a whole block in one compiled call, so that no step in it holds the GIL."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdist.kernels.jit import jit, part, part_sums
from emdist.kernels.tiles.tiles import tiles
from emdist.kernels.vector.gathering import gather_rows, gather_weighted_rows
from emdist.kernels.vector.lanes import borrowed, panel_rows
from emdist.kernels.vector.panels import (
    aligned,
    fill_panel,
    is_readable,
    pack_components,
    readable,
    widened,
)
from emdist.kernels.vector.scoring import best_of_panel

Array = NDArray[Any]
Floats = NDArray[np.float64]

#: Rows in a call if they must be converted, because the kernel is not compiled for their type.
_STRETCH = 1 << 16


@part_sums
def _gather_last(x: Array, a: Any, b: Any, origin: Array, means: Array, labels: Array,
                 weight: Array, one: Array, n: Array, t: Array) -> Any:  # fmt: skip
    """Add the last rows one by one; return their weighted squared distances in total."""
    total = 0.0
    for i in range(a, b):
        c = labels[i - a]
        w = weight[i] if len(weight) else 1.0
        distance = 0.0
        n[c] += w
        for j in range(x.shape[1]):
            one[0] = x[i, j] - origin[j]
            value = np.float64(one[0])
            t[c, j] += w * value
            diff = value - means[c, j]
            distance += diff * diff
        total += w * distance
    return total


@part
def _gather(x: Array, a: Any, b: Any, origin: Array, means: Array, labels: Array, weight: Array,
            best: Array, n: Array, t: Array) -> Any:  # fmt: skip
    """Add rows to the sums of their labels; return their weighted squared distances in total."""
    # `gather_rows` reads whole vectors, and the last rows may not be read beyond their end.
    if (b - 1) * x.shape[1] + means.shape[1] > x.size:
        return _gather_last(x, a, b, origin, means, labels, weight, best[:1], n, t)
    if len(weight):
        return gather_weighted_rows(x, a, b, origin, means, labels, weight, best, n, t)
    return gather_rows(x, a, b, origin, means, labels, weight, best, n, t)


@part_sums
def _distances(x: Array, a: Any, b: Any, origin: Array, means: Array, labels: Array,
               out: Array) -> None:  # fmt: skip
    # In float64, whatever precision gave the labels. If a row that is near its centre and far from
    # the origin were rounded before the subtraction, its distance would be lost.
    for i in range(a, b):
        total = 0.0
        for j in range(x.shape[1]):
            diff = (np.float64(x[i, j]) - origin[j]) - means[labels[i - a], j]
            total += diff * diff
        out[i] = total


@jit
def _block(x: Array, origin: Array, eta: Array, offset: Array, means: Array, weight: Array,
           whole: Array, about: Array, panel: Array, best: Array, own: Array, n: Array, t: Array,
           labels: Array, distance: Array) -> Any:  # fmt: skip
    """Label the rows of a block: each gets the lowest index among its highest scores.

    Fill labels and squared distances (m,), and add the rows to n and t, unless these arrays are
    empty. Return the weighted squared distances in total, if rows are added. One kernel does all,
    because most of the time to compile it goes into the labels. All arrays belong to the caller, so
    they are borrowed.
    """
    x, origin, eta, offset = borrowed(x), borrowed(origin), borrowed(eta), borrowed(offset)
    means, weight, panel = borrowed(means), borrowed(weight), borrowed(panel)
    best, own, n, t = borrowed(best), borrowed(own), borrowed(n), borrowed(t)
    whole, about = borrowed(whole), borrowed(about)
    labels, distance = borrowed(labels), borrowed(distance)
    total = 0.0
    for a in range(0, x.shape[0], len(best)):
        b = min(a + len(best), x.shape[0])
        fill_panel(x, a, b, origin, panel)
        for i in range(len(best)):
            best[i] = -np.inf
            own[i] = 0
        best_of_panel(panel, eta, offset, best, own)
        if len(labels):
            for i in range(b - a):
                labels[a + i] = own[i]
        if len(distance):
            _distances(whole, a, b, about, means, own, distance)
        if len(n):
            total += _gather(x, a, b, origin, means, own, weight, best, n, t)
    return total


def _room(x: Array, eta: Array) -> tuple[Array, Array, Array]:
    """Return a panel, and room for the best score and the label of each of its rows."""
    rows = panel_rows(eta.dtype.itemsize)
    panel = aligned((x.shape[1], rows), eta.dtype)
    return panel, np.empty(rows, eta.dtype), np.empty(rows, np.int32)


def nearest_sums(
    x: Array, origin: Floats, eta: Array, offset: Array, means: Floats, weight: Floats | None
) -> tuple[Floats, Floats, float]:
    """Return weights (k,), sums of rows (k, d) and the weighted squared distance of a block.

    The distance is that of each row to its nearest centre, summed over the rows.

    Parameters
    ----------
    x
        (m, d) rows as stored.
    origin
        (d,) subtracted from them first, in float64.
    eta, offset
        (k, d) and (k,): a row goes to the highest ``eta x + offset``, in the precision of `eta`.
    means
        (k, d) centres relative to the origin. Distances to them are subtracted before squaring.
    weight
        (m,) sample weights, or None for 1.
    """
    ready, own = pack_components(eta, offset), _room(x, eta)
    none, unlabelled = np.empty(0), np.empty(0, np.int32)
    wide = widened(means)
    n, t, total = np.zeros(len(wide)), np.zeros(wide.shape), 0.0
    for a, b in tiles(len(x), max(1, len(x)) if is_readable(x) else _STRETCH):
        part, where = readable(x[a:b], origin, eta.dtype)
        w = none if weight is None else np.ascontiguousarray(weight[a:b])
        where, about = widened(where), widened(origin)
        total += _block(part, where, *ready, wide, w, part, about, *own, n, t, unlabelled, none)
    return n, np.ascontiguousarray(t[:, : means.shape[1]]), total


def labelled_sums(
    x: Array, eta: Array, offset: Array, weight: Floats | None
) -> tuple[NDArray[np.int32], Floats, Floats]:
    """Return labels (m,), weights (k,) and sums (k, d) of rows `x` (m, d) of any block.

    A row goes to the highest ``eta x + offset``, in the precision of `eta` and `x`.
    """
    labels, none = np.empty(len(x), np.int32), np.empty(0)
    wide, origin = widened(np.zeros(eta.shape)), np.zeros(x.shape[1])
    n, t = np.zeros(len(wide)), np.zeros(wide.shape)
    ready, about = pack_components(eta, offset), widened(origin)
    part, where = readable(x, origin, eta.dtype)
    w = none if weight is None else np.ascontiguousarray(weight)
    _block(
        part, widened(where), *ready, wide, w, part, about, *_room(x, eta), n, t, labels, none
    )  # fmt: skip
    return labels, n, np.ascontiguousarray(t[:, : x.shape[1]])


def nearest_rows(
    x: Array, origin: Floats, eta: Array, offset: Array, means: Floats
) -> tuple[NDArray[np.int32], Floats]:
    """Return labels (m,) of a block as `nearest_sums` assigns them, and squared distances (m,).

    The distances are those of the rows as stored to their centres, in float64.
    """
    labels, distance = np.empty(len(x), np.int32), np.empty(len(x))
    ready, own = pack_components(eta, offset), _room(x, eta)
    none, sums, means = np.empty(0), np.empty((0, 0)), np.ascontiguousarray(means)
    for a, b in tiles(len(x), max(1, len(x)) if is_readable(x) else _STRETCH):
        part, where = readable(x[a:b], origin, eta.dtype)
        whole, about = readable(x[a:b], origin, np.dtype(np.float64))
        _block(
            part, where, *ready, means, none, whole, about, *own, none, sums, labels[a:b],
            distance[a:b],
        )  # fmt: skip
    return labels, distance
