"""Forward and backward sweeps over a block: smoothed posteriors, and their sums.

Memory holds one tile, and the filtered probabilities at the end of each tile. The second sweep goes
from the last tile to the first, and computes those within a tile again.

Source: Churbanov and Winters-Hilt 2008, "Implementing EM and Viterbi algorithms for Hidden Markov
Model in linear memory", BMC Bioinformatics 9.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from emdist.interfaces import Array, Floats
from emdist.kernels.tiles.chains import backward, backward_log, forward, forward_log
from emdist.models.chains.params import HiddenMarkovParams, link_of, logarithms
from emdist.models.chains.tiles import Emissions, Emitted


@dataclass(frozen=True)
class Smoothed:
    """The posteriors of one tile.

    Attributes
    ----------
    tile
        The tile.
    filtered
        The probabilities of the states given the rows up to each, (m, k).
    resp
        Those given all rows of the sequence, times the weights, and 0 for rows that are not seen:
        (k, m) in the precision of tiles.
    value
        The log-likelihood of each row given the rows before it, (m,), without `Density.base` and
        `constant`.
    """

    tile: Emissions
    filtered: Floats
    resp: Array
    value: Floats


class Chain:
    """The forward and backward steps of one block, with scaled probabilities or logarithms.

    It is mutable: it adds up initial and transition counts while `smoothed` is iterated over.

    Parameters
    ----------
    rows
        The rows with their density.
    params
        The parameters, with the links of the pass.
    """

    def __init__(self, rows: Emitted, params: HiddenMarkovParams[Any]) -> None:
        self.rows, self.params = rows, params
        self.link = link_of(rows.block, params.links)
        k = len(params.start)
        self.initial, self._pairs = np.zeros(k), np.zeros((k, k))
        self._log_start = logarithms(params.start)
        self._matrix = (
            np.ascontiguousarray(params.transitions)
            if params.scaled
            else logarithms(params.transitions)
        )
        self._starts = rows.starts

    @property
    def transitions(self) -> Floats:
        """The expected number of transitions from each state to each, times weights: (k, k)."""
        return self._pairs * self._matrix if self.params.scaled else self._pairs

    def _entering(self) -> Floats:
        """Return the filtered probabilities before the block, or their logarithms."""
        before = self.link.before
        if before is None:
            return np.zeros(len(self.initial))
        return np.exp(before) if self.params.scaled else before.copy()

    def _leaving(self) -> Floats:
        """Return the backward message at the last row, or its logarithm."""
        after = self.link.after
        if after is None:
            after = np.zeros(len(self.initial))
        return np.exp(after - after.max()) if self.params.scaled else after.copy()

    def filtered(self, tile: Emissions, carry: Floats) -> tuple[Array, Floats, Floats]:
        """Return what the backward step needs, filtered probabilities and values of a tile.

        `carry` is that of the row before, and becomes that of the last row. The filtered
        probabilities (m, k) are logarithms if all steps are.
        """
        m, k = tile.score.shape[1], len(carry)
        alpha, scale = np.empty((m, k)), np.empty(m)
        if not self.params.scaled:
            forward_log(
                tile.score, tile.first, self._starts, self._log_start, self._matrix, carry, alpha,
                scale,
            )  # fmt: skip
            return tile.score, alpha, scale + tile.top
        e, top = np.exp(tile.score), tile.top.copy()
        forward(
            tile.score, e, tile.first, self._starts, self._log_start, self._matrix, carry, alpha,
            scale, top,
        )  # fmt: skip
        return e, alpha, np.log(scale) + top

    def smoothed(self) -> Iterator[Smoothed]:
        """Yield the posteriors of all tiles, from the last to the first."""
        carry = self._entering()
        ends, last = [], None
        for tile in self.rows.forwards():
            ends.append(carry.copy())
            last = tile, *self.filtered(tile, carry)
        beta = self._leaving()
        for before, (a, b) in zip(reversed(ends), reversed(self.rows.bounds()), strict=True):
            if last is None:
                tile = self.rows.tile(a, b)
                last = tile, *self.filtered(tile, before.copy())
            tile, emitted, alpha, value = last
            last = None
            resp = np.empty(tile.score.shape, tile.score.dtype)
            step = backward if self.params.scaled else backward_log
            step(
                emitted, a, self._starts, self._matrix, before, alpha, tile.weight, tile.seen, beta,
                resp, self.initial, self._pairs,
            )  # fmt: skip
            yield Smoothed(tile, alpha if self.params.scaled else np.exp(alpha), resp, value)
