"""Weighted greedy k-means++ on rows in memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from emdist.kernels.tiles.distances import Between, squared_distances
from emdist.kernels.tiles.tiles import tile_rows, tiles

Array = NDArray[Any]
Floats = NDArray[np.float64]

#: The largest number of centres for which candidates are drawn at a time, ...
_BATCH = 64
#: ... the share of the centres before them that these are at most, 1 in so many, ...
_SHARE = 2
#: ... and the largest size of the distances of their candidates in float64, in bytes.
_GAP_BYTES = 64 << 20
#: The smallest and the largest number of rows that judge which candidate is the best.
JUDGES, _MOST_JUDGES = 8192, 32768
#: Candidates whose distances are computed in one call.
_PART = 128
#: float32 resolves squared distances that are no smaller a part of the squared norm.
_RESOLVED = 2.0**-13
#: The share of the inertia in smaller distances from which on all are computed in float64.
_UNRESOLVED = 0.01


class Each(Protocol):
    """Calls a function for every index below a number, in any order, perhaps on several threads."""

    def __call__(self, work: Callable[[int], None], number: int, /) -> None: ...


def in_turn(work: Callable[[int], None], number: int) -> None:
    """Call `work` for every index below `number`, one after the other."""
    for index in range(number):
        work(index)


def plusplus_bytes(m: int, k: int, judges: int = JUDGES) -> int:
    """Return how many bytes `plusplus` holds besides the rows to choose `k` of `m` rows."""
    rows = min(m, judges, _MOST_JUDGES)
    candidates = _largest_batch(k, rows) * trials_of(k)
    # Distances to rows in float64, to other candidates, and some numbers of each row.
    return 8 * (candidates * (rows + candidates) + 8 * m)


def trials_of(k: int) -> int:
    """Return the number of candidates for each of `k` centres."""
    return 2 + int(np.log(k))


def _largest_batch(k: int, judges: int) -> int:
    """Return the largest number of centres for which candidates are drawn at a time."""
    fits = _GAP_BYTES // (8 * judges * trials_of(k))
    return max(1, min(_BATCH, fits, k // _SHARE))


def plusplus(
    x: Floats,
    weight: Floats,
    k: int,
    rng: np.random.Generator,
    between: Between = squared_distances,
    told: Callable[[int], None] | None = None,
    each: Each = in_turn,
    judges: int = JUDGES,
) -> NDArray[np.int64]:
    """Return the indices of `k` rows chosen by greedy k-means++.

    Source: Arthur and Vassilvitskii 2007, with their greedy variant: each new centre is the best of
    ``2 + log k`` candidates that are drawn in proportion to weight times squared distance.

    Rows are drawn for many centres at once, from the distances to the centres before these. A row
    counts as drawn for a later centre with the probability by which its distance has fallen since,
    so every candidate has exactly the distribution of one that was drawn alone (rejection
    sampling). All distances are then a few matrix products. Which of the candidates is the best is
    judged by all rows or, if there are many, by rows drawn in proportion to what they add to the
    inertia.

    Parameters
    ----------
    x
        (m, d) rows, m >= k.
    weight
        (m,) weights, not all zero.
    k
        The number of rows to choose.
    rng
        The random generator.
    between
        Dissimilarities to use in place of squared distances.
    told
        Called with the number of rows chosen so far.
    each
        Does independent parts of the work. The parts, and so the result, do not depend on it.
    judges
        How many rows judge which candidate is the best.
    """
    judges = min(len(x), judges, _MOST_JUDGES)
    trials, most = trials_of(k), _largest_batch(k, judges)
    plain = between is squared_distances
    rows = _EuclideanRows(x, weight, each) if plain else _Rows(x, weight, between, each)
    chosen = np.empty(k, np.int64)
    chosen[:1] = _draw(np.cumsum(weight), 1, rng)
    nearest = np.full(len(x), np.inf)
    rows.approach(nearest, chosen[:1])
    done = 1
    while done < k:
        cumulative = np.cumsum(weight * nearest)
        if rows.needs_more_digits(nearest, cumulative[-1]):
            nearest.fill(np.inf)
            rows.approach(nearest, chosen[:done])
            continue
        if not cumulative[-1] > 0:
            # All rows left equal rows that are chosen.
            chosen[done:] = _rest(weight, chosen[:done], k - done, rng)
            break
        # Few are drawn at a time while a new centre changes the distances of most rows.
        size = min(k - done, max(1, min(most, done // _SHARE)))
        pool = _draw(cumulative, size * trials, rng)
        more = _best(rows.judged(pool, nearest, cumulative, judges, rng), trials, size, rng)
        chosen[done : done + len(more)] = pool[more]
        done += len(more)
        rows.approach(nearest, pool[more])
        if told is not None:
            told(done)
    return chosen


def _draw(cumulative: Floats, size: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw `size` indices, given the cumulative sums of what they are drawn in proportion to."""
    at = np.searchsorted(cumulative, rng.random(size) * cumulative[-1], side="right")
    last: NDArray[np.int64] = np.minimum(at, len(cumulative) - 1).astype(np.int64)
    return last


