"""EM's E-step of a whole block in one compiled call: scores, responsibilities and their sums.

Up to a few hundred rows are in the cache as panels at a time. Scores are multiply-adds of lanes,
responsibilities never leave the cache, and no step holds the GIL.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from emdist.kernels.jit import jit, pasted
from emdist.kernels.tiles.tiles import tiles
from emdist.kernels.vector.gathering import gather_line, gather_lines, gather_two_lines
from emdist.kernels.vector.lanes import COMPONENTS, STATISTICS, borrowed, panel_rows
from emdist.kernels.vector.lines import Lines, fill_extras
from emdist.kernels.vector.panels import aligned, fill_panel, pack_components, readable
from emdist.kernels.vector.scoring import exponentials_of_panel, scores_of_panel, shares_of_panel
from emdist.kernels.vector.transposing import multiply_lines
from emdist.kernels.vector.waiting import crowded, gather_listed, list_rows, most_listed

Array = NDArray[Any]
Floats = NDArray[np.float64]
#: Weights (k,), statistics (k, D) and log-likelihood.
Posterior: TypeAlias = tuple[Floats, Floats, float]

#: How many panels are scored before their sums are gathered. A few of their lines stay in the
#: first-level cache for all components.
_PANELS = 8
#: Rows in a call: the values that it returns for each row stay in the cache.
_STRETCH = 1 << 16
#: Bytes of responsibilities that stay in the second-level cache, and the most mixtures that share
#: rows: the values returned for each row of a stretch take half a mebibyte.
_CACHE, _MOST = 1 << 20, 16
#: Logarithm of the smallest share of a row that is not set to 0. A sum of float64 cannot show less,
#: because components with 1e-12 of the rows count as collapsed.
_UNSEEN = -75.0


@pasted
def expand(x: Array, a: Any, b: Any, origin: Array, pairs: Array, extras: Array, raw: Array,
            t: Array) -> Array:  # fmt: skip
    """Compute T(x) of the rows of a panel, line by line; it is x itself if `t` has no lines."""
    fill_panel(x, a, b, origin, raw)
    fill_extras(x.shape[1], extras, raw)
    if len(t) == 0:
        return raw
    multiply_lines(raw, pairs, 0, t.shape[0], t)
    return t


@pasted
def _share(resp: Array, best: Array, weight: Array, a: Any, b: Any, total: Array, share: Array,
           most: Any, seen: Array) -> None:  # fmt: skip
    """Turn scores of a panel into responsibilities, times the weights of rows a to b of a block."""
    total[:] = 0.0
    exponentials_of_panel(resp, best, _UNSEEN, total)
    # Loops, because numba compiles the texts of errors for an assignment of arrays: two seconds.
    for i in range(len(share)):
        share[i] = 1.0 / total[i]
    if len(weight):
        for i in range(b - a):
            share[i] *= weight[a + i]
    share[b - a :] = 0.0
    if most:
        shares_of_panel(resp, share, seen)
    else:
        for j in range(resp.shape[0]):
            for i in range(resp.shape[1]):
                resp[j, i] *= share[i]


@pasted
def gather_runs(raw: Array, used: Any, pairs: Array, resp: Array, runs: Array, few: Array,
            out: Array) -> None:  # fmt: skip
    """Add responsibilities times statistics of the first `used` panels to `out`, for some runs."""
    for column in range(0, pairs.shape[0] if len(runs) else 0, few.shape[1]):
        count = min(few.shape[1], pairs.shape[0] - column)
        for p in range(used):
            multiply_lines(raw[p], pairs, column, column + count, few[p])
        for r in range(len(runs)):
            begin, end = runs[r, 0], runs[r, 1]
            if count == 1:
                gather_line(resp, few, used, column, begin, end, out)
            elif count == 2:
                gather_two_lines(resp, few, used, column, begin, end, out)
            else:
                gather_lines(resp, few, used, column, begin, end, out)


@jit
def _panels(x: Array, origin: Array, eta: Array, offset: Array, ends: Array, pairs: Array,
            whole: Array, extras: Array, weight: Array, most: Any, raw: Array, t: Array, few: Array,
            resp: Array, share: Array, seen: Array, runs: Array, held: Array, listed: Array,
            shares: Array, best: Array, total: Array, out: Array) -> None:  # fmt: skip
    """Fill best and total (mixtures, panels, rows) for all rows of a block, and add to out.

    Mixture m has the components up to `ends[m]`; out (k, width) has the sums of all. If `t` has no
    lines, T(x) is x. `whole` has the pairs in whole groups. All arrays belong to the caller, so
    they are borrowed.
    """
    x, origin, pairs, extras = borrowed(x), borrowed(origin), borrowed(pairs), borrowed(extras)
    eta, offset, weight = borrowed(eta), borrowed(offset), borrowed(weight)
    raw, t, few, resp = borrowed(raw), borrowed(t), borrowed(few), borrowed(resp)
    share, best, total, out = borrowed(share), borrowed(best), borrowed(total), borrowed(out)
    seen, runs, held = borrowed(seen), borrowed(runs), borrowed(held)
    listed, shares, whole = borrowed(listed), borrowed(shares), borrowed(whole)
    at_once, _, rows = few.shape
    done = 0
    for first in range(0, x.shape[0], at_once * rows):
        used, stop = 0, min(first + at_once * rows, x.shape[0])
        for a in range(first, stop, rows):
            b = min(a + rows, x.shape[0])
            panel = expand(x, a, b, origin, pairs, extras, raw[used], t)
            begin = 0
            for m in range(len(ends)):
                end = ends[m]
                own, top = resp[used][begin:end], best[m][done]
                top[:] = -np.inf
                groups = eta[begin // COMPONENTS : end // COMPONENTS]
                scores_of_panel(panel, groups, offset[begin:end], own, top)
                _share(own, top, weight, a, b, total[m][done], share, most,
                       seen[used][begin:end])  # fmt: skip
                begin = end
            used += 1
            done += 1
        n = crowded(seen, used, most, runs)
        gather_runs(raw, used, pairs, resp, runs[:n], few, out)
        if most:
            list_rows(first, used, seen, resp, held, listed, shares)
            # At the end, gather what is left.
            least = rows if stop < x.shape[0] else 1
            gather_listed(least, x, origin, whole, extras, held, listed, shares, raw[0], share, out)


def posterior_sums(
    x: Array, origin: Floats, eta: Array, offset: Array, lines: Lines, weight: Floats | None
) -> Posterior:
    """Return weights (k,), statistics (k, D) and log-likelihood of a block, softly assigned.

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
    weight
        (m,) sample weights, or None for 1.
    """
    return next(posteriors(x, origin, [(eta, offset)], lines, weight))


def posteriors(
    x: Array,
    origin: Floats,
    mixtures: Sequence[tuple[Array, Array]],
    lines: Lines,
    weight: Floats | None,
) -> Iterator[Posterior]:
    """Yield `posterior_sums` of several ``(eta, offset)`` of one precision, with the same bits.

    T(x) of a few rows is computed once for as many mixtures as have responsibilities that fit into
    the cache together.
    """
    some: list[tuple[Array, Array]] = []
    held = 0
    for eta, offset in mixtures:
        more = _PANELS * panel_rows(eta.itemsize) * eta.itemsize * len(eta)
        if some and (held + more > _CACHE or len(some) == _MOST):
            yield from _posteriors(x, origin, some, lines, weight)
            some, held = [], 0
        some.append((eta, offset))
        held += more
    yield from _posteriors(x, origin, some, lines, weight)


def _posteriors(
    x: Array,
    origin: Floats,
    mixtures: Sequence[tuple[Array, Array]],
    lines: Lines,
    weight: Floats | None,
) -> list[Posterior]:
    packed = [pack_components(eta, offset) for eta, offset in mixtures]
    eta, least = (np.concatenate(parts) for parts in zip(*packed, strict=True))
    ends = np.cumsum([len(part) for _, part in packed])
    k, d, width, dtype = len(least), x.shape[1], eta.shape[1], eta.dtype
    rows = panel_rows(dtype.itemsize)
    # After the statistics comes the line of ones, which gathers the weights.
    gathered = np.concatenate([lines.pairs, np.full((1, 2), d, np.int32)])
    # Lines are added in whole groups, so the number of columns is rounded up.
    columns = -(-len(gathered) // STATISTICS) * STATISTICS
    whole = np.full((columns, 2), d, np.int32)
    whole[: len(gathered)] = gathered
    out, objective = np.zeros((k, columns)), [0.0] * len(mixtures)
    none = np.empty(0)
    panels = -(-min(len(x), _STRETCH) // rows)
    best, total = np.empty((2, len(mixtures), panels, rows), dtype)
    lines_of_t = 0 if lines.direct(d) else width
    raw = aligned((_PANELS, d + 1 + lines.extras.shape[0], rows), dtype)
    t = aligned((lines_of_t, rows), dtype)
    few = aligned((_PANELS, STATISTICS, rows), dtype)
    resp = aligned((_PANELS, k, rows), dtype)
    # Rows of lists that did not fill a panel wait there for those of the next panels.
    seen, runs = np.zeros((_PANELS, k), np.int64), np.empty((k // COMPONENTS, 2), np.int64)
    most = most_listed(rows, len(gathered))
    held, room = np.zeros(k, np.int64), (k, (_PANELS + 1) * rows if most else 0)
    listed, shares = np.empty(room, np.int32), np.empty(room, dtype)
    raw[:] = 0.0
    few[:] = 0.0
    share, logs = np.empty(rows, dtype), np.empty(panels * rows)
    for a, b in tiles(len(x), _STRETCH):
        part, where = readable(x[a:b], origin, dtype)
        w = none if weight is None else np.ascontiguousarray(weight[a:b])
        _panels(part, where, eta, least, ends, gathered, whole, lines.extras, w, most, raw, t, few,
                resp, share, seen, runs, held, listed, shares, best, total, out)  # fmt: skip
        for m in range(len(mixtures)):
            found = _log_sums(best[m], total[m], logs[: len(part)])
            objective[m] += float(found.sum() if weight is None else w @ found)
    begins = [0, *ends[:-1]]
    return [
        _taken(out[begin : begin + len(offset)], width, value)
        for begin, (_, offset), value in zip(begins, mixtures, objective, strict=True)
    ]


def _log_sums(best: Array, total: Array, out: Floats) -> Floats:
    """Fill (m,) with the logarithms of each row's sum of exponentials, from its panels."""
    np.log(total.reshape(-1)[: len(out)], out=out, dtype=np.float64)
    return np.add(out, best.reshape(-1)[: len(out)], out=out)


def _taken(sums: Floats, width: int, objective: float) -> Posterior:
    return sums[:, width].copy(), np.ascontiguousarray(sums[:, :width]), objective
