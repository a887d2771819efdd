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
from emdist.kernels.jit import jit, jit_quotients, jit_sums
from emdist.kernels.panels import fill_panel
from emdist.kernels.two import nearest_two

Array = NDArray[Any]
Floats = NDArray[np.float64]


@jit_sums
def _squares(xs: Array, m: Any, out: Array) -> None:
    for r in range(m):
        total = 0.0
        for j in range(xs.shape[1]):
            value = np.float64(xs[r, j])
            total += value * value
        out[r] = total


@jit
def _winners(found: Array, best: Array, names: Array, m: Any, own: Array, label: Array,
             place: Array) -> None:  # fmt: skip
    """The best of all groups, and whose it is: the lowest index among equals."""
    for r in range(m):
        own[r], label[r], place[r] = best[0, r], names[found[0, r]], 0
    for q in range(1, found.shape[0]):
        for r in range(m):
            value, name = best[q, r], names[found[q, r]]
            wins = value > own[r] or (value == own[r] and name < label[r])
            own[r] = value if wins else own[r]
            label[r] = name if wins else label[r]
            place[r] = q if wins else place[r]


@jit_quotients
def _margins(norm: Array, own: Array, floor: Array, best: Array, second: Array, place: Array,
             gamma: Any, m: Any, out: Array, least: Array) -> None:  # fmt: skip
    """How much farther the nearest of each group is than the own centre: fills (g, tile).

    Scores err by at most ``gamma (2 |x| |mu| + |mu|^2)``, and so a squared distance D by
    ``gamma (5 |x|^2 + 3 D)``. A later pass tells two centres apart if their distances differ by
    more than ``gamma (6 |x|^2 / S + 4 |x| + 2 d_own)``, where S, the sum of the distances, is at
    least `floor`, how far apart the two centres are. Both are taken off, the latter twice.
    """
    error = 1 + 4 * gamma
    least[:] = np.inf
    for q in range(best.shape[0]):
        for r in range(m):
            upper = (max(norm[r] - own[r], 0.0) + 5 * gamma * norm[r]) * error
            other = np.float64(second[q, r] if q == place[r] else best[q, r])
            lower = max((norm[r] * (1 - 5 * gamma) - other) * (2 - error), 0.0)
            a, b = math.sqrt(upper), math.sqrt(lower)
            later = 6 * norm[r] / floor[r] + 4 * math.sqrt(norm[r]) + 2 * a
            margin = (lower - upper) / (a + b) - 2 * gamma * later
            # Towards less, whichever way float32 rounds.
            margin -= abs(margin) * 2.0**-22
            margin = np.inf if other == -np.inf else margin
            out[q, r] = margin
            least[r] = margin if not margin >= least[r] else least[r]


@jit
def rescore(x: Array, origin: Array, weight: Array, rows: Array, at: Array, now: Any, clock: Any,
            eta: Array, offset: Array, starts: Array, names: Array, floor: Array, gamma: Any,
            tile: Any, rounders: Array, labels: Array, since: Array, alarm: Array,
            margins: Array, n: Array, t: Array, norm: Array) -> None:  # fmt: skip
    """Label rows anew, with their bounds and the sums that they belong to.

    Parameters
    ----------
    x, origin, weight
        (m, d) rows as stored, what is subtracted from them first, (m,) weights or none.
    rows, at
        (r,) which rows of `x`, and where these stand in `labels`, `since`, `alarm`, `margins`.
    now, clock
        What `since` is set to, and what `alarm` counts from: see `unsafe`.
    eta, offset, starts, names
        Centres group by group, (g + 1,) where each group starts, and each centre's index.
    floor, gamma
        (k,) and scalar: see `_margins`.
    rounders, n, t
        As in `exact.move`.
    norm
        (2,) to which the squares of rows are added that had no label.
    """
    d, groups = x.shape[1], len(starts) - 1
    xs, panel = np.zeros((tile, d), eta.dtype), np.empty((d, tile), eta.dtype)
    nowhere = np.zeros(d)
    best, second = np.empty((groups, tile), eta.dtype), np.empty((groups, tile), eta.dtype)
    found, label = np.empty((groups, tile), np.int32), np.empty(tile, np.int32)
    own, place, bounds = np.empty(tile), np.empty(tile, np.int32), np.empty((groups, tile))
    length, apart, least = np.empty(tile), np.empty(tile), np.empty(tile)
    for a in range(0, len(rows), tile):
        m = min(tile, len(rows) - a)
        for r in range(m):
            i = rows[a + r]
            for j in range(d):
                xs[r, j] = x[i, j] - origin[j]
        _squares(xs, m, length)
        fill_panel(xs, 0, tile, nowhere, panel)
        for q in range(groups):
            nearest_two(panel, eta, offset, starts[q], starts[q + 1], found[q], best[q], second[q])
        _winners(found, best, names, m, own, label, place)
        for r in range(m):
            apart[r] = floor[label[r]]
        _margins(length, own, apart, best, second, place, gamma, m, bounds, least)
        for r in range(m):
            i, before = at[a + r], labels[at[a + r]]
            for q in range(groups):
                margins[i, q] = bounds[q, r]
            since[i] = now
            ring = clock + least[r]
            alarm[i] = ring - abs(ring) * 2.0**-22
            if before != label[r]:
                w = weight[rows[a + r]] if len(weight) else 1.0
                if before < 0:
                    square(xs[r], w, norm)
                move(xs[r], w, before, label[r], rounders, n, t)
                labels[i] = label[r]


@jit
def unsafe(labels: Array, since: Array, alarm: Array, margins: Array, table: Array, now: Any,
           clock: Any, out: Array) -> Any:  # fmt: skip
    """Fill `out` with the rows whose bounds no longer hold; how many.

    `table` (ages, k, g) says how far a row's own centre and the fastest of a group have moved,
    together, in so many passes; rows that are older are not safe. `clock` adds up how far any two
    centres moved in each pass: before it reaches a row's `alarm`, the table need not be asked.
    """
    found, ages, total = 0, table.shape[0], labels.shape[0]
    late = np.float32(clock + clock * 2.0**-22)
    for start in range(0, total, 64):
        part = alarm[start : start + 64]
        ringing = np.int32(0)
        for i in range(len(part)):
            # True for NaN.
            ringing += np.int32(not part[i] > late)
        if ringing == 0:
            continue
        for i in range(start, start + len(part)):
            if alarm[i] > late:
                continue
            age, least = now - since[i], -np.inf
            if age < ages:
                least = np.inf
                c = labels[i]
                for q in range(margins.shape[1]):
                    left = np.float64(margins[i, q]) - table[age, c, q]
                    least = left if not left >= least else least
            if least > 0.0:
                alarm[i] = clock + least - (clock + least) * 2.0**-22
            else:
                out[found] = i
                found += 1
    return found


@jit_quotients
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
