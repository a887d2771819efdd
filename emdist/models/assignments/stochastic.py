"""Stochastic assignment: each row draws its component from its posterior. Stochastic EM.

Source: Celeux and Diebolt 1985. The draws let a fit leave poor maxima. After `iterations` with
draws, the fit continues as EM, which converges.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from emdist.components import Density
from emdist.interfaces import Array, IterationIndex
from emdist.kernels.tiles.assign import drawn_labels, softmax
from emdist.kernels.tiles.hashing import uniform_of_rows
from emdist.models.assignments import Assignment, Share, Tile, scattered
from emdist.models.assignments.soft import Soft, Softened

#: Identifies the random stream of the draws of components. No other draws use this stream.
_STREAM = 7


@dataclass(frozen=True)
class Drawn(Softened):
    """One draw per row, from random numbers that `key` and the row's global index determine.

    So draws do not depend on blocks, threads or workers.

    Attributes
    ----------
    key
        The numbers (seed, restart, iteration).
    """

    key: tuple[int, ...]

    temperature: ClassVar[float] = math.nan
    settled: ClassVar[bool] = False

    def at(self, iteration_index: IterationIndex) -> Drawn:
        return self

    def share(self, tile: Tile) -> Share:
        value = softmax(tile.score, tile.offset)
        labels = drawn_labels(tile.score, uniform_of_rows(tile.rows, *self.key, _STREAM))
        return scattered(tile, labels, value)

    def logits(self, density: Density, log_weight: Array) -> None:
        return None  # Draws need the index of each row, which only tiles have.


@dataclass(frozen=True)
class Stochastic(Soft):
    """Stochastic assignment in the first iterations, then soft assignment.

    Attributes
    ----------
    iterations
        The number of iterations with draws. Their objective is the log-likelihood, which may fall
        from one to the next.
    """

    iterations: Annotated[int, Field(ge=0)] = 30

    def at(self, iteration_index: IterationIndex) -> Assignment:
        if iteration_index.iteration > self.iterations:
            return Soft()
        return Drawn((iteration_index.seed, iteration_index.restart, iteration_index.iteration))


assignment = Stochastic
