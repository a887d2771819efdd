"""How far centres have moved since each of the last passes, from which distances are bounded.

Nothing here has to be stored: without it, a fit only scores all rows once more.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdist.interfaces import Floats, Numerics
from emdist.kernels.tiles.distances import nearest_others
from emdist.kernels.vector.bounds import drifts, movements

#: How many passes ago a bound may have been computed, and how many numbers their table may hold.
_AGES, _TABLE = 128, 1 << 15
#: How many numbers former centres may have. Of older passes, only the path length is known.
_CENTRES = 1 << 15
#: `Drift.now` must fit into the type in which each row keeps it.
_LAST = np.iinfo(np.uint16).max


@dataclass(frozen=True)
class Drift:
    """What a pass knows about the movements of the centres.

    Attributes
    ----------
    generation
        Bounds of other generations are not valid.
    now
        The number of the pass within its generation.
    order, sizes
        (k,) the centres group by group, the fastest group first, by index within each group; and
        (g,) the sizes of the groups.
    floor
        (k,) half the distance to the nearest other centre.
    table
        (g, ages + 1, k) float32: how far a centre and the fastest other one of a group have moved.
        It is infinite at the last age, which stands for all older ones.
    gamma
        The relative error of a score.
    """

    generation: str
    now: int
    order: NDArray[np.int64]
    sizes: NDArray[np.int64]
    floor: Floats
    table: NDArray[np.float32]
    gamma: float


def group_sizes(k: int, groups: int) -> NDArray[np.int64]:
    """Return (g,) sizes of groups of centres: few fast ones, many slow ones, at least four each.

    A single centre that moves far then only weakens the bounds of its small group.
    """
    groups = max(1, min(groups, k // 4))
    cuts = [max(4 * (g + 1), round(k * 4.0 ** (g + 1 - groups) / 2)) for g in range(groups - 1)]
    return np.diff([0, *cuts, k])


def rounding(numerics: Numerics, d: int) -> float:
    """Return how far scores of `d` features err, relative to the terms: twice the error bound."""
    return (d + 8) * float(np.finfo(numerics.dtype).eps)


class Track:
    """Records how the centres move. It has state for that purpose, and is never stored.

    Any centres may follow any others: the bounds hold however far the centres move.
    """

    def __init__(self) -> None:
        self._kind: Any = None

    def _begin(self, means: Floats, kind: Any, groups: int) -> None:
        """Start a new generation, in which no earlier bounds are valid."""
        k, d = means.shape
        self._kind, self._generation, self._now = kind, uuid.uuid4().hex, 0
        self._sizes = group_sizes(k, groups)
        ages = min(_AGES, max(2, _TABLE // (k * len(self._sizes))))
        # Of this pass and earlier ones, newest first: the length of each centre's path, the
        # groups, `floor` and, for fewer passes, the centres themselves.
        self._way, self._pace = np.zeros((0, k)), np.zeros(k)
        self._order, self._floor = np.zeros((0, k), np.int64), np.zeros((0, k))
        self._means, self._ages = np.zeros((0, k, d)), ages
        self._former = min(ages, max(2, _CENTRES // (k * d)))

    def follow(self, means: Floats, numerics: Numerics, groups: int) -> Drift:
        """Return the drift to `means` (k, d); another kind of pass starts a new generation."""
        kind = (means.shape, numerics, groups)
        if self._kind != kind or self._now >= _LAST:
            self._begin(means, kind, groups)
            way = np.zeros(len(means))
        else:
            step = _lengths(means - self._means[0])
            if step.any():
                self._pace = step
            way = self._way[0] + step
            self._now += 1
        gamma = rounding(numerics, means.shape[1])
        floor = 0.5 * nearest_other(means)
        order = _grouped(self._pace, self._sizes)
        self._means = np.concatenate([means[None], self._means[: self._former - 1]])
        self._way, self._floor, self._order = (
            np.concatenate([new[None], old[: self._ages - 1]])
            for new, old in ((way, self._way), (floor, self._floor), (order, self._order))
        )
        table = self._table(gamma)
        return Drift(
            self._generation, self._now, order, self._sizes, floor, table, gamma
        )  # fmt: skip

    def _table(self, gamma: float) -> NDArray[np.float32]:
        """Return the movements (g, ages + 1, k) by which bounds have shrunk; see `Drift`."""
        drift = drifts(self._way, self._means, 1 + 8 * gamma)
        out = np.full((len(self._sizes), len(drift) + 1, drift.shape[1]), np.inf, np.float32)
        valid = 2 * self._floor[0] >= self._floor
        movements(drift, self._order, self._sizes, valid, out)
        return out


def _lengths(vectors: Floats) -> Floats:
    lengths: Floats = np.sqrt(np.einsum("...j,...j->...", vectors, vectors))
    return lengths


def nearest_other(means: Floats) -> Floats:
    """Return (k,) distance to the nearest other centre, rounded down; infinite for one centre."""
    _, between = nearest_others(means)
    norms = np.einsum("ij,ij->i", means, means)
    error = 4 * (means.shape[1] + 8) * np.finfo(np.float64).eps
    nearest: Floats = np.sqrt(np.maximum(between - error * (norms + norms.max()), 0.0))
    return nearest


def _grouped(pace: Floats, sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    fastest = np.argsort(-pace, kind="stable")
    return np.concatenate([np.sort(part) for part in np.split(fastest, np.cumsum(sizes)[:-1])])
