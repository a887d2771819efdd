"""Finds the rows that may change their centre, and the nearest centres of only those rows.

Hamerly 2010, "Making k-means even faster", SDM, with Ding et al. 2015, "Yinyang k-means", ICML: for
each group of centres, a row keeps by how much the nearest centre of the group was farther than its
own centre. Until the two centres have moved by that much in total, the row cannot have changed.

The bounds hold for the labels as they are *computed*. Whatever rounding may do to a score, when
bounds are made and at any later time, is subtracted from them.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdist.kernels.jit import jit, jit_quotients
from emdist.kernels.tiles.exact import count, move, square
from emdist.kernels.vector.moving import move_row
from emdist.kernels.vector.panels import fill_panel
from emdist.kernels.vector.two import nearest_two

Array = NDArray[Any]
Floats = NDArray[np.float64]


@jit
def _squares(panel: Array, out: Array) -> None:
    """Fill `out` with the squared norms of a panel's rows, in float64."""
    out[:] = 0.0
    for j in range(panel.shape[0]):
        for r in range(panel.shape[1]):
            value = np.float64(panel[j, r])
            out[r] += value * value


@jit
def _winners(found: Array, best: Array, names: Array, m: Any, own: Array, label: Array,
             place: Array) -> None:  # fmt: skip
    """Find each row's best centre over all groups; among equals, the lowest index."""
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
             gamma: Any, m: Any, upper: Array, error: Array, out: Array) -> None:  # fmt: skip
    """Fill `out` (g, tile): how much farther each group's nearest centre is than the row's own.

    Scores err by at most ``gamma (2 |x| |mu| + |mu|^2)``, and so a squared distance D by
    ``gamma (5 |x|^2 + 3 D)``. A later pass can tell two centres apart if their distances differ by
    more than ``gamma (6 |x|^2 / S + 4 |x| + 2 d_own)``. S is the sum of the distances. It is at
    least the distance between the two centres, and so at least `floor`, which is half of the
    distance to the nearest other centre. Both errors are subtracted, the latter twice.
    """
    wide = 1 + 4 * gamma
    for r in range(m):
        upper[r] = math.sqrt((max(norm[r] - own[r], 0.0) + 5 * gamma * norm[r]) * wide)
        later = 6 * norm[r] / floor[r] + 4 * math.sqrt(norm[r]) + 2 * upper[r]
        error[r] = 2 * gamma * later
    for q in range(best.shape[0]):
        for r in range(m):
            other = np.float64(second[q, r] if q == place[r] else best[q, r])
            lower = math.sqrt(max((norm[r] * (1 - 5 * gamma) - other) * (2 - wide), 0.0))
            # The rounding of the roots is far below the error, or below the next line's margin.
            margin = lower - upper[r] - error[r]
            # Make it smaller, whichever way float32 rounds.
            margin -= abs(margin) * 2.0**-22
            out[q, r] = np.inf if other == -np.inf else margin


@jit
def _move_last(x: Array, i: Any, origin: Array, w: Any, before: Any, after: Any, rounders: Array,
               one: Array, t: Array, norm: Array) -> None:  # fmt: skip
    """Do what `move_row` does, for the last rows, which must not be read beyond their end."""
    row = one[: x.shape[1]]
    for j in range(x.shape[1]):
        row[j] = x[i, j] - origin[j]
    move(row, w, before, after, rounders, t)
    if before < 0:
        square(row, w, norm)


@jit
def rescore(x: Array, origin: Array, weight: Array, rows: Array, at: Array, now: Any,
            eta: Array, offset: Array, starts: Array, names: Array, floor: Array, gamma: Any,
            tile: Any, rounders: Array, labels: Array, since: Array,
            margins: Array, n: Array, t: Array, norm: Array) -> None:  # fmt: skip
    """Label rows again, and update their bounds and the sums that they belong to.

    Parameters
    ----------
    x, origin, weight
        (m, d) rows as stored, the origin to subtract first, `widened`, and (m,) weights or none.
    rows, at
        (r,) which rows of `x`, and where these are in `labels`, `since` and `margins`.
    now
        The value that `since` is set to: see `unsafe`.
    eta, offset, starts, names
        The centres group by group, (g + 1,) where each group starts, and each centre's index.
    floor, gamma
        (k,) and scalar: see `_margins`.
    rounders, n, t
        As in `exact.move`, with `t` and `rounders` padded to whole vectors.
    norm
        (2, w) to which the squares of rows without a label are added.
    """
    d, groups = x.shape[1], len(starts) - 1
    few, panel = np.zeros((tile, d), x.dtype), np.empty((d, tile), eta.dtype)
    best, second = np.empty((groups, tile), eta.dtype), np.empty((groups, tile), eta.dtype)
    found, label = np.empty((groups, tile), np.int32), np.empty(tile, np.int32)
    score, place, bounds = np.empty(tile), np.empty(tile, np.int32), np.empty((groups, tile))
    length, apart = np.empty(tile), np.empty(tile)
    upper, error, one = np.empty(tile), np.empty(tile), np.empty(t.shape[2], eta.dtype)
    for a in range(0, len(rows), tile):
        m = min(tile, len(rows) - a)
        for r in range(m):
            i = rows[a + r]
            for j in range(d):
                few[r, j] = x[i, j]
        # If a tile is not full, its remaining rows are scored as well, whatever they hold.
        fill_panel(few, 0, tile, origin, panel)
        _squares(panel, length)
        for q in range(groups):
            nearest_two(panel, eta, offset, starts[q], starts[q + 1], found[q], best[q], second[q])
        _winners(found, best, names, m, score, label, place)
        for r in range(m):
            apart[r] = floor[label[r]]
        _margins(length, score, apart, best, second, place, gamma, m, upper, error, bounds)
        for r in range(m):
            i, before = at[a + r], labels[at[a + r]]
            for q in range(groups):
                margins[q, i] = bounds[q, r]
            since[i] = now
            if before != label[r]:
                # Not in a function: passing so many arrays to one costs ten times as much.
                own, after = rows[a + r], label[r]
                w = weight[own] if len(weight) else 1.0
                count(after, w, 1.0, rounders, n)
                if before >= 0:
                    count(before, w, -1.0, rounders, n)
                if own * d + t.shape[2] <= x.size:
                    move_row(x, own, origin, w, before, after, rounders, one, t, norm)
                else:
                    _move_last(x, own, origin, w, before, after, rounders, one, t, norm)
                labels[i] = after


