"""How far centres have moved since any of the last passes: what bounds of distances live on.

Nothing here is needed to go on: without it, a fit scores all rows once more.
"""

from __future__ import annotations

import uuid
from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdist.interfaces import Floats, Numerics
from emdist.kernels.bounds import movements
from emdist.kernels.plusplus import squared_distances

#: Passes back that bounds can date from, and numbers that their table may have.
_AGES, _TABLE = 512, 1 << 17
#: Numbers that former centres may have: of older passes only the length of the way is known.
_CENTRES = 1 << 20
#: `Pass.now` must fit the type that rows keep it in.
_LAST = np.iinfo(np.uint16).max


@dataclass(frozen=True)
class Moment:
    """Where the centres stood in one pass.

    Attributes
    ----------
    way
        (k,) length of the way that each had gone until then.
    order
        (k,) centres group by group, the fastest group first, by index within each.
    floor
        (k,) half the distance to the nearest other centre.
    """

    way: Floats
    order: NDArray[np.int64]
    floor: Floats


@dataclass(frozen=True)
class Drift:
    """What a pass knows of the way that the centres came.

    Attributes
    ----------
    generation
        Bounds of other generations mean nothing here.
    now, clock
        Number of the pass within its generation, and the way of the two fastest centres until it.
    order, sizes, floor
        Of now: as `Moment` has them, and (g,) the sizes of the groups.
    table
        (ages, k, g) float32: how far a centre and the fastest other of a group have moved.
    gamma
        Relative error of a score.
    """

    generation: str
    now: int
    clock: float
    order: NDArray[np.int64]
    sizes: NDArray[np.int64]
    floor: Floats
    table: NDArray[np.float32]
    gamma: float


def group_sizes(k: int, groups: int) -> NDArray[np.int64]:
    """(g,) sizes of groups of centres: few fast ones, many slow ones, at least four of each.

    A single centre that leaps then spoils no bounds but those of its small group.
    """
    groups = max(1, min(groups, k // 4))
    cuts = [max(4 * (g + 1), round(k * 4.0 ** (g + 1 - groups) / 2)) for g in range(groups - 1)]
    return np.diff([0, *cuts, k])


def rounding(numerics: Numerics, d: int) -> float:
    """How far scores of `d` features err, relative to what is added up: twice what can be."""
    return (d + 8) * float(np.finfo(numerics.dtype).eps)


class Track:
    """The way of the centres. It has state, because that is what it follows; never stored.

    Any centres may follow any others: bounds hold, however far they move.
    """

    def __init__(self) -> None:
        self._kind: Any = None

    def _begin(self, means: Floats, kind: Any, groups: int) -> None:
        k, d = means.shape
        self._kind, self._generation, self._now = kind, uuid.uuid4().hex, 0
        self._sizes = group_sizes(k, groups)
        ages = min(_AGES, max(2, _TABLE // (k * len(self._sizes))))
        self._moments: deque[Moment] = deque(maxlen=ages)
        self._centres: deque[Floats] = deque(maxlen=min(ages, max(2, _CENTRES // (k * d))))
        self._way, self._pace, self._clock = np.zeros(k), np.zeros(k), 0.0

    def follow(self, means: Floats, numerics: Numerics, groups: int) -> Drift:
        """The drift to `means` (k, d); another kind of pass than before begins anew."""
        kind = (means.shape, numerics, groups)
        if self._kind != kind or self._now >= _LAST:
            self._begin(means, kind, groups)
        else:
            step = _lengths(means - self._centres[0])
            if step.any():
                self._pace = step
            self._way = self._way + step
            self._clock += float(np.sort(step)[-2:].sum()) * (1 + 1e-4)
            self._now += 1
        self._centres.appendleft(means)
        gamma = rounding(numerics, means.shape[1])
        apart = _nearest_other(means)
        order = _grouped(self._pace, self._sizes)
        self._moments.appendleft(Moment(self._way, order, 0.5 * apart))
        table = self._table(apart, gamma)
        return Drift(
            self._generation, self._now, self._clock, order, self._sizes, 0.5 * apart, table, gamma
        )  # fmt: skip

    def _table(self, apart: Floats, gamma: float) -> NDArray[np.float32]:
        ways = np.array([m.way for m in self._moments])
        drift = (self._way - ways) * (1 + 1e-12) + 1e-14 * self._way
        former = np.array(self._centres)
        net = _lengths(former[0] - former)
        near = drift[: len(net)]
        np.minimum(near, net * (1 + 1e-12), out=near)
        drift *= 1 + 8 * gamma
        out = np.empty((*drift.shape, len(self._sizes)), np.float32)
        orders = np.array([m.order for m in self._moments])
        valid = apart >= np.array([m.floor for m in self._moments])
        movements(drift, orders, self._sizes, valid, out)
        return out


def _lengths(vectors: Floats) -> Floats:
    lengths: Floats = np.sqrt(np.einsum("...j,...j->...", vectors, vectors))
    return lengths


def _nearest_other(means: Floats) -> Floats:
    """(k,) distance to the nearest other centre, rounded down; infinite for one centre."""
    between = squared_distances(means, means)
    norms = np.einsum("ij,ij->i", means, means)
    error = 4 * (means.shape[1] + 8) * np.finfo(np.float64).eps
    between = between - error * (norms[:, None] + norms)
    np.fill_diagonal(between, np.inf)
    nearest: Floats = np.sqrt(np.maximum(between.min(axis=1), 0.0))
    return nearest


def _grouped(pace: Floats, sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    fastest = np.argsort(-pace, kind="stable")
    return np.concatenate([np.sort(part) for part in np.split(fastest, np.cumsum(sizes)[:-1])])
