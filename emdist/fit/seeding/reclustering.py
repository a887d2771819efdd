"""Weighted Lloyd iterations in memory, to cluster candidates and samples."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from emdist.fit.seeding.geometry import Geometry
from emdist.interfaces import Floats
from emdist.kernels.tiles.plusplus import nearest


def lloyd(
    geometry: Geometry,
    x: Floats,
    weight: Floats,
    centres: Floats,
    iterations: int = 300,
    told: Callable[[int, int], None] | None = None,
) -> Floats:
    """Iterate Lloyd's algorithm to a fixed point: (m, d), (m,), (k, d) -> centres (k, d).

    A centre that loses all its rows stays where it is. `told` is called with the number of
    iterations done and the largest possible number.
    """
    labels = np.full(len(x), -1, np.int32)
    for done in range(iterations):
        if told is not None:
            told(done, iterations)
        new = nearest(x, centres, geometry.between)
        if np.array_equal(new, labels):
            break
        labels = new
        centres = geometry.centres(x, weight, labels, centres)
    return centres
