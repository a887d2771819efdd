"""Which rows may change their centre, and the nearest centres of those alone.

Hamerly 2010, "Making k-means even faster", SDM, with Ding et al. 2015, "Yinyang k-means", ICML: a
row keeps, for each group of centres, how much farther the nearest of the group was than its own
centre was. Until the two have moved that far towards it, the row cannot have changed.

The bounds hold for the labels as they are *computed*: whatever rounding may do to a score, when
bounds are made and at any later time, is taken off them.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdist.kernels.exact import move, square
from emdist.kernels.jit import jit
from emdist.kernels.lloyd import FEW_FEATURES, _first_four, _next_four, _one_more, _turn

Array = NDArray[Any]
Floats = NDArray[np.float64]

#: Rows of a tile, and centres that are scored at once, by own loops and by BLAS.
_ROWS, _BLAS_ROWS, _BLAS_CENTRES = 1024, 2048, 64


@jit
def _take_two(
    g: Array, count: Any, j: Any, best: Array, second: Array, labels: Array
) -> None:
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


@jit
def _margin(own: Any, other: Any, norm: Any, floor: Any, gamma: Any) -> Any:
    """How much farther another centre is than the own one, at least.

    With u the unit of rounding, scores err by at most ``gamma (2 |x| |mu| + |mu|^2)``, and so a
    squared distance D by ``gamma (5 |x|^2 + 3 D)``. A later pass tells the two apart if their
    distances differ by more than ``gamma (6 |x|^2 / S + 4 |x| + 2 d_own)``, where S, the sum of
    the distances, is at least `floor`, how far apart the two centres are.
    """
    if other == -np.inf:
        return np.inf
    near = max(norm - own, 0.0)
    upper = (near + 5 * gamma * norm) * (1 + 4 * gamma)
    lower = max((norm - other - 5 * gamma * norm) * (1 - 4 * gamma), 0.0)
    a, b = math.sqrt(upper), math.sqrt(lower)
    if floor <= 0.0 or a + b <= 0.0:
        return -np.inf
    later = gamma * (6 * norm / floor + 4 * math.sqrt(norm) + 2 * a)
    return (lower - upper) / (a + b) - 2 * later


@jit
def rescore(x: Array, origin: Array, weight: Array, rows: Array, at: Array, now: Any, eta: Array,
            offset: Array, starts: Array, names: Array, floor: Array, gamma: Any, tile: Any,
            centres: Any, rounders: Array, labels: Array, since: Array, margins: Array, n: Array,
            t: Array, norm: Array) -> Any:  # fmt: skip
    """Label rows anew, with their bounds and the sums that they belong to; how many changed.

    Parameters
    ----------
    x, origin, weight
        (m, d) rows as stored, what is subtracted from them first, (m,) weights or none.
    rows, at
        (r,) which rows of `x`, and where these stand in `labels`, `since` and `margins`.
    now
        What `since` is set to.
    eta, offset, starts, names
        Centres group by group, (g + 1,) where each group starts, and each centre's index.
    floor, gamma
        (k,) and scalar: see `_margin`.
    rounders, n, t
        As in `exact.move`.
    norm
        (2,) to which the squares of rows are added that had no label.
    """
    d, groups = x.shape[1], len(starts) - 1
    xs, g = np.zeros((tile, d), eta.dtype), np.empty((centres, tile), eta.dtype)
    xt = np.zeros((d, tile), eta.dtype)
    best, second = np.empty((groups, tile), eta.dtype), np.empty((groups, tile), eta.dtype)
    found = np.empty((groups, tile), np.int32)
    changed = 0
    for a in range(0, len(rows), tile):
        m = min(tile, len(rows) - a)
        for r in range(m):
            i = rows[a + r]
            for j in range(d):
                xs[r, j] = x[i, j] - origin[j]
        if centres == 4:
            _turn(xs, m, xt)
        for q in range(groups):
            nearest_two(
                xs, m, xt, eta, offset, starts[q], starts[q + 1], g, found[q], best[q], second[q]
            )
        for r in range(m):
            own, label, place = best[0, r], names[found[0, r]], 0
            for q in range(1, groups):
                value, name = best[q, r], names[found[q, r]]
                if value > own or (value == own and name < label):
                    own, label, place = value, name, q
            i = at[a + r]
            length = 0.0
            for j in range(d):
                value = np.float64(xs[r, j])
                length += value * value
            for q in range(groups):
                other = np.float64(second[q, r] if q == place else best[q, r])
                margin = _margin(np.float64(own), other, length, floor[label], gamma)
                # Towards less, whichever way float32 rounds.
                margins[i, q] = margin - abs(margin) * 2.0**-22 if margin < np.inf else margin
            since[i] = now
            before = labels[i]
            if before != label:
                w = weight[rows[a + r]] if len(weight) else 1.0
                if before < 0:
                    square(xs[r], w, norm)
                move(xs[r], w, before, label, rounders, n, t)
                labels[i] = label
                changed += 1
    return changed


@jit
def unsafe(labels: Array, since: Array, margins: Array, table: Array, now: Any, out: Array) -> Any:
    """Fill `out` with the rows whose bounds no longer hold; how many.

    `table` (ages, k, g) says how far a row's own centre and the fastest of a group have moved,
    together, in so many passes; rows that are older are not safe.
    """
    found = 0
    ages = table.shape[0]
    for i in range(labels.shape[0]):
        age = now - since[i]
        safe = age < ages
        if safe:
            c = labels[i]
            for q in range(margins.shape[1]):
                # False for NaN.
                safe &= margins[i, q] > table[age, c, q]
        out[found] = i
        found += not safe
    return found


@jit
def passes_left(labels: Array, margins: Array, pace: Array, out: Array) -> None:
    """How many passes a row's bounds will hold if centres go on as they do: fills (m,).

    `pace` (k, g) is what a pass takes off a bound.
    """
    for i in range(labels.shape[0]):
        least = np.inf
        for q in range(margins.shape[1]):
            least = min(least, margins[i, q] / (pace[labels[i], q] + 1e-300))
        out[i] = least


@jit
def movements(drift: Array, order: Array, sizes: Array, valid: Array, out: Array) -> None:
    """Fill `out` (ages, k, g): movement of a centre and the fastest other of each group.

    Parameters
    ----------
    drift
        (ages, k) how far centres have moved since.
    order, sizes
        (ages, k) centres group by group, and (g,) how many a group has.
    valid
        (ages, k) False where a row of that centre is not safe in any case.
    """
    ages, k = drift.shape
    for e in range(ages):
        start = 0
        for q in range(len(sizes)):
            first, next_, who = -1.0, -1.0, -1
            for p in range(start, start + sizes[q]):
                value = drift[e, order[e, p]]
                if value > first:
                    first, next_, who = value, first, order[e, p]
                elif value > next_:
                    next_ = value
            start += sizes[q]
            for c in range(k):
                other = next_ if c == who else first
                total = np.inf if not valid[e, c] else drift[e, c] + max(other, 0.0)
                out[e, c, q] = total * (1 + 2.0**-22)


def tile_of(d: int) -> tuple[int, int]:
    """Rows of a tile, and centres that are scored at once."""
    return (_ROWS, 4) if d <= FEW_FEATURES else (_BLAS_ROWS, _BLAS_CENTRES)
