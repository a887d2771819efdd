"""Soft assignment: responsibilities are posterior probabilities of components. Ordinary EM."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from emdist.components import Density, Logits, does_soft_blocks
from emdist.interfaces import Array, Floats, IterationIndex
from emdist.kernels.tiles.assign import hard_labels, softmax
from emdist.models.assignments import Assignment, Share, Tile, gathered, softly_alone


class Softened(ABC):
    """Base class of assignments whose responsibilities follow from a softmax of the scores."""

    def leaves_base_out(self, density: Density) -> bool:
        return True

    @abstractmethod
    def logits(self, density: Density, log_weight: Array) -> Logits | None:
        """Return the logits of the responsibilities; None if these are not a softmax of T(x)."""

    def whole(
        self, density: Density, x: Array, weight: Floats | None, origin: Floats, log_weight: Array
    ) -> Share | None:
        return softly_alone(self.logits(density, log_weight), x, weight, origin)

    def explain(self, tile: Tile) -> tuple[NDArray[np.int32], Floats]:
        labels, _ = hard_labels(tile.score, tile.offset)
        return labels, softmax(tile.score, tile.offset) + tile.density.base(tile.x)


@dataclass(frozen=True)
class Soft(Softened):
    """Soft assignment, as in expectation maximisation: Dempster, Laird and Rubin 1977."""

    temperature: ClassVar[float] = 1.0
    settled: ClassVar[bool] = True

    def at(self, iteration_index: IterationIndex) -> Assignment:
        return self

    def share(self, tile: Tile) -> Share:
        return gathered(tile, tile.score, softmax(tile.score, tile.offset))

    def logits(self, density: Density, log_weight: Array) -> Logits | None:
        return density.logits(log_weight, 1.0) if does_soft_blocks(density) else None


assignment = Soft