@jit
def _raise_flags(labels: Array, since: Array, margins: Array, moved: Array, now: Any, oldest: Any,
                 k: Any, out: Array) -> None:  # fmt: skip
    """Set `out` to 1 for rows whose bound of one group no longer holds. `moved` is (ages k,)."""
    for i in range(out.shape[0]):
        # Unsigned numbers, because an index that cannot be negative needs no further check.
        age = min(np.uint32(now) - np.uint32(since[i]), np.uint32(oldest))
        at = np.uintp(age * np.uint32(k) + np.uint32(labels[i]))
        # True for NaN as well.
        out[i] |= np.int32(not margins[i] > moved[at])


@jit
def unsafe(labels: Array, since: Array, margins: Array, table: Array, now: Any,
           out: Array) -> Any:  # fmt: skip
    """Fill `out` with the rows whose bounds no longer hold; return how many there are.

    `table` (g, ages, k) says how far a row's own centre and the fastest of a group have moved in
    total, in that many passes. At the last age, which stands for all older rows, it is infinite.
    Margins are (g, m).
    """
    found, total, (groups, ages, k) = 0, labels.shape[0], table.shape
    moved, flags = table.reshape(groups, ages * k), np.empty(256, np.int32)
    for start in range(0, total, len(flags)):
        stop = min(start + len(flags), total)
        part = flags[: stop - start]
        part[:] = 0
        for q in range(groups):
            _raise_flags(
                labels[start:stop], since[start:stop], margins[q, start:stop], moved[q], now,
                ages - 1, k, part,
            )  # fmt: skip
        if part.sum() == 0:
            continue
        for i in range(len(part)):
            out[found] = start + i
            found += part[i]
    return found


@jit_quotients
def passes_left(labels: Array, margins: Array, pace: Array, out: Array) -> None:
    """Fill `out` (m,): for how many passes a row's bounds are likely to stay valid.

    `pace` (g, k) is by how much a pass reduces a bound. It is assumed to stay as it is.
    """
    out[:] = np.inf
    for q in range(margins.shape[0]):
        for i in range(labels.shape[0]):
            out[i] = min(out[i], margins[q, i] / (pace[q, labels[i]] + 1e-300))


@jit
def drifts(way: Array, means: Array, slack: float) -> Array:
    """Return bounds (ages, k) on how far each centre is from where it was, times `slack`.

    Parameters
    ----------
    way
        (ages, k) length of the path that centres had come, the newest first.
    means
        (known, k, d) former centres, for which the straight distance is known.
    """
    ages, k = way.shape
    known, _, d = means.shape
    out = np.empty((ages, k))
    for e in range(ages):
        for c in range(k):
            least = 1e-14 * way[0, c]
            value = (way[0, c] - way[e, c]) * (1 + 1e-12) + least
            if e < known:
                total = 0.0
                for j in range(d):
                    step = means[0, c, j] - means[e, c, j]
                    total += step * step
                value = min(value, math.sqrt(total) * (1 + 1e-12))
            out[e, c] = value
    for e in range(known, ages):
        for c in range(k):
            # Further back: add the difference of the path lengths.
            before = (way[known - 1, c] - way[e, c]) * (1 + 1e-12) + 2e-14 * way[0, c]
            out[e, c] = min(out[e, c], out[known - 1, c] + before)
    for e in range(ages):
        for c in range(k):
            out[e, c] *= slack
    return out


@jit
def movements(drift: Array, order: Array, sizes: Array, valid: Array, out: Array) -> None:
    """Fill `out` (g, ages, k): movement of a centre plus that of the fastest other of each group.

    Parameters
    ----------
    drift
        (ages, k) how far centres have moved since.
    order, sizes
        (ages, k) the centres group by group, and (g,) how many centres each group has.
    valid
        (ages, k) False if a row of that centre is not safe in any case.
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
                out[q, e, c] = total * (1 + 2.0**-22)
