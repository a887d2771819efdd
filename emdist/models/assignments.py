"""From scores to sums: how rows are shared among components."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from emdist.interfaces import Array, Density, Floats
from emdist.kernels.assign import hard_labels, softmax


@dataclass(frozen=True)
class Tile:
    """A tile of m rows with its scores.

    Attributes
    ----------
    density
        That scored it.
    x, t
        (m, d) rows relative to the origin, and their statistics.
    score
        (k, m) without `offset`; an assignment may overwrite it.
    offset
        (k,) to be added to the scores: the density's own and `log_weight`.
    log_weight
        (k,) logarithms of the mixture weights, 0 where they are uniform.
    weight
        (m,) sample weights, or None for 1.
    """

    density: Density
    x: Array
    t: Array
    score: Array
    offset: Array
    log_weight: Array
    weight: Floats | None


@dataclass(frozen=True)
class Share:
    """What one tile adds to the sums.

    Attributes
    ----------
    n
        (k,) weight given to each component.
    t
        (k, width) statistics given to each component.
    objective
        Weighted sum of the tile's log-likelihood, without the density's constant: nats.
    """

    n: Floats
    t: Array
    objective: float


class Assignment(Protocol):
    """How the scores of a tile become responsibilities."""

    @property
    def leaves_base_out(self) -> bool:
        """Whether `Share.objective` lacks the base that components share."""
        ...

    def share(self, tile: Tile) -> Share:
        """What the tile adds to the sums; overwrites its scores."""
        ...

    def explain(self, tile: Tile) -> tuple[NDArray[np.int32], Floats]:
        """Labels (m,) and log-likelihood (m,) without the constant; overwrites the scores."""
        ...


@dataclass(frozen=True)
class Soft:
    """Responsibilities: EM."""

    leaves_base_out: bool = True

    def share(self, tile: Tile) -> Share:
        log_likelihood = softmax(tile.score, tile.offset)
        resp = tile.score
        if tile.weight is not None:
            log_likelihood *= tile.weight
            resp *= tile.weight
        n = resp.sum(axis=1, dtype=np.float64)
        gathered = tile.density.gather(tile.x, tile.t, resp)
        return Share(n, gathered, float(log_likelihood.sum()))

    def explain(self, tile: Tile) -> tuple[NDArray[np.int32], Floats]:
        labels, _ = hard_labels(tile.score, tile.offset)
        return labels, softmax(tile.score, tile.offset) + tile.density.base(tile.x)


@dataclass(frozen=True)
class Hard:
    """The best component takes the whole row: classification EM, and K-means."""

    leaves_base_out: bool = False

    def share(self, tile: Tile) -> Share:
        labels, value = self.explain(tile)
        n, sums = tile.density.scatter(tile.x, tile.t, labels, tile.weight)
        total = value.sum() if tile.weight is None else value @ tile.weight
        return Share(n, sums, float(total))

    def explain(self, tile: Tile) -> tuple[NDArray[np.int32], Floats]:
        labels, best = hard_labels(tile.score, tile.offset)
        own = tile.log_weight[labels]
        return labels, tile.density.explain(tile.x, best - own, labels) + own


ASSIGNMENTS: dict[str, Assignment] = {"soft": Soft(), "hard": Hard()}
