"""EM's E-step of a whole block in one compiled call: scores, responsibilities and their sums.

Rows lie in cache as panels, a thousand at a time. Scores are multiply-adds of lanes,
responsibilities never leave the cache, and no step of it holds the GIL.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdist.kernels.assign import LOWEST
from emdist.kernels.gathering import gather_lines
from emdist.kernels.jit import jit
from emdist.kernels.lanes import STATISTICS, panel_rows
from emdist.kernels.lines import Lines, fill_extras
from emdist.kernels.panels import fill_panel, pack_components, readable
from emdist.kernels.scoring import exponentials_of_panel, scores_of_panel
from emdist.kernels.tiles import tiles
from emdist.kernels.turning import multiply_lines

Array = NDArray[Any]
Floats = NDArray[np.float64]

#: Panels that are scored before their sums are gathered: a few of their lines stay in the first
#: cache for all components.
_PANELS = 8
#: Rows of a call: what it returns of each row stays in cache.
_STRETCH = 1 << 16


@jit
def _score(x: Array, a: Any, b: Any, origin: Array, eta: Array, offset: Array, pairs: Array,
           extras: Array, raw: Array, t: Array, resp: Array, best: Array) -> None:  # fmt: skip
    """Scores of the rows of a panel, and the highest of each; T(x) is x if `t` has no lines."""
    fill_panel(x, a, b, origin, raw)
    fill_extras(x.shape[1], extras, raw)
    best[:] = -np.inf
    if len(t):
        multiply_lines(raw, pairs, 0, t.shape[0], t)
        scores_of_panel(t, eta, offset, resp, best)
    else:
        scores_of_panel(raw, eta, offset, resp, best)


@jit
def _share(resp: Array, best: Array, lowest: Any, weight: Array, a: Any, b: Any,
           total: Array, share: Array) -> None:  # fmt: skip
    """Scores of a panel to responsibilities times the weight of the rows a to b, of a block."""
    total[:] = 0.0
    exponentials_of_panel(resp, best, lowest, total)
    share[:] = 1.0 / total
    if len(weight):
        for i in range(b - a):
            share[i] *= weight[a + i]
    share[b - a :] = 0.0
    for j in range(resp.shape[0]):
        for i in range(resp.shape[1]):
            resp[j, i] *= share[i]


@jit
def _gather(raw: Array, used: Any, pairs: Array, resp: Array, few: Array, out: Array) -> None:
    for column in range(0, pairs.shape[0], few.shape[1]):
        for p in range(used):
            multiply_lines(raw[p], pairs, column, column + few.shape[1], few[p])
        gather_lines(resp, few, used, column, out)


@jit
def _sums(x: Array, origin: Array, eta: Array, offset: Array, pairs: Array, extras: Array,
          weight: Array, lowest: Any, t: Array, few: Array, best: Array, total: Array,
          out: Array) -> None:  # fmt: skip
    """Fill best and total (panels, rows) of all rows, and add to out (k, width) of a block."""
    at_once, _, rows = few.shape
    raw = np.zeros((at_once, x.shape[1] + 1 + extras.shape[0], rows), eta.dtype)
    resp = np.empty((at_once, offset.shape[0], rows), eta.dtype)
    share = np.empty(rows, eta.dtype)
    done = 0
    for first in range(0, x.shape[0], at_once * rows):
        used = 0
        for a in range(first, min(first + at_once * rows, x.shape[0]), rows):
            b = min(a + rows, x.shape[0])
            own, top = resp[used], best[done]
            _score(x, a, b, origin, eta, offset, pairs, extras, raw[used], t, own, top)
            _share(own, top, lowest, weight, a, b, total[done], share)
            used += 1
            done += 1
        _gather(raw, used, pairs, resp, few, out)


def posterior_sums(
    x: Array, origin: Floats, eta: Array, offset: Array, lines: Lines, weight: Floats | None
) -> tuple[Floats, Floats, float]:
    """Weights (k,), statistics (k, D) and log-likelihood of a block, softly assigned.

    Parameters
    ----------
    x
        (m, d) rows as stored.
    origin
        (d,) subtracted from them first, in float64.
    eta, offset
        (k, D) and (k,): scores are ``eta T(x) + offset``, in the precision of `eta`.
    lines
        What T(x) is.
    weight
        (m,) or None for 1.
    """
    k, width = eta.shape
    d, dtype = x.shape[1], eta.dtype
    rows = panel_rows(dtype.itemsize)
    packed, least = pack_components(eta, offset)
    t = np.empty((0 if lines.direct(d) else width, rows), dtype)
    few = np.empty((_PANELS, STATISTICS, rows), dtype)
    # Behind the statistics the ones, which gather the weights, up to a full group.
    gathered = np.full((-(-(width + 1) // STATISTICS) * STATISTICS, 2), d, np.int32)
    gathered[:width] = lines.pairs
    out, objective = np.zeros((len(least), len(gathered))), 0.0
    lowest, none = dtype.type(LOWEST[dtype.name]), np.empty(0)
    for a, b in tiles(len(x), _STRETCH):
        part, where = readable(x[a:b], origin, dtype)
        w = none if weight is None else np.ascontiguousarray(weight[a:b])
        best, total = np.empty((2, -(-len(part) // rows), rows), dtype)
        _sums(part, where, packed, least, gathered, lines.extras, w, lowest, t, few, best, total,
              out)  # fmt: skip
        found = best.ravel()[: len(part)] + np.log(total.ravel()[: len(part)], dtype=np.float64)
        objective += float(found.sum() if weight is None else w @ found)
    return out[:k, width].copy(), np.ascontiguousarray(out[:k, :width]), objective
