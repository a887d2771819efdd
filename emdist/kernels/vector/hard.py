"""Hard assignment of a whole block in one compiled call: labels, and the sums of each component.

A panel of rows is scored as for soft assignment. Then each row adds its statistics T(x) to the sums
of its best component.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from emdist.kernels.jit import jit
from emdist.kernels.tiles.tiles import tiles
from emdist.kernels.vector.lanes import ROW_LANES, borrowed, panel_rows
from emdist.kernels.vector.lines import Lines, fill_extras
from emdist.kernels.vector.panels import (
    aligned,
    fill_panel,
    is_readable,
    pack_components,
    readable,
)
from emdist.kernels.vector.scattering import SQUARE, Steps, add_products, turn_back
from emdist.kernels.vector.scoring import best_of_panel
from emdist.kernels.vector.transposing import multiply_lines

Array = NDArray[Any]
Floats = NDArray[np.float64]
#: Weights (k,), statistics (k, D) and the weighted sum of the highest scores.
Classified: TypeAlias = tuple[Floats, Floats, float]

#: Rows in a call if they must be converted, because the kernel is not compiled for their type.
_STRETCH = 1 << 16


@jit
def _block(x: Array, origin: Array, eta: Array, offset: Array, pairs: Array, extras: Array,
           steps: Array, single: Any, weight: Array, raw: Array, t: Array, nothing: Array,
           rows: Array, row: Array, best: Array, own: Array, n: Array, sums: Array,
           labels: Array, score: Array) -> Any:  # fmt: skip
    """Label the rows of a block: each gets the lowest index among its highest scores.

    If `labels` is empty, add the rows to n (k,) and sums (k, width), and return the weighted sum of
    the highest scores. Otherwise fill labels and scores (m,). If `t` has no lines, T(x) is x. All
    arrays belong to the caller, so they are borrowed.
    """
    x, origin, eta, offset = borrowed(x), borrowed(origin), borrowed(eta), borrowed(offset)
    pairs, extras, steps, weight = (
        borrowed(pairs),
        borrowed(extras),
        borrowed(steps),
        borrowed(weight),
    )
    raw, t, nothing, rows = borrowed(raw), borrowed(t), borrowed(nothing), borrowed(rows)
    row, best, own = borrowed(row), borrowed(best), borrowed(own)
    n, sums, labels, score = borrowed(n), borrowed(sums), borrowed(labels), borrowed(score)
    total, d = 0.0, x.shape[1]
    panel = t if len(t) else raw
    for a in range(0, x.shape[0], len(best)):
        b = min(a + len(best), x.shape[0])
        fill_panel(x, a, b, origin, raw)
        fill_extras(d, extras, raw)
        if len(t):
            multiply_lines(raw, pairs, 0, t.shape[0], t)
        for i in range(len(best)):
            best[i] = -np.inf
            own[i] = 0
        best_of_panel(panel, eta, offset, best, own)
        if len(labels):
            for i in range(b - a):
                labels[a + i] = own[i]
                score[a + i] = best[i]
            continue
        turn_back(raw, d, d + 1 + extras.shape[0], nothing, rows)
        for i in range(b - a):
            w = weight[a + i] if len(weight) else 1.0
            for j in range(len(row)):
                row[j] = rows[i, j]
            n[own[i]] += w
            add_products(row, w, steps, single, own[i], sums)
            total += w * best[i]
    return total


def classified_sums(
    x: Array, origin: Floats, eta: Array, offset: Array, lines: Lines, weight: Floats | None
) -> Classified:
    """Return weights (k,), statistics (k, D) and highest scores of a block, hardly assigned.

    Scores are summed over the rows, times the sample weights.

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
    steps = Steps.of(lines)
    n, sums = np.zeros(len(eta)), np.zeros((len(eta), ROW_LANES * len(steps.lines)))
    none = np.empty(0, np.int32), np.empty(0)
    total = _classify(x, origin, (eta, offset), lines, steps, weight, (n, sums), none)
    return n, np.ascontiguousarray(sums[:, steps.columns]), total


def classified_rows(
    x: Array, origin: Floats, eta: Array, offset: Array, lines: Lines
) -> tuple[NDArray[np.int32], Floats]:
    """Return labels (m,) of a block as `classified_sums` assigns them, and highest scores (m,)."""
    found, steps = (np.empty(len(x), np.int32), np.empty(len(x))), Steps.of(lines)
    none = np.empty(0), np.empty((0, 0))
    _classify(x, origin, (eta, offset), lines, steps, None, none, found)
    return found


def _classify(
    x: Array,
    origin: Floats,
    components: tuple[Array, Array],
    lines: Lines,
    steps: Steps,
    weight: Floats | None,
    sums: tuple[Floats, Floats],
    found: tuple[NDArray[np.int32], Floats],
) -> float:
    """Add a block to `sums`, or fill `found` if it has a place for each row."""
    eta, offset = components
    ready, dtype, d = pack_components(eta, offset), eta.dtype, x.shape[1]
    count, spare = panel_rows(dtype.itemsize), d + 1 + len(lines.extras) + SQUARE
    raw = aligned((spare, count), dtype)
    t = aligned((0 if lines.direct(d) else eta.shape[1], count), dtype)
    rows, row = aligned((count, spare), dtype), aligned((spare,), np.dtype(np.float64))
    raw[:] = 0.0
    rows[:] = 0.0
    rows[:, d] = 1.0
    best, own = np.empty(count, dtype), np.empty(count, np.int32)
    none, nothing, total = np.empty(0), np.zeros(count, dtype), 0.0
    for a, b in tiles(len(x), max(1, len(x)) if is_readable(x) else _STRETCH):
        part, where = readable(x[a:b], origin, dtype)
        w = none if weight is None else np.ascontiguousarray(weight[a:b])
        labels, score = (each[a:b] for each in found)
        total += _block(
            part, where, *ready, lines.pairs, lines.extras, steps.lines, steps.single, w, raw, t,
            nothing, rows, row, best, own, *sums, labels, score,
        )  # fmt: skip
    return total
