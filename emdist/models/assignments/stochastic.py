"""Stochastic: every row draws one component from its posterior. Stochastic EM.

Celeux and Diebolt 1985. The draws let a fit leave poor maxima; after `iterations` of them it
goes on as EM, which converges.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from emdist.components import Density, Logits
from emdist.interfaces import Array, Floats, Turn
from emdist.kernels.tiles.assign import drawn_labels, softmax
from emdist.kernels.tiles.hashing import uniform_of_rows
from emdist.models.assignments import Assignment, Share, Tile, scattered
from emdist.models.assignments.soft import Soft

#: The purpose of these random numbers, so that no other draws share their stream.
_STREAM = 7


@dataclass(frozen=True)
class Drawn:
    """One draw per row, from a stream named by `key` and the row's global index.

    Attributes
    ----------
    key
        (seed, restart, iteration).
    """

    key: tuple[int, ...]

    @property
    def temperature(self) -> float:
        return math.nan

    @property
    def leaves_base_out(self) -> bool:
        return True

    @property
    def settled(self) -> bool:
        return False

    def at(self, turn: Turn) -> Drawn:
        return self

    def share(self, tile: Tile) -> Share:
        value = softmax(tile.score, tile.offset)
        labels = drawn_labels(tile.score, uniform_of_rows(tile.rows, *self.key, _STREAM))
        return scattered(tile, labels, value)

    def logits(self, density: Density, log_weight: Array) -> None:
        return None

    def whole(
        self, density: Density, x: Array, weight: Floats | None, origin: Floats, log_weight: Array
    ) -> Share | None:
        return None  # Draws are keyed by row, tile by tile.

    def explain(self, tile: Tile) -> tuple[NDArray[np.int32], Floats]:
        return Soft().explain(tile)


@dataclass(frozen=True)
class Stochastic:
    """Draws for `iterations`, then EM.

    Attributes
    ----------
    iterations
        With draws. The objective of each is the log-likelihood, which need not rise in them.
    """

    iterations: Annotated[int, Field(ge=0)] = 30

    @property
    def temperature(self) -> float:
        return 1.0

    @property
    def leaves_base_out(self) -> bool:
        return True

    @property
    def settled(self) -> bool:
        return True

    def at(self, turn: Turn) -> Assignment:
        if turn.iteration > self.iterations:
            return Soft()
        return Drawn((turn.seed, turn.restart, turn.iteration))

    def share(self, tile: Tile) -> Share:
        return Soft().share(tile)

    def logits(self, density: Density, log_weight: Array) -> Logits | None:
        return Soft().logits(density, log_weight)

    def whole(
        self, density: Density, x: Array, weight: Floats | None, origin: Floats, log_weight: Array
    ) -> Share | None:
        return Soft().whole(density, x, weight, origin, log_weight)

    def explain(self, tile: Tile) -> tuple[NDArray[np.int32], Floats]:
        return Soft().explain(tile)


assignment = Stochastic
