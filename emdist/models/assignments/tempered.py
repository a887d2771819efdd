"""Tempered assignment: responsibilities are softmax(score / eps), and eps falls to its last value.

This is deterministic annealing. Sources: Ueda and Nakano 1998, "Deterministic annealing EM
algorithm", Neural Networks 11(2); Rose 1998 for its limit eps -> 0, which is hard assignment.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from emdist.components import Density, Logits, does_soft_blocks
from emdist.interfaces import Array, Floats, IterationIndex
from emdist.kernels.tiles.assign import softmax
from emdist.models.assignments import Assignment, Share, Tile, gathered
from emdist.models.assignments.hard import Hard
from emdist.models.assignments.soft import Soft, Softened

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


@dataclass(frozen=True)
class At(Softened):
    """Assignment at one temperature above 0: ``softmax(score / temperature)``.

    Attributes
    ----------
    temperature
        The temperature eps. 1 gives posterior probabilities. Lower values make responsibilities
        sharper, and higher values make them more equal.
    settled
        Whether all later iterations have the same temperature.
    """

    temperature: float
    settled: bool = True

    def at(self, iteration_index: IterationIndex) -> At:
        return self

    def share(self, tile: Tile) -> Share:
        return gathered(tile, tile.score, self._soften(tile))

    def logits(self, density: Density, log_weight: Array) -> Logits | None:
        if not does_soft_blocks(density):
            return None
        return density.logits(log_weight, self.temperature)

    def _soften(self, tile: Tile) -> Floats:
        """Overwrite scores by responsibilities, and return ``Q + temperature * H`` of rows (m,)."""
        narrow = tile.score.dtype.type
        np.multiply(tile.score, narrow(1 / self.temperature), out=tile.score)
        value = softmax(tile.score, (tile.offset / self.temperature).astype(narrow))
        value *= self.temperature
        return value


@dataclass(frozen=True)
class Tempered:
    """Assignment at a falling temperature: ``eps_i = max(end, start * factor^i)``.

    Here i counts iterations from 0. Once eps is at its last value, the fit continues until it
    converges.

    Attributes
    ----------
    start
        The first eps. A value above 1 smooths the likelihood, so that the fit depends less on its
        starting values. If it is high, components merge. Components with widths of their own may
        then never separate again, so keep it near 1 for them. Isotropic components allow higher
        values.
    factor
        The factor by which eps is multiplied after every iteration.
    end
        The last eps: with 1 the fit ends in EM, with 0 in hard assignment.
    """

    start: Positive = 2.0
    factor: Annotated[float, Field(gt=0, lt=1)] = 0.9
    end: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.0

    #: Below this eps, responsibilities are practically 0 or 1, except for exact ties.
    _COLD = 1e-3

    @property
    def temperature(self) -> float:
        return self.end

    settled: ClassVar[bool] = True

    def leaves_base_out(self, density: Density) -> bool:
        return self._last.leaves_base_out(density)

    @property
    def _last(self) -> Assignment:
        """The assignment at the last temperature, `end`."""
        if self.end == 0:
            return Hard()
        return Soft() if self.end == 1 else At(self.end)

    def at(self, iteration_index: IterationIndex) -> Assignment:
        # Compare logarithms, because factor^iteration underflows.
        log_eps = math.log(self.start) + (iteration_index.iteration - 1) * math.log(self.factor)
        floor = self.end if self.end > 0 else min(self.start, 1.0) * self._COLD
        if log_eps <= math.log(floor):
            return self._last
        return At(math.exp(log_eps), settled=False)

    def share(self, tile: Tile) -> Share:
        return self._last.share(tile)

    def logits(self, density: Density, log_weight: Array) -> Logits | None:
        return self._last.logits(density, log_weight)

    def whole(
        self, density: Density, x: Array, weight: Floats | None, origin: Floats, log_weight: Array
    ) -> Share | None:
        return self._last.whole(density, x, weight, origin, log_weight)

    def explain(self, tile: Tile) -> tuple[NDArray[np.int32], Floats]:
        return self._last.explain(tile)


assignment = Tempered
