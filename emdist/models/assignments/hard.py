"""Hard: the best component takes the whole row. Classification EM, and K-means."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emdist.interfaces import Floats, Turn
from emdist.kernels.assign import hard_labels
from emdist.models.assignments import Share, Tile, scattered


@dataclass(frozen=True)
class Hard:
    """Classification EM: Celeux and Govaert 1992."""

    @property
    def temperature(self) -> float:
        return 0.0

    @property
    def leaves_base_out(self) -> bool:
        return False

    @property
    def settled(self) -> bool:
        return True

    def at(self, turn: Turn) -> Hard:
        return self

    def share(self, tile: Tile) -> Share:
        return scattered(tile, *self.explain(tile))

    def explain(self, tile: Tile) -> tuple[NDArray[np.int32], Floats]:
        labels, best = hard_labels(tile.score, tile.offset)
        own = tile.log_weight[labels]
        return labels, tile.density.explain(tile.x, best - own, labels) + own


assignment = Hard
