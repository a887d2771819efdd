"""Scores of the states of chains, and sums of posteriors times statistics, by panels of rows.

Statistics T(x) of a few rows exist at a time, in the cache: chains are swept several times, and
writing T(x) to memory would take longer than the sweep.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdist.kernels.jit import jit
from emdist.kernels.vector.lanes import COMPONENTS, STATISTICS, borrowed, panel_rows
from emdist.kernels.vector.lines import Lines, fill_extras
from emdist.kernels.vector.panels import aligned, fill_panel, pack_components, readable
from emdist.kernels.vector.posterior import expand, gather_runs
from emdist.kernels.vector.scoring import scores_of_panel

Array = NDArray[Any]
Floats = NDArray[np.float64]

#: How many panels are gathered together.
_PANELS = 8


@jit
def _score(
    x: Array, origin: Array, eta: Array, offset: Array, pairs: Array, extras: Array, raw: Array,
    t: Array, own: Array, best: Array, score: Array, top: Array,
) -> None:  # fmt: skip
    """Fill scores (k, m) relative to the best of each row, and `top` (m,) with the best."""
    x, origin, pairs, extras = borrowed(x), borrowed(origin), borrowed(pairs), borrowed(extras)
    eta, offset, raw, t = borrowed(eta), borrowed(offset), borrowed(raw), borrowed(t)
    own, best, score, top = borrowed(own), borrowed(best), borrowed(score), borrowed(top)
    rows = len(best)
    for a in range(0, x.shape[0], rows):
        b = min(a + rows, x.shape[0])
        panel = expand(x, a, b, origin, pairs, extras, raw, t)
        best[:] = -np.inf
        scores_of_panel(panel, eta, offset, own, best)
        for j in range(score.shape[0]):
            for i in range(b - a):
                score[j, a + i] = own[j, i] - best[i]
        for i in range(b - a):
            top[a + i] = best[i]


def score_rows(
    x: Array, origin: Floats, eta: Array, offset: Array, lines: Lines
) -> tuple[Array, Floats]:
    """Return the scores of states (k, m), relative to the best of each row, and the best (m,).

    Parameters
    ----------
    x
        (m, d) rows as stored.
    origin
        (d,) subtracted from them first, in float64.
    eta, offset
        (k, D) and (k,): scores are ``eta T(x) + offset``, in the precision of `eta`.
    lines
        The table that says what T(x) is.
    """
    dtype, d, k = eta.dtype, x.shape[1], len(eta)
    rows = panel_rows(dtype.itemsize)
    packed, least = pack_components(eta, offset)
    raw = aligned((d + 1 + len(lines.extras), rows), dtype)
    raw[:] = 0.0
    t = aligned((0 if lines.direct(d) else eta.shape[1], rows), dtype)
    own, best = aligned((len(least), rows), dtype), np.empty(rows, dtype)
    score, top = np.empty((k, len(x)), dtype), np.empty(len(x))
    held, where = readable(x, origin, dtype)
    _score(held, where, packed, least, lines.pairs, lines.extras, raw, t, own, best, score, top)
    return score, top


@jit
def _gather(
    x: Array, origin: Array, pairs: Array, extras: Array, resp: Array, raw: Array, few: Array,
    padded: Array, runs: Array, out: Array,
) -> None:  # fmt: skip
    """Add posteriors (k, m) times the statistics of rows to `out` (k', columns)."""
    x, origin, pairs, extras = borrowed(x), borrowed(origin), borrowed(pairs), borrowed(extras)
    resp, raw, few, padded = borrowed(resp), borrowed(raw), borrowed(few), borrowed(padded)
    out = borrowed(out)
    at_once, _, rows = few.shape
    for first in range(0, x.shape[0], at_once * rows):
        used = 0
        for a in range(first, min(first + at_once * rows, x.shape[0]), rows):
            b = min(a + rows, x.shape[0])
            fill_panel(x, a, b, origin, raw[used])
            fill_extras(x.shape[1], extras, raw[used])
            for j in range(resp.shape[0]):
                for i in range(b - a):
                    padded[used, j, i] = resp[j, a + i]
                for i in range(b - a, rows):
                    padded[used, j, i] = 0.0
            used += 1
        gather_runs(raw, used, pairs, padded, runs, few, out)


def gather_rows(
    x: Array, origin: Floats, resp: Array, lines: Lines, width: int
) -> tuple[Floats, Floats]:
    """Return sums of posteriors (k, m), and of posteriors times T(x): (k,) and (k, width).

    `x`, `origin` and `lines` are those of `score_rows`; the precision is that of `resp`.
    """
    dtype, d, k = resp.dtype, x.shape[1], len(resp)
    rows, padding = panel_rows(dtype.itemsize), -(-k // COMPONENTS) * COMPONENTS
    # After the statistics comes the line of ones, which sums the posteriors themselves.
    pairs = np.concatenate([lines.pairs, np.full((1, 2), d, np.int32)])
    raw = aligned((_PANELS, d + 1 + len(lines.extras), rows), dtype)
    few = aligned((_PANELS, STATISTICS, rows), dtype)
    padded = aligned((_PANELS, padding, rows), dtype)
    for scratch in (raw, few, padded):
        scratch[:] = 0.0
    out = np.zeros((padding, -(-len(pairs) // STATISTICS) * STATISTICS))
    held, where = readable(x, origin, dtype)
    runs = np.array([[0, padding]])
    _gather(held, where, pairs, lines.extras, resp, raw, few, padded, runs, out)
    return out[:k, width], out[:k, :width]