def _rest(
    weight: Floats, chosen: NDArray[np.int64], size: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Draw `size` rows that are not chosen yet, by weight; rows without weight come last."""
    with np.errstate(divide="ignore"):
        key = rng.exponential(size=len(weight)) / weight
    left = np.setdiff1d(np.arange(len(weight)), chosen)
    return left[np.argsort(key[left], kind="stable")[:size]]


@dataclass(frozen=True)
class _Pool:
    """Candidates for the next centres, and what is needed to choose among them.

    Attributes
    ----------
    before
        (c,) the distance of each candidate to the nearest centre when it was drawn.
    among
        (c, c) the distances of candidates to each other; 0 where both are the same row.
    gap
        (c, s) the distances of candidates to the rows that judge them.
    held
        (s,) the distances of these rows to their nearest centre.
    worth
        (s,) how much a unit of these distances counts.
    """

    before: Floats
    among: Floats
    gap: Array
    held: Array
    worth: Array


class _Rows:
    """The rows to choose from, and their distances, in parts that `each` computes."""

    def __init__(self, x: Floats, weight: Floats, between: Between, each: Each) -> None:
        self.x, self.weight, self.between, self.each = x, weight, between, each

    def approach(self, nearest: Floats, chosen: NDArray[np.int64]) -> None:
        """Lower the distances `nearest` (m,) to the nearest centre by those to `chosen` rows."""
        rows = tile_rows(self.x.shape[1] + min(len(chosen), _BATCH), 8)

        def part(index: int) -> None:
            own = slice(index * rows, (index + 1) * rows)
            for a, b in tiles(len(chosen), _BATCH):
                found = self._to_nearest(own, chosen[a:b])
                np.minimum(nearest[own], found, out=nearest[own])

        self.each(part, -(-len(nearest) // rows))
        # Rounding leaves a small distance of a row to itself, so that it could be drawn again.
        nearest[chosen] = 0.0

    def _to_nearest(self, own: slice, chosen: NDArray[np.int64]) -> Array:
        """Return the distances of some rows to the nearest of the chosen ones."""
        found: Array = self.between(self.x[own], self.x[chosen]).min(axis=0)
        return found

    def needs_more_digits(self, nearest: Floats, inertia: float) -> bool:
        """Return whether to compute all distances again, because they have more digits now."""
        return False

    def judged(
        self,
        pool: NDArray[np.int64],
        nearest: Floats,
        cumulative: Floats,
        judges: int,
        rng: np.random.Generator,
    ) -> _Pool:
        """Return the candidates `pool` (c,) with their distances to each other and to rows."""
        rows, worth = self._judges(nearest, cumulative, judges, rng)
        gap_of, held = self._gaps(pool, rows, nearest)
        own_x = self.x[pool]
        among = np.empty((len(pool), len(pool)))
        gap = np.empty((len(pool), len(rows)), held.dtype)

        def part(index: int) -> None:
            own = slice(index * _PART, (index + 1) * _PART)
            gap_of(own, gap[own])
            among[own] = self.between(own_x, own_x[own])

        self.each(part, -(-len(pool) // _PART))
        among[pool[:, None] == pool] = 0.0
        return _Pool(nearest[pool], among, gap, held, (worth / worth.max()).astype(held.dtype))

    def _gaps(
        self, pool: NDArray[np.int64], rows: NDArray[np.int64], nearest: Floats
    ) -> tuple[Callable[[slice, Array], None], Array]:
        """Return what fills in distances of candidates to rows, and those rows' to a centre."""
        x, candidates = self.x[rows], self.x[pool]

        def gap_of(own: slice, out: Array) -> None:
            out[:] = self.between(x, candidates[own])

        return gap_of, nearest[rows]

    def _judges(
        self, nearest: Floats, cumulative: Floats, judges: int, rng: np.random.Generator
    ) -> tuple[NDArray[np.int64], Floats]:
        """Return rows that judge candidates, (s,), and what a unit of their distance counts.

        Many rows are drawn, at equal steps of what they add to the inertia. So most of them are
        where a further centre gains most.
        """
        if len(nearest) <= judges:
            return np.arange(len(nearest)), self.weight
        step = cumulative[-1] / judges
        at = np.searchsorted(cumulative, (np.arange(judges) + rng.random()) * step, side="right")
        at = np.minimum(at, len(nearest) - 1)
        rows = at[np.flatnonzero(np.diff(at, prepend=-1))]
        # A row that adds more than a step is there for certain, and counts with its weight.
        return rows, np.maximum(1.0 / nearest[rows], self.weight[rows] / step)


class _EuclideanRows(_Rows):
    """Rows whose distances are squared Euclidean ones, in float32 as long as it resolves them."""

    def __init__(self, x: Floats, weight: Floats, each: Each) -> None:
        super().__init__(x, weight, squared_distances, each)
        self._norm = np.einsum("ij,ij->i", x, x)
        # A power of two, so that float32 holds neither too large nor too small squares.
        unit = 2.0 ** np.frexp(np.sqrt(self._norm.max()))[1]
        self._square = unit**2
        # With two more columns, one product with such rows is a distance.
        short = np.ones((len(x), x.shape[1] + 2), np.float32)
        np.divide(x, unit, out=short[:, :-2], casting="same_kind")
        np.divide(self._norm, self._square, out=short[:, -1], casting="same_kind")
        self._short: Array | None = short

    def needs_more_digits(self, nearest: Floats, inertia: float) -> bool:
        if self._short is None:
            return False
        fine = nearest < _RESOLVED * self._norm
        if self.weight[fine] @ nearest[fine] <= _UNRESOLVED * inertia:
            return False
        self._short = None
        return True

    @staticmethod
    def _turned(short: Array) -> Array:
        """Return the other factor of the product that gives distances to these rows."""
        turned = -2.0 * short
        turned[:, -2], turned[:, -1] = short[:, -1], 1.0
        return turned

    def _to_nearest(self, own: slice, chosen: NDArray[np.int64]) -> Array:
        if self._short is not None:
            product = self._turned(self._short[chosen]) @ self._short[own].T
            least: Array = np.maximum(product.min(axis=0), 0.0, dtype=np.float64)
            least *= self._square
            return least
        # As `squared_distances`, but what all centres have in common is added after the minimum.
        centres = self.x[chosen]
        found = (-2.0 * centres) @ self.x[own].T
        found += self._norm[chosen][:, None]
        near: Array = found.min(axis=0)
        near += self._norm[own]
        return np.maximum(near, 0.0, out=near)

    def _gaps(
        self, pool: NDArray[np.int64], rows: NDArray[np.int64], nearest: Floats
    ) -> tuple[Callable[[slice, Array], None], Array]:
        if self._short is None:
            return super()._gaps(pool, rows, nearest)
        x, candidates = self._short[rows], self._turned(self._short[pool])

        def gap_of(own: slice, out: Array) -> None:
            np.matmul(candidates[own], x.T, out=out)

        return gap_of, (nearest[rows] / self._square).astype(np.float32)


def _best(pool: _Pool, trials: int, most: int, rng: np.random.Generator) -> list[int]:
    """Return which of the candidates to choose one after the other, each the best of `trials`.

    They are at most `most`, and fewer if candidates are used up, but at least one.
    """
    held, now = pool.held, pool.before
    luck = np.zeros(len(now)) if most == 1 else rng.random(len(now))
    found: list[int] = []
    at, take = 0, np.arange(trials)
    while len(take) == trials:
        closer = np.minimum(pool.gap[take], held)
        best = int(take[np.argmin(closer @ pool.worth)])
        found.append(best)
        if len(found) == most:
            break
        held = np.minimum(held, pool.gap[best])
        now = np.minimum(now, pool.among[best])
        at = int(take[-1]) + 1
        take = at + np.flatnonzero(luck[at:] * pool.before[at:] < now[at:])[:trials]
    return found
