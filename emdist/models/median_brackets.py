"""Brackets of K-medians: the intervals that contain the weighted medians of clusters.

The M-step of each pass narrows them until the medians are known exactly.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from emdist.interfaces import Floats, Spread


@dataclass(frozen=True)
class Brackets:
    """k centres, and the interval that contains the exact median of each cluster and feature.

    Attributes
    ----------
    means
        The centres, (k, d). They have the same name as the locations of families, so that
        starting values can give them.
    low, high
        The ends of the brackets, (k, d). The median of the cluster in the last pass lies between
        them or is one of them. Both are values of rows. If they are equal, the centre is the
        median.
    reach
        The scale of the distance by which a median may move when labels change, (k, d).
    """

    means: Floats
    low: Floats
    high: Floats
    reach: Floats


def whole(seeds: Floats, spread: Spread) -> Brackets:
    """Return centres at `seeds` (k, d), with brackets between the extremes of all data."""
    low = np.tile(spread.low, (len(seeds), 1))
    high = np.tile(spread.high, (len(seeds), 1))
    return Brackets(np.array(seeds, np.float64), low, high, high - low)


def chosen(found: Brackets, index: NDArray[np.int64]) -> Brackets:
    """Return centres and brackets of the clusters `index` only."""
    return replace(
        found,
        means=found.means[index],
        low=found.low[index],
        high=found.high[index],
        reach=found.reach[index],
    )


def moved(found: Brackets, index: NDArray[np.int64], rows: Floats, spread: Spread) -> Brackets:
    """Return `found` with centres `index` at `rows` (c, d), their brackets as wide as the data."""
    fresh = whole(rows, spread)
    arrays = {}
    for name in ("means", "low", "high", "reach"):
        arrays[name] = getattr(found, name).copy()
        arrays[name][index] = getattr(fresh, name)
    return replace(found, **arrays)


def narrowed(found: Brackets, total: Floats, least: Floats, most: Floats) -> Brackets:
    """Make the M-step: return brackets one bin wide, and centres that are closer to the medians.

    A centre moves only as far as it certainly lowers its cost, f(c) = sum w |x - c|. The cost is
    convex, so it falls on the way to the near end of the bin that contains the median. Inside the
    bin the centre may move on while the largest possible rise is less than the smallest possible
    fall on the way to the bin. It moves half of that distance into the bin, so that every move
    lowers the cost strictly and the objective never rises.

    Parameters
    ----------
    found
        The centres and brackets of the pass.
    total, least, most
        The weight, the smallest value and the largest value of every bin, (k, d, bins).
    """
    upto = np.cumsum(total, axis=-1)
    half = 0.5 * upto[..., -1]
    empty = half == 0
    at = np.argmax(upto >= half[..., None], axis=-1)[..., None]
    low, high = _pick(least, at), _pick(most, at)
    over = _pick(upto, at) - half
    under = _pick(total, at) - over
    # If exactly half of the weight is in the bins up to this one, its last value is a median.
    low = np.where(over == 0, high, low)
    means = _towards(found.means, low, high, under, over)
    reach = _gap(low, high, least, most, at)
    return replace(
        found,
        means=np.where(empty, found.means, means),
        low=np.where(empty, found.means, low),
        high=np.where(empty, found.means, high),
        reach=np.where(empty, found.reach, reach),
    )


def _pick(values: Floats, at: NDArray[np.int64]) -> Floats:
    """Return the values (k, d) of the bins `at` (k, d, 1), of `values` (k, d, bins)."""
    picked: Floats = np.take_along_axis(values, at, axis=-1)[..., 0]
    return picked


def _towards(centre: Floats, low: Floats, high: Floats, under: Floats, over: Floats) -> Floats:
    """Return where a centre can move without raising its cost, as near to the median as possible.

    `low` and `high` are the ends of the bin. `under` and `over` are the parts of its weight below
    and above one half of the weight of the cluster.
    """
    with np.errstate(all="ignore"):
        guess = low + (high - low) * (under / (under + over))
        up = np.minimum(guess, low + 0.5 * (low - centre) * (under / over))
        down = np.maximum(guess, high - 0.5 * (centre - high) * (over / under))
        there = np.where(centre < low, up, np.where(centre > high, down, centre))
        return np.where(low == high, low, np.clip(there, low, high))


def _gap(low: Floats, high: Floats, least: Floats, most: Floats, at: NDArray[np.int64]) -> Floats:
    """Return the distance between the values next to the median's bin on either side: (k, d)."""
    index = np.arange(least.shape[-1])
    before = np.where(index < at, most, -np.inf).max(axis=-1)
    after = np.where(index > at, least, np.inf).min(axis=-1)
    after, before = np.where(after < np.inf, after, high), np.where(before > -np.inf, before, low)
    with np.errstate(invalid="ignore"):  # Without weight, all extremes are infinite.
        gap: Floats = after - before
    return gap
