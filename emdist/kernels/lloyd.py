"""K-means' E-step of a whole block in one compiled call: no step between tiles holds the GIL.

Scores are computed four centres at a time against rows that lie feature by feature, so that the
loop over rows is the inner one and vectorises whatever d is; matrix products of so few features
spend most of their time on packing. Where there are many features BLAS does them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdist.kernels.jit import jit, jit_fused, jit_sums
from emdist.kernels.moments import distance_to_own
from emdist.kernels.tiles import shift, shifted, tiles

Array = NDArray[Any]
Floats = NDArray[np.float64]

#: Features up to which own loops beat BLAS, measured with one core's 256-bit vectors.
FEW_FEATURES = 32
#: Rows of a tile, and centres that BLAS scores at once: scores of a tile stay in cache.
_ROWS, _BLAS_ROWS, _CENTRES = 1024, 2048, 64
#: Rows that are converted at once, of types that the kernel is not compiled for.
_STRETCH = 1 << 16


@jit_fused
def _first_four(xt: Array, eta: Array, j: Any, offset: Array, g: Array) -> Any:
    """Begin the scores of centres j..j+3 with their first four features; features done."""
    d, m = xt.shape
    g0, g1, g2, g3 = g[0], g[1], g[2], g[3]
    o0, o1, o2, o3 = offset[j], offset[j + 1], offset[j + 2], offset[j + 3]
    if d < 4:
        for i in range(m):
            g0[i] = o0
            g1[i] = o1
            g2[i] = o2
            g3[i] = o3
        return 0
    x0, x1, x2, x3 = xt[0], xt[1], xt[2], xt[3]
    a0, a1, a2, a3 = eta[j, 0], eta[j, 1], eta[j, 2], eta[j, 3]
    b0, b1, b2, b3 = eta[j + 1, 0], eta[j + 1, 1], eta[j + 1, 2], eta[j + 1, 3]
    c0, c1, c2, c3 = eta[j + 2, 0], eta[j + 2, 1], eta[j + 2, 2], eta[j + 2, 3]
    e0, e1, e2, e3 = eta[j + 3, 0], eta[j + 3, 1], eta[j + 3, 2], eta[j + 3, 3]
    for i in range(m):
        p0, p1, p2, p3 = x0[i], x1[i], x2[i], x3[i]
        g0[i] = o0 + a0 * p0 + a1 * p1 + a2 * p2 + a3 * p3
        g1[i] = o1 + b0 * p0 + b1 * p1 + b2 * p2 + b3 * p3
        g2[i] = o2 + c0 * p0 + c1 * p1 + c2 * p2 + c3 * p3
        g3[i] = o3 + e0 * p0 + e1 * p1 + e2 * p2 + e3 * p3
    return 4


@jit_fused
def _next_four(xt: Array, eta: Array, j: Any, q: Any, g: Array) -> None:
    """Add features q..q+3 to the scores of centres j..j+3."""
    m = xt.shape[1]
    g0, g1, g2, g3 = g[0], g[1], g[2], g[3]
    x0, x1, x2, x3 = xt[q], xt[q + 1], xt[q + 2], xt[q + 3]
    a0, a1, a2, a3 = eta[j, q], eta[j, q + 1], eta[j, q + 2], eta[j, q + 3]
    b0, b1, b2, b3 = eta[j + 1, q], eta[j + 1, q + 1], eta[j + 1, q + 2], eta[j + 1, q + 3]
    c0, c1, c2, c3 = eta[j + 2, q], eta[j + 2, q + 1], eta[j + 2, q + 2], eta[j + 2, q + 3]
    e0, e1, e2, e3 = eta[j + 3, q], eta[j + 3, q + 1], eta[j + 3, q + 2], eta[j + 3, q + 3]
    for i in range(m):
        p0, p1, p2, p3 = x0[i], x1[i], x2[i], x3[i]
        g0[i] += a0 * p0 + a1 * p1 + a2 * p2 + a3 * p3
        g1[i] += b0 * p0 + b1 * p1 + b2 * p2 + b3 * p3
        g2[i] += c0 * p0 + c1 * p1 + c2 * p2 + c3 * p3
        g3[i] += e0 * p0 + e1 * p1 + e2 * p2 + e3 * p3


@jit_fused
def _one_more(xt: Array, eta: Array, j: Any, q: Any, g: Array) -> None:
    """Add feature q to the scores of centres j..j+3."""
    g0, g1, g2, g3 = g[0], g[1], g[2], g[3]
    x, a, b, c, e = xt[q], eta[j, q], eta[j + 1, q], eta[j + 2, q], eta[j + 3, q]
    for i in range(xt.shape[1]):
        p = x[i]
        g0[i] += a * p
        g1[i] += b * p
        g2[i] += c * p
        g3[i] += e * p


@jit
def _take_best(g: Array, j: Any, best: Array, labels: Array) -> None:
    """Let the rows of `g`, scores of centres j, j+1, ..., win where they are strictly higher."""
    for r in range(g.shape[0]):
        label = np.int32(j + r)
        row = g[r]
        for i in range(best.shape[0]):
            value, before = row[i], best[i]
            wins = value > before
            best[i] = value if wins else before
            labels[i] = label if wins else labels[i]


@jit
def _add_offset(g: Array, offset: Array, j: Any) -> None:
    for r in range(g.shape[0]):
        o = offset[j + r]
        for i in range(g.shape[1]):
            g[r, i] += o


@jit
def _turn(xs: Array, m: Any, xt: Array) -> None:
    """Lay rows feature by feature, 16 at a time: a cache line of each feature."""
    for start in range(0, m, 16):
        for j in range(xs.shape[1]):
            for i in range(start, min(start + 16, m)):
                xt[j, i] = xs[i, j]


@jit
def _label(xs: Array, m: Any, xt: Array, eta: Array, offset: Array, g: Array, best: Array,
           labels: Array) -> None:  # fmt: skip
    """Labels of a tile: the lowest index among the highest scores."""
    d = xs.shape[1]
    best[:] = -np.inf
    labels[:] = 0
    if g.shape[0] == 4:
        _turn(xs, m, xt)
        for j in range(0, eta.shape[0], 4):
            q = _first_four(xt, eta, j, offset, g)
            while q + 4 <= d:
                _next_four(xt, eta, j, q, g)
                q += 4
            while q < d:
                _one_more(xt, eta, j, q, g)
                q += 1
            _take_best(g, j, best, labels)
        return
    for j in range(0, eta.shape[0], g.shape[0]):
        np.dot(eta[j : j + g.shape[0]], xs.T, g)
        _add_offset(g, offset, j)
        _take_best(g, j, best, labels)


@jit_sums
def _gather(xs: Array, m: Any, means: Array, labels: Array, n: Array, t: Array) -> Any:
    total = 0.0
    for i in range(m):
        c = labels[i]
        n[c] += 1.0
        distance = 0.0
        for j in range(xs.shape[1]):
            value = np.float64(xs[i, j])
            t[c, j] += value
            diff = value - means[c, j]
            distance += diff * diff
        total += distance
    return total


@jit_sums
def _gather_weighted(
    xs: Array, m: Any, means: Array, labels: Array, weight: Array, n: Array, t: Array
) -> Any:
    total = 0.0
    for i in range(m):
        c, w = labels[i], weight[i]
        n[c] += w
        distance = 0.0
        for j in range(xs.shape[1]):
            value = np.float64(xs[i, j])
            t[c, j] += w * value
            diff = value - means[c, j]
            distance += diff * diff
        total += w * distance
    return total


@jit
def _sums(x: Array, origin: Array, eta: Array, offset: Array, means: Array, weight: Array,
          rows: Any, centres: Any, n: Array, t: Array) -> Any:  # fmt: skip
    d = x.shape[1]
    xs, g = np.zeros((rows, d), eta.dtype), np.empty((centres, rows), eta.dtype)
    xt = np.zeros((d, rows), eta.dtype)
    best, labels = np.empty(rows, eta.dtype), np.empty(rows, np.int32)
    total = 0.0
    for a in range(0, x.shape[0], rows):
        m = min(rows, x.shape[0] - a)
        shift(x[a : a + m], origin, xs[:m])
        _label(xs, m, xt, eta, offset, g, best, labels)
        if len(weight):
            total += _gather_weighted(xs, m, means, labels, weight[a : a + m], n, t)
        else:
            total += _gather(xs, m, means, labels, n, t)
    return total


@jit
def _rows(x: Array, origin: Array, eta: Array, offset: Array, means: Array, rows: Any,
          centres: Any, labels: Array, distance: Array) -> None:  # fmt: skip
    d = x.shape[1]
    xs, g = np.zeros((rows, d), eta.dtype), np.empty((centres, rows), eta.dtype)
    xt = np.zeros((d, rows), eta.dtype)
    best, tile = np.empty(rows, eta.dtype), np.empty(rows, np.int32)
    for a in range(0, x.shape[0], rows):
        m = min(rows, x.shape[0] - a)
        shift(x[a : a + m], origin, xs[:m])
        _label(xs, m, xt, eta, offset, g, best, tile)
        labels[a : a + m] = tile[:m]
        distance_to_own(xs[:m], means, tile, distance[a : a + m])


def _padded(eta: Array, offset: Array) -> tuple[Array, Array, int, int]:
    """Parameters with centres that never win up to a multiple of those scored at once."""
    few = eta.shape[1] <= FEW_FEATURES
    rows, centres = (_ROWS, 4) if few else (_BLAS_ROWS, _CENTRES)
    missing = -len(eta) % centres
    eta = np.concatenate([eta, np.zeros((missing, eta.shape[1]), eta.dtype)])
    offset = np.concatenate([offset, np.full(missing, -np.inf, eta.dtype)])
    return eta, offset.astype(eta.dtype), rows, centres


def _parts(x: Array, origin: Floats, dtype: np.dtype[Any]) -> Any:
    """Ranges of rows, with arrays that the kernel is compiled for and their origin."""
    if x.dtype.kind == "f" and x.dtype.itemsize >= 4 and x.flags.c_contiguous:
        yield 0, len(x), x, origin
        return
    nowhere = np.zeros(len(origin))
    for a, b in tiles(len(x), _STRETCH):
        yield a, b, shifted(x[a:b], origin, dtype.name), nowhere


def nearest_sums(
    x: Array, origin: Floats, eta: Array, offset: Array, means: Floats, weight: Floats | None
) -> tuple[Floats, Floats, float]:
    """Weights (k,), sums of rows (k, d) and weighted squared distance of a block to its centres.

    Parameters
    ----------
    x
        (m, d) rows as stored.
    origin
        (d,) subtracted from them first, in float64.
    eta, offset
        (k, d) and (k,): a row goes to the highest ``eta x + offset``, in the precision of `eta`.
    means
        (k, d) centres relative to the origin; distances to them are subtracted before squaring.
    weight
        (m,) or None for 1.
    """
    n, t, total = np.zeros(len(means)), np.zeros(means.shape), 0.0
    ready = _padded(eta, offset)
    none = np.empty(0)
    for a, b, part, where in _parts(x, origin, eta.dtype):
        w = none if weight is None else weight[a:b]
        total += _sums(part, where, ready[0], ready[1], means, w, ready[2], ready[3], n, t)
    return n, t, total


def nearest_rows(
    x: Array, origin: Floats, eta: Array, offset: Array, means: Floats
) -> tuple[NDArray[np.int32], Floats]:
    """Labels (m,) of a block, as `nearest_sums` goes by, and squared distances (m,) to them."""
    labels, distance = np.empty(len(x), np.int32), np.empty(len(x))
    ready = _padded(eta, offset)
    for a, b, part, where in _parts(x, origin, eta.dtype):
        _rows(
            part, where, ready[0], ready[1], means, ready[2], ready[3], labels[a:b], distance[a:b]
        )
    return labels, distance
