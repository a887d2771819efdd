"""How rows are shared among components: one file per assignment, each with an ``assignment``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from emdist.components import Density, Logits
from emdist.interfaces import Array, Floats, Turn
from emdist.kernels.vector.lines import Lines
from emdist.kernels.vector.posterior import posteriors


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
    rows
        (m,) global indices of the rows: what random choices are keyed by.
    """

    density: Density
    x: Array
    t: Array
    score: Array
    offset: Array
    log_weight: Array
    weight: Floats | None
    rows: NDArray[np.int64]


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
        Weighted sum of the tile's objective, without the density's constant: nats.
    """

    n: Floats
    t: Array
    objective: float

    def __iadd__(self, other: Share) -> Share:
        """Add a tile's to those of the tiles before it, in place."""
        np.add(self.n, other.n, out=self.n)
        np.add(self.t, other.t, out=self.t)
        return replace(self, objective=self.objective + other.objective)


class Assignment(Protocol):
    """How the scores of a tile become responsibilities.

    Its objective is ``Q + temperature * H``, with Q the expected complete-data log-likelihood
    and H the entropy of the responsibilities: the log-likelihood at temperature 1, and the
    classification likelihood at 0.
    """

    @property
    def temperature(self) -> float:
        """Of the responsibilities; NaN where the objective is no such sum."""

    @property
    def leaves_base_out(self) -> bool:
        """Whether `Share.objective` lacks the base that components share."""

    @property
    def settled(self) -> bool:
        """Whether every later turn computes as this one."""

    def at(self, turn: Turn) -> Assignment:
        """As it works in one turn of a fit; by itself it works as at the end of all turns."""

    def share(self, tile: Tile) -> Share:
        """What the tile adds to the sums; overwrites its scores."""

    def logits(self, density: Density, log_weight: Array) -> Logits | None:
        """What the responsibilities of stored rows are the softmax of; None if of no such thing."""

    def whole(
        self, density: Density, x: Array, weight: Floats | None, origin: Floats, log_weight: Array
    ) -> Share | None:
        """What a block of stored rows (m, d) adds, in one compiled call; None to go by tiles."""

    def explain(self, tile: Tile) -> tuple[NDArray[np.int32], Floats]:
        """Labels (m,) and log-likelihood (m,) without the constant; overwrites the scores."""


def gathered(tile: Tile, resp: Array, value: Floats) -> Share:
    """The share of a tile with responsibilities (k, m) and objective (m,); overwrites both."""
    if tile.weight is not None:
        value *= tile.weight
        resp *= tile.weight
    n = resp.sum(axis=1, dtype=np.float64)
    return Share(n, tile.density.gather(tile.x, tile.t, resp), float(value.sum()))


def softly(
    logits: Sequence[Logits], x: Array, weight: Floats | None, origin: Floats
) -> Iterator[Share]:
    """What a block of stored rows (m, d) adds under each of some logits of one T(x) and precision.

    Each has the bits that it has alone.
    """
    lines = Lines(logits[0].pairs, logits[0].extras)
    found = posteriors(x, origin, [(each.eta, each.offset) for each in logits], lines, weight)
    for each, (n, t, value) in zip(logits, found, strict=True):
        yield Share(n, t, each.temperature * value)


def softly_alone(
    logits: Logits | None, x: Array, weight: Floats | None, origin: Floats
) -> Share | None:
    """As `softly`, of one; None where there are none."""
    return None if logits is None else next(softly([logits], x, weight, origin))


def scattered(tile: Tile, labels: NDArray[np.int32], value: Floats) -> Share:
    """The share of a tile with labels (m,) and objective (m,)."""
    n, sums = tile.density.scatter(tile.x, tile.t, labels, tile.weight)
    total = value.sum() if tile.weight is None else value @ tile.weight
    return Share(n, sums, float(total))
