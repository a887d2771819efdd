"""Assignments: how an E-step divides rows among components.

Each file contains one assignment. Its constant ``assignment`` is found by the name of the file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from emdist.components import Density, Logits
from emdist.interfaces import Array, Floats, IterationIndex
from emdist.kernels.vector.lines import Lines
from emdist.kernels.vector.posterior import posteriors


@dataclass(frozen=True)
class Tile:
    """A tile of m rows with its scores.

    Attributes
    ----------
    density
        The density that scored the tile.
    x, t
        The rows relative to the origin, (m, d), and their statistics, (m, width).
    score
        The scores without `offset`, (k, m). An assignment may overwrite them.
    offset
        The numbers to add to the scores, (k,): the offset of the density plus `log_weight`.
    log_weight
        The logarithms of the mixture weights, (k,), or 0 if these are uniform.
    weight
        The sample weights, (m,), or None if all are 1.
    rows
        The indices of the rows in the whole data, (m,). Random numbers are derived from them.
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
    """What one tile adds to the sums of its block.

    Attributes
    ----------
    n
        The weight that each component receives, (k,).
    t
        The sum of statistics that each component receives, (k, width).
    objective
        The weighted sum of the objective over the rows, without the density's constant, in nats.
    """

    n: Floats
    t: Array
    objective: float

    def __iadd__(self, other: Share) -> Share:
        """Add what another tile adds to the sums, in place."""
        np.add(self.n, other.n, out=self.n)
        np.add(self.t, other.t, out=self.t)
        return replace(self, objective=self.objective + other.objective)


class Assignment(Protocol):
    """How the scores of a tile become responsibilities.

    The objective is ``Q + temperature * H``, where Q is the expected complete-data log-likelihood
    and H the entropy of the responsibilities. It is the log-likelihood at temperature 1, and the
    classification likelihood at temperature 0.
    """

    @property
    def temperature(self) -> float:
        """Temperature of the responsibilities; NaN if the objective is not of this form."""

    def leaves_base_out(self, density: Density) -> bool:
        """Return whether `Share.objective` lacks `Density.base`, which all components share."""

    @property
    def settled(self) -> bool:
        """Whether every later iteration works in the same way."""

    def at(self, iteration_index: IterationIndex) -> Assignment:
        """Return the assignment as it works in one iteration.

        Without `at`, an assignment works as it does after the last change.
        """

    def share(self, tile: Tile) -> Share:
        """Return what the tile adds to the sums. This overwrites the scores."""

    def logits(self, density: Density, log_weight: Array) -> Logits | None:
        """Return the logits of the responsibilities; None if these are not a softmax of T(x)."""

    def whole(
        self, density: Density, x: Array, weight: Floats | None, origin: Floats, log_weight: Array
    ) -> Share | None:
        """Return what a block of stored rows (m, d) adds to the sums, by one compiled call.

        The result is None if there is no such call, so that tiles must be processed.
        """

    def explain(self, tile: Tile) -> tuple[NDArray[np.int32], Floats]:
        """Return labels (m,) and log-likelihoods (m,) without the density's constant.

        This overwrites the scores.
        """


def gathered(tile: Tile, resp: Array, value: Floats) -> Share:
    """Return what a tile adds to the sums, with responsibilities (k, m) and objective (m,).

    This overwrites both.
    """
    if tile.weight is not None:
        value *= tile.weight
        resp *= tile.weight
    n = resp.sum(axis=1, dtype=np.float64)
    return Share(n, tile.density.gather(tile.x, tile.t, resp), float(value.sum()))


def softly(
    logits: Sequence[Logits], x: Array, weight: Floats | None, origin: Floats
) -> Iterator[Share]:
    """Yield what a block of stored rows (m, d) adds to the sums under each of `logits`.

    All logits have the same T(x) and the same precision. The results are bit-identical to those
    of each logits alone.
    """
    lines = Lines(logits[0].pairs, logits[0].extras)
    found = posteriors(x, origin, [(each.eta, each.offset) for each in logits], lines, weight)
    for each, (n, t, value) in zip(logits, found, strict=True):
        yield Share(n, t, each.temperature * value)


def softly_alone(
    logits: Logits | None, x: Array, weight: Floats | None, origin: Floats
) -> Share | None:
    """Return what a block of stored rows (m, d) adds to the sums; None if `logits` is None."""
    return None if logits is None else next(softly([logits], x, weight, origin))


def scattered(tile: Tile, labels: NDArray[np.int32], value: Floats) -> Share:
    """Return what a tile adds to the sums, with hard labels (m,) and objective (m,)."""
    n, sums = tile.density.scatter(tile.x, tile.t, labels, tile.weight)
    total = value.sum() if tile.weight is None else value @ tile.weight
    return Share(n, sums, float(total))
