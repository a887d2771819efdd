"""Weighted medians of clusters, closed in on from pass to pass: what K-medians' M-step knows."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from emdist.interfaces import Floats, Spread


@dataclass(frozen=True)
class Brackets:
    """k centres, and where in each cluster and feature the exact median lies.

    Attributes
    ----------
    means
        (k, d) centres, called as every family calls its locations, so that a start can give them.
    low, high
        (k, d) the median of the last pass's cluster is within; both are values of rows. Where they
        are equal, the centre is that median.
    reach
        (k, d) scale of the distances that the median may move when labels change.
    """

    means: Floats
    low: Floats
    high: Floats
    reach: Floats


def whole(seeds: Floats, spread: Spread) -> Brackets:
    """Centres at `seeds` (k, d); their medians can be anywhere between the data's extremes."""
    low = np.tile(spread.low, (len(seeds), 1))
    high = np.tile(spread.high, (len(seeds), 1))
    return Brackets(np.array(seeds, np.float64), low, high, high - low)


def chosen(found: Brackets, index: NDArray[np.int64]) -> Brackets:
    """Only the clusters `index`."""
    return replace(
        found,
        means=found.means[index],
        low=found.low[index],
        high=found.high[index],
        reach=found.reach[index],
    )


def moved(found: Brackets, index: NDArray[np.int64], rows: Floats, spread: Spread) -> Brackets:
    """Centres `index` moved to `rows` (c, d), their medians anywhere; the others as they are."""
    fresh = whole(rows, spread)
    arrays = {}
    for name in ("means", "low", "high", "reach"):
        arrays[name] = getattr(found, name).copy()
        arrays[name][index] = getattr(fresh, name)
    return replace(found, **arrays)


def narrowed(found: Brackets, total: Floats, least: Floats, most: Floats) -> Brackets:
    """The M-step: brackets one bin wide, and centres that are closer to the medians.

    A centre moves only as far as it certainly lowers its cost, f(c) = sum w |x - c|. That is
    convex, so moving to the near end of the median's bin is safe, and so is moving on into the bin
    while the steepest possible rise there is less than the least possible fall on the way to it.
    Half of that makes every move a strict fall, and the objective never rises.

    Parameters
    ----------
    found
        That the pass ran with.
    total, least, most
        (k, d, bins) weight, smallest and largest value of every bin.
    """
    upto = np.cumsum(total, axis=-1)
    half = 0.5 * upto[..., -1]
    empty = half == 0
    at = np.argmax(upto >= half[..., None], axis=-1)[..., None]
    low, high = _pick(least, at), _pick(most, at)
    over = _pick(upto, at) - half
    under = _pick(total, at) - over
    # With exactly half the weight up to here, the bin's last value is the median.
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
    picked: Floats = np.take_along_axis(values, at, axis=-1)[..., 0]
    return picked


def _towards(centre: Floats, low: Floats, high: Floats, under: Floats, over: Floats) -> Floats:
    """The best safe place: `under` and `over` are the bin's weight before and after the half."""
    with np.errstate(all="ignore"):
        guess = low + (high - low) * (under / (under + over))
        up = np.minimum(guess, low + 0.5 * (low - centre) * (under / over))
        down = np.maximum(guess, high - 0.5 * (centre - high) * (over / under))
        there = np.where(centre < low, up, np.where(centre > high, down, centre))
        return np.where(low == high, low, np.clip(there, low, high))


def _gap(low: Floats, high: Floats, least: Floats, most: Floats, at: NDArray[np.int64]) -> Floats:
    """Distance between the values next to the median's bin on either side."""
    index = np.arange(least.shape[-1])
    before = np.where(index < at, most, -np.inf).max(axis=-1)
    after = np.where(index > at, least, np.inf).min(axis=-1)
    after, before = np.where(after < np.inf, after, high), np.where(before > -np.inf, before, low)
    with np.errstate(invalid="ignore"):  # In cells without weight all are infinite.
        gap: Floats = after - before
    return gap
