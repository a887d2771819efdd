"""Means, variances and extremes of features, ignoring missing values; they add over blocks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emdist.fit.domain import extremes, whole_features
from emdist.interfaces import Array, Floats
from emdist.kernels.tiles.extents import extents
from emdist.kernels.tiles.missing import filled
from emdist.kernels.tiles.tiles import tile_rows, tiles


@dataclass(frozen=True)
class Moments:
    """Weight, mean and sum of squared deviations; added as by Chan, Golub and LeVeque 1983.

    Attributes
    ----------
    weight
        The total weight.
    cells
        (d,) the weight of the rows in which a feature was observed: `weight`, less that of rows
        where it is missing.
    mean, m2
        (d,) weighted mean of the observed values, and weighted sum of squared deviations from it.
    rest
        (d,) what rounding took from `mean`. Without it, at an offset of 1e8, the variance would
        keep only 8 digits when blocks are joined.
    low, high
        (d,) the smallest and the largest value.
    whole
        (d,) whether all values are whole numbers.
    products
        (d, d) weighted sum of products of deviations from the mean, if requested; only of rows
        without missing values.
    """

    weight: float
    cells: Floats
    mean: Floats
    rest: Floats
    m2: Floats
    low: Floats
    high: Floats
    whole: NDArray[np.bool_]
    products: Floats | None = None

    def __add__(self, other: Moments) -> Moments:
        if self.weight == 0 or other.weight == 0:
            return other if self.weight == 0 else self
        # Squares of 1e200 overflow. An error reports that later if the model needs squares.
        with np.errstate(over="ignore", invalid="ignore"):
            return self._joined(other)

    def _joined(self, other: Moments) -> Moments:
        """Return the sum of two moments that both have weight."""
        cells = self.cells + other.cells
        # A feature that neither has observed keeps its initial mean of 0.
        share = other.cells / np.where(cells > 0, cells, 1.0)
        delta = (other.mean - self.mean) + (other.rest - self.rest)
        step = self.rest + delta * share
        mean = self.mean + step
        products = None
        if self.products is not None and other.products is not None:
            between = np.outer(delta, delta) * (self.cells * share)
            products = self.products + other.products + between
        return Moments(
            self.weight + other.weight,
            cells,
            mean,
            step - (mean - self.mean),
            self.m2 + other.m2 + delta * delta * (self.cells * share),
            np.minimum(self.low, other.low),
            np.maximum(self.high, other.high),
            self.whole & other.whole,
            products,
        )


def moments_of(
    x: Array, weight: Floats | None, heavy: NDArray[np.bool_], covariance: bool = False
) -> Moments:
    """Return the moments of the rows of `x` (n, d) that are `heavy` (n,); NaN is ignored.

    `heavy` says which rows have weight.
    """
    d = x.shape[1]
    zero = np.zeros(d)
    yes = np.ones(d, bool)
    products = np.zeros((d, d)) if covariance else None
    low, high = np.full(d, np.inf), np.full(d, -np.inf)
    total = Moments(0.0, zero, zero, zero, zero, low, high, yes, products)
    for a, b in tiles(len(x), tile_rows(3 * d, 8)):
        w = None if weight is None else weight[a:b]
        if (quick := _complete(x[a:b], w, covariance)) is not None:
            total = total + quick
            continue
        tile = x[a:b].astype(np.float64)
        if w is not None:
            tile, w = tile[heavy[a:b]], w[heavy[a:b]]
            if len(w) == 0:
                continue
        total = total + _of_tile(tile, w, x.dtype.kind == "f", covariance)
    return total


def _complete(tile: Array, w: Floats | None, covariance: bool) -> Moments | None:
    """Return the moments of a tile without missing values; None for other tiles."""
    mass, (mean, rest, m2, low, high, broken) = extents(tile, w)
    if np.isnan(mean).any():
        return None
    cells = np.full(len(mean), mass)
    products = _products(tile, w, mean, rest) if covariance else None
    return Moments(mass, cells, mean, rest, m2, low, high, broken == 0, products)


def _products(tile: Array, w: Floats | None, mean: Floats, rest: Floats) -> Floats:
    """Return sums of products (d, d) about ``mean + rest``, of the rows that have weight."""
    # Squares of 1e300 overflow; the check of the survey reports that in words.
    with np.errstate(over="ignore", invalid="ignore"):
        diff = (tile if w is None else tile[w > 0]) - mean - rest
        found: Floats = diff.T @ (diff if w is None else w[w > 0, None] * diff)
    return found


def _of_tile(tile: Floats, w: Floats | None, floats: bool, covariance: bool) -> Moments:
    """Return the moments of one tile, which is overwritten. Each NaN is ignored."""
    mass = float(len(tile)) if w is None else float(w.sum())
    low, high = extremes(tile)
    whole = whole_features(tile) if floats else np.ones(len(low), bool)
    if floats and np.isnan(tile.min(axis=0)).any():
        seen = ~np.isnan(tile)
        cells = _summed(seen, w)
        each = np.where(cells > 0, cells, 1.0)
        low, high = np.where(cells > 0, low, np.inf), np.where(cells > 0, high, -np.inf)
    else:
        cells, each = np.full(len(low), mass), np.full(len(low), mass)
        seen = None
    mean = _summed(filled(tile), w) / each
    tile -= mean
    tile = filled(tile)
    rest = _summed(tile, w) / each
    tile -= rest if seen is None else rest * seen
    products = None
    # Squares of 1e300 overflow; the check of the survey reports that in words.
    with np.errstate(over="ignore", invalid="ignore"):
        if covariance:
            products = tile.T @ (tile if w is None else w[:, None] * tile)
        tile *= tile
        squares = _summed(tile, w)
    return Moments(mass, cells, mean, rest, squares, low, high, whole, products)


def _summed(x: Array, w: Floats | None) -> Floats:
    total: Floats = x.sum(axis=0, dtype=np.float64) if w is None else w @ x
    return total
