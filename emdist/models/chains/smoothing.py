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
from emdist.kernels.tiles.chains import backward_log, forward_log
from emdist.kernels.vector.chains import backward, forward
from emdist.kernels.vector.steps import padded, padded_matrix
from emdist.models.chains.params import HiddenMarkovParams, link_of, logarithms
from emdist.models.chains.tiles import Emissions, Emitted


@dataclass(frozen=True)
class Smoothed:
    """The posteriors of one tile.

    Attributes
    ----------
    tile
        The tile.
    forward
        The probabilities of the states given the rows up to each, times any factor of each row:
        (m, k).
    resp
        Those given all rows of the sequence, times the weights, and 0 for rows that are not seen:
        (k, m) in the precision of tiles.
    value
        The log-likelihood of each row given the rows before it, (m,), without `Density.base` and
        `constant`.
    """

    tile: Emissions
    forward: Floats
    resp: Array
    value: Floats

    @property
    def filtered(self) -> Floats:
        """The probabilities of the states given the rows up to each, (m, k)."""
        found: Floats = self.forward / self.forward.sum(axis=1, keepdims=True)
        return found


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
        self._logs = logarithms(params.transitions)
        # Padded for `kernels.vector.steps`.
        self._matrix = padded_matrix(params.transitions)
        self._transposed = np.ascontiguousarray(self._matrix.T)
        self._ones = np.ones((1, len(self._matrix)))
        self._starts = rows.starts

    @property
    def transitions(self) -> Floats:
        """The expected number of transitions from each state to each, times weights: (k, k)."""
        return self._pairs * self.params.transitions if self.params.scaled else self._pairs

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
        probabilities are logarithms (m, k) if all steps are, and else padded (m, w), each row times
        a factor.
        """
        m, k = tile.score.shape[1], len(carry)
        scale = np.empty(m)
        if not self.params.scaled:
            alpha = np.empty((m, k))
            forward_log(
                tile.score, tile.first, self._starts, self._log_start, self._logs, carry, alpha,
                scale,
            )  # fmt: skip
            return tile.score, alpha, scale + tile.top
        e, top, held = exponentials(tile.score), tile.top.copy(), padded(carry[None])
        alpha = np.zeros(e.shape)
        forward(
            tile.score, e, tile.first, self._starts, self._log_start, self._matrix, held, alpha,
            scale, top,
        )  # fmt: skip
        carry[:] = held[0, :k]
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
            self._back(tile, emitted, before, alpha, beta, resp)
            shares = alpha[:, : len(beta)] if self.params.scaled else np.exp(alpha)
            yield Smoothed(tile, shares, resp, value)

    def _back(
        self,
        tile: Emissions,
        emitted: Array,
        before: Floats,
        alpha: Floats,
        beta: Floats,
        resp: Array,
    ) -> None:
        """Fill `resp` (k, m), add to the counts, and move `beta` (k,) to the row before a tile."""
        if not self.params.scaled:
            backward_log(
                emitted, tile.first, self._starts, self._logs, before, alpha, tile.weight,
                tile.seen, beta, resp, self.initial, self._pairs,
            )  # fmt: skip
            return
        k, held = len(beta), padded(beta[None])
        left, right = np.empty((2, *alpha.shape))
        backward(
            emitted, tile.first, self._starts, self._transposed, padded(before[None]), alpha,
            tile.weight, tile.seen, self._ones, held, resp, self.initial, left, right,
        )  # fmt: skip
        beta[:] = held[0, :k]
        self._pairs += (left.T @ right)[:k, :k]


def exponentials(score: Array) -> Floats:
    """Return the exponentials of scores (k, m) in float64, padded: (m, w).

    Those of float32 would be 0 from -104 on, where transitions may well be smaller.
    """
    return padded(np.exp(score, dtype=np.float64).T)
