"""Hard assignment: each row belongs to its best component. Classification EM and K-means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from emdist.components import Density, does_whole_blocks
from emdist.interfaces import Array, Floats, IterationIndex
from emdist.kernels.tiles.assign import hard_labels
from emdist.models.assignments import Share, Tile, scattered


@dataclass(frozen=True)
class Hard:
    """Hard assignment, as in classification EM: Celeux and Govaert 1992."""

    temperature: ClassVar[float] = 0.0
    settled: ClassVar[bool] = True

    def at(self, iteration_index: IterationIndex) -> Hard:
        return self

    def leaves_base_out(self, density: Density) -> bool:
        return not density.exact

    def share(self, tile: Tile) -> Share:
        if tile.density.exact:
            return scattered(tile, *self.explain(tile))
        labels, best = hard_labels(tile.score, tile.offset)
        return scattered(tile, labels, best.astype(np.float64))

    def logits(self, density: Density, log_weight: Array) -> None:
        return None

    def whole(
        self, density: Density, x: Array, weight: Floats | None, origin: Floats, log_weight: Array
    ) -> Share | None:
        if not does_whole_blocks(density):
            return None
        found = density.hard_sums(x, weight, origin, log_weight)
        return None if found is None else Share(*found)

    def explain(self, tile: Tile) -> tuple[NDArray[np.int32], Floats]:
        labels, best = hard_labels(tile.score, tile.offset)
        own = tile.log_weight[labels]
        return labels, tile.density.explain(tile.x, best - own, labels) + own


assignment = Hard
