"""The nearest centres of a block by L1 distances, in one compiled call."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdist.kernels.jit import jit
from emdist.kernels.tiles.tiles import tiles
from emdist.kernels.vector.lanes import borrowed, panel_rows
from emdist.kernels.vector.panels import (
    aligned,
    fill_panel,
    is_readable,
    pack_components,
    readable,
)
from emdist.kernels.vector.scoring import nearest_of_panel

Array = NDArray[Any]
Floats = NDArray[np.float64]

#: Rows in a call if they must be converted, because the kernel is not compiled for their type.
_STRETCH = 1 << 16


@jit
def _block(x: Array, origin: Array, centres: Array, offset: Array, panel: Array, best: Array,
           own: Array, labels: Array, distance: Array) -> None:  # fmt: skip
    """Fill labels and distances (m,) of a block. All arrays are the caller's, so borrowed."""
    x, origin, centres, offset = borrowed(x), borrowed(origin), borrowed(centres), borrowed(offset)
    panel, best, own = borrowed(panel), borrowed(best), borrowed(own)
    labels, distance = borrowed(labels), borrowed(distance)
    for a in range(0, x.shape[0], len(best)):
        b = min(a + len(best), x.shape[0])
        fill_panel(x, a, b, origin, panel)
        for i in range(len(best)):
            best[i] = -np.inf
            own[i] = 0
        nearest_of_panel(panel, centres, offset, best, own)
        for i in range(b - a):
            labels[a + i] = own[i]
            distance[a + i] = -best[i]


def nearest_absolute(x: Array, origin: Floats, centres: Floats) -> tuple[NDArray[np.int32], Floats]:
    """Return the index of the nearest centre, and ``sum_j |x_j - centre_j|``: (m,), (m,).

    The lowest index is taken among equals. Differences are added in the order of the features.

    Parameters
    ----------
    x, origin
        (m, d) rows as stored, and (d,) subtracted from them first, in float64.
    centres
        (k, d) the centres relative to the origin.
    """
    labels, distance = np.empty(len(x), np.int32), np.empty(len(x))
    ready, dtype = pack_components(centres, np.zeros(len(centres))), np.dtype(np.float64)
    rows = panel_rows(dtype.itemsize)
    panel, best = aligned((x.shape[1], rows), dtype), np.empty(rows)
    own = np.empty(rows, np.int32)
    for a, b in tiles(len(x), max(1, len(x)) if is_readable(x) else _STRETCH):
        part, where = readable(x[a:b], origin, dtype)
        _block(part, where, *ready, panel, best, own, labels[a:b], distance[a:b])
    return labels, distance
