"""The most probable path of states through a block: Viterbi 1967, in memory of one tile."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdist.interfaces import Array, Floats
from emdist.kernels.tiles.best_paths import best_paths, trace_back
from emdist.models.chains.params import HiddenMarkovParams, link_of, logarithms
from emdist.models.chains.tiles import Emissions, Emitted


class BestPath:
    """The most probable path through the rows of a block, given the links of the pass.

    It is mutable: it adds up counts and the logarithm of the probability while `tiles` is iterated
    over.

    Parameters
    ----------
    rows
        The rows with their density.
    params
        The parameters, with the links of the pass.
    """

    def __init__(self, rows: Emitted, params: HiddenMarkovParams[Any]) -> None:
        self.rows = rows
        self.link = link_of(rows.block, params.path_links)
        k = len(params.start)
        self.initial, self.transitions = np.zeros(k), np.zeros((k, k))
        self.value = 0.0
        self._log_start = logarithms(params.start)
        self._log_transitions = logarithms(params.transitions)
        self._starts = rows.starts

    def tiles(self) -> Iterator[tuple[Emissions, NDArray[np.int32]]]:
        """Yield the tiles with the states of their rows, (m,), from the last tile to the first."""
        before = self.link.before
        carry = np.zeros(len(self.initial)) if before is None else before.copy()
        befores, last = [], None
        for tile in self.rows.forwards():
            befores.append(carry.copy())
            last = tile, *self.advance(tile, carry)
            own = last[3] + tile.top
            self.value += float(own.sum() if not len(tile.weight) else own @ tile.weight)
        state = -1
        if self.link.after is not None and last is not None:
            state = int(np.argmax(carry + self.link.after))
            weight = last[0].weight
            self.value += float(carry[state]) * (float(weight[-1]) if len(weight) else 1.0)
        for start, (a, b) in zip(reversed(befores), reversed(self.rows.bounds()), strict=True):
            if last is None:
                tile = self.rows.tile(a, b)
                last = tile, *self.advance(tile, start.copy())
            tile, come, best, _ = last
            last = None
            path = np.empty(b - a, np.int32)
            state = trace_back(come, best, tile.weight, state, path, self.initial, self.transitions)
            yield tile, path

    def advance(self, tile: Emissions, carry: Floats) -> tuple[Array, Array, Floats]:
        """Return states before, best states and values of a tile; advance `carry` (k,)."""
        m, k = tile.score.shape[1], len(carry)
        come, best, scale = np.empty((m, k), np.int32), np.empty(m, np.int32), np.empty(m)
        best_paths(
            tile.score, tile.first, self._starts, self._log_start, self._log_transitions, carry,
            come, best, scale,
        )  # fmt: skip
        return come, best, scale
