"""The two nearest centres of the rows of a tile: what `bounds` wants of any kernel that scores."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdist.kernels.jit import jit, jit_fused

Array = NDArray[Any]

#: Features up to which own loops beat BLAS.
_FEW_FEATURES = 32
#: Rows of a tile, and centres that are scored at once, by own loops and by BLAS.
_ROWS, _BLAS_ROWS, _BLAS_CENTRES = 1024, 2048, 64


def tile_of(d: int) -> tuple[int, int]:
    """Rows of a tile, and centres that are scored at once."""
    return (_ROWS, 4) if d <= _FEW_FEATURES else (_BLAS_ROWS, _BLAS_CENTRES)


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
def turn(xs: Array, m: Any, xt: Array) -> None:
    """Lay rows feature by feature, 16 at a time: a cache line of each feature."""
    for start in range(0, m, 16):
        for j in range(xs.shape[1]):
            for i in range(start, min(start + 16, m)):
                xt[j, i] = xs[i, j]


@jit
def _take_two(g: Array, count: Any, j: Any, best: Array, second: Array, labels: Array) -> None:
    """Let scores of centres j..j+count-1 take first or second place; the first come stays first."""
    for r in range(count):
        label = np.int32(j + r)
        row = g[r]
        for i in range(best.shape[0]):
            value, before, next_ = row[i], best[i], second[i]
            wins = value > before
            other = before if wins else value
            best[i] = value if wins else before
            second[i] = other if other > next_ else next_
            labels[i] = label if wins else labels[i]


@jit
def nearest_two(xs: Array, m: Any, xt: Array, eta: Array, offset: Array, start: Any, stop: Any,
                g: Array, labels: Array, best: Array, second: Array) -> None:  # fmt: skip
    """Highest and second highest ``eta x + offset`` among centres start..stop-1, for rows `xs`.

    Parameters
    ----------
    xs, m, xt
        (rows, d) tile, of which `m` rows count, and the same feature by feature where own loops
        score.
    g
        Scratch, (4, rows) for own loops or more for BLAS.
    labels, best, second
        (rows,) filled.
    """
    d = xs.shape[1]
    best[:] = -np.inf
    second[:] = -np.inf
    labels[:] = start
    if g.shape[0] == 4:
        for j in range(start, stop, 4):
            q = _first_four(xt, eta, j, offset, g)
            while q + 4 <= d:
                _next_four(xt, eta, j, q, g)
                q += 4
            while q < d:
                _one_more(xt, eta, j, q, g)
                q += 1
            _take_two(g, 4, j, best, second, labels)
        return
    for j in range(start, stop, g.shape[0]):
        width = min(g.shape[0], stop - j)
        np.dot(eta[j : j + width], xs.T, g[:width])
        for r in range(width):
            o = offset[j + r]
            for i in range(g.shape[1]):
                g[r, i] += o
        _take_two(g, width, j, best, second, labels)
