"""Soft: responsibilities are posterior probabilities. EM."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emdist.components import Density, Logits, does_soft_blocks
from emdist.interfaces import Array, Floats, Turn
from emdist.kernels.tiles.assign import hard_labels, softmax
from emdist.models.assignments import Share, Tile, gathered, softly_alone


@dataclass(frozen=True)
class Soft:
    """Expectation-maximisation: Dempster, Laird and Rubin 1977."""

    @property
    def temperature(self) -> float:
        return 1.0

    @property
    def leaves_base_out(self) -> bool:
        return True

    @property
    def settled(self) -> bool:
        return True

    def at(self, turn: Turn) -> Soft:
        return self

    def share(self, tile: Tile) -> Share:
        return gathered(tile, tile.score, softmax(tile.score, tile.offset))

    def logits(self, density: Density, log_weight: Array) -> Logits | None:
        return density.logits(log_weight, 1.0) if does_soft_blocks(density) else None

    def whole(
        self, density: Density, x: Array, weight: Floats | None, origin: Floats, log_weight: Array
    ) -> Share | None:
        return softly_alone(self.logits(density, log_weight), x, weight, origin)

    def explain(self, tile: Tile) -> tuple[NDArray[np.int32], Floats]:
        labels, _ = hard_labels(tile.score, tile.offset)
        return labels, softmax(tile.score, tile.offset) + tile.density.base(tile.x)


assignment = Soft
