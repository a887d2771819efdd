"""Compute sums over the rows of a block, for an E-step or for given labels.

Shared sums, which do not depend on responsibilities, are also computed here, once per run.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdist.components import Density, Scored
from emdist.interfaces import Array, Floats
from emdist.kernels.tiles.tiles import shifted, tile_rows, tiles
from emdist.models.assignments import Share
from emdist.models.precision import CAREFUL
from emdist.sums import Sums


def total_weight(x: Array, weight: Floats | None) -> Floats:
    """Return the total weight of rows `x` (m, d): (). Each has weight 1 if `weight` is None."""
    return np.array(len(x) if weight is None else weight.sum(), np.float64)


def share_sums(share: Share, x: Array, weight: Floats | None) -> Sums:
    """Return the sums of a block of rows (m, d). `share` is the result of its E-step.

    The fields are ``n`` (k,), ``t`` (k, width), ``objective`` and ``weight``.
    """
    found = {"n": share.n, "t": share.t, "objective": np.array(share.objective)}
    return Sums({**found, "weight": total_weight(x, weight)})


def labelled_sums(
    density: Density,
    x: Array,
    weight: Floats | None,
    labels: NDArray[np.int32],
    origin: Floats,
) -> dict[str, Floats]:
    """Return ``n`` (k,), ``t`` (k, width) and ``weight`` of rows (m, d) with labels (m,)."""
    n, t = np.zeros(density.n_components), np.zeros((density.n_components, density.width))
    for a, b in tiles(len(x), tile_rows(x.shape[1] + density.width, 8)):
        tile = shifted(x[a:b], origin, CAREFUL.dtype)
        w = None if weight is None else weight[a:b]
        share = density.scatter(tile, density.statistics(tile), labels[a:b], w)
        n += share[0]
        t += share[1]
    return {"n": n, "t": t, "weight": total_weight(x, weight)}


def shared_sums(
    family: Scored[Any], x: Array, weight: Floats | None, origin: Floats
) -> dict[str, Floats]:
    """Return the fields ``shared.*`` of rows (m, d): sums that no responsibility affects."""
    # A block without rows needs every field as well: otherwise its sums could not be added.
    total = family.shared(np.empty((0, x.shape[1])), None)
    if not total:
        return {}
    for a, b in tiles(len(x), tile_rows(2 * x.shape[1], 8)):
        tile = shifted(x[a:b], origin, "float64")
        more = family.shared(tile, None if weight is None else weight[a:b])
        total = {name: np.asarray(total[name] + value) for name, value in more.items()}
    return {f"shared.{name}": value for name, value in total.items()}
