"""The scores of a block, tile by tile. Every pass that processes tiles begins with them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from emdist.components import Density
from emdist.interfaces import Array, Block, Floats, Numerics
from emdist.kernels.tiles.tiles import shifted, tile_rows, tiles
from emdist.models.assignments import Tile


def scored_tiles(
    density: Density, block: Block, origin: Floats, numerics: Numerics, log_weight: Array
) -> Iterator[tuple[slice, Tile]]:
    """Yield scored tiles of the rows that count, each with its range among these rows.

    All tiles share one array of scores, so a tile is only valid until the next one.

    Parameters
    ----------
    density
        The density of the components, for the arithmetic of the pass.
    block, origin, numerics
        The arguments of `Model.e_step`.
    log_weight
        The logarithms of the mixture weights, (k,).
    """
    x, weight = block.valid()
    numbers = block.numbering()
    offset = (density.offset + log_weight).astype(numerics.dtype)
    k = density.n_components
    columns = x.shape[1] + density.width + 2 * k
    rows = tile_rows(columns, np.dtype(numerics.dtype).itemsize)
    scratch = np.empty(k * min(rows, len(x)), numerics.dtype)
    for a, b in tiles(len(x), rows):
        tile = shifted(x[a:b], origin, numerics.dtype)
        t = density.statistics(tile)
        score = scratch[: k * (b - a)].reshape(k, b - a)
        density.score(tile, t, score)
        w = None if weight is None else weight[a:b]
        yield slice(a, b), Tile(density, tile, t, score, offset, log_weight, w, numbers(a, b))
