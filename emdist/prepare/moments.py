"""Weighted moments of prepared rows, which add over blocks, about centres near their means."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy.linalg.blas import dsyrk

from emdist.interfaces import Floats
from emdist.prepare.base import Known, Need


@dataclass(frozen=True)
class PairSums:
    """Sums over the rows that have both of two features, about the centre of `StepMoments`.

    Attributes
    ----------
    weight
        (d, d) the weight of these rows.
    first
        (d, d) sums of the deviations of feature i, over the rows that have i and j.
    """

    weight: Floats
    first: Floats


@dataclass(frozen=True)
class StepMoments:
    """Sums of rows about a centre, which is near their mean so that nothing cancels.

    Attributes
    ----------
    weight
        The total weight.
    missing
        How many values are missing.
    cells
        (d,) the weight of the rows in which a feature was observed.
    centre
        (d,) what is subtracted from the rows. Every sum has its own: it is a float64 number, so
        that sums can be moved to another centre without losing digits.
    first
        (d,) sums of the deviations from the centre.
    second
        Sums of their squares (d,), or of their products (d, d).
    pairs
        What else is needed if values are missing and products are wanted; otherwise None.
    """

    weight: float
    missing: int
    cells: Floats
    centre: Floats
    first: Floats
    second: Floats
    pairs: PairSums | None = None

    def __add__(self, other: StepMoments) -> StepMoments:
        if not self.weight > 0 or not other.weight > 0:
            return other if not self.weight > 0 else self
        cells = self.cells + other.cells
        share = np.divide(other.cells, cells, out=np.zeros_like(cells), where=cells > 0)
        centre = self.centre + (other.centre - self.centre) * share
        a, b = self._about(centre), other._about(centre)
        pairs = None
        if a.pairs is not None and b.pairs is not None:
            pairs = PairSums(a.pairs.weight + b.pairs.weight, a.pairs.first + b.pairs.first)
        return StepMoments(
            self.weight + other.weight,
            self.missing + other.missing,
            cells,
            centre,
            a.first + b.first,
            a.second + b.second,
            pairs,
        )

    def _about(self, centre: Floats) -> StepMoments:
        """Return the same sums about another centre."""
        step = self.centre - centre
        first = self.first + step * self.cells
        pairs = None
        if self.pairs is not None:
            w, s = self.pairs.weight, self.pairs.first
            cross = s * step
            second = self.second + cross + cross.T + np.outer(step, step) * w
            pairs = PairSums(w, s + step[:, None] * w)
        elif self.second.ndim == 2:
            cross = np.outer(self.first + 0.5 * self.weight * step, step)
            second = self.second + (cross + cross.T)
        else:
            second = self.second + 2 * step * self.first + step**2 * self.cells
        return StepMoments(self.weight, self.missing, self.cells, centre, first, second, pairs)

    def known(self) -> Known:
        """Return means, variances and covariance of the rows."""
        cells = np.where(self.cells > 0, self.cells, 1.0)
        mean = self.centre + self.first / cells
        squares = self.second if self.second.ndim == 1 else np.diag(self.second)
        with np.errstate(over="ignore", invalid="ignore"):
            variance = np.maximum(squares - self.first**2 / cells, 0.0) / cells
        return Known(self.weight, self.cells, mean, variance, self._covariance(), self.missing)

    def _covariance(self) -> Floats | None:
        """Return the covariance, divided by the weight of the rows less 1; NaN if that is 0."""
        if self.second.ndim == 1:
            return None
        with np.errstate(divide="ignore", invalid="ignore"):
            if self.pairs is None:
                centred = self.second - np.outer(self.first, self.first) / self.weight
                return centred / (self.weight - 1)
            w, s = self.pairs.weight, self.pairs.first
            return np.where(w > 1, (self.second - s * s.T / w) / (w - 1), np.nan)


def moments_of(tiles: Iterable[tuple[Floats, Floats | None]], d: int, need: Need) -> StepMoments:
    """Return the moments of tiles of rows (m, d), which are overwritten, with their weights (m,).

    NaN is a missing value. For products, `need` is "covariance" if no value is missing, and "pairs"
    otherwise. The centre is the mean of the first tile: where that is one of t tiles, it is off the
    mean of all by at most sqrt(t) standard deviations, so sums lose at most log10(t) digits.
    """
    found = _BlockSums(d, need)
    for x, weight in tiles:
        if weight is not None and not (weight > 0).all():
            x, weight = x[weight > 0], weight[weight > 0]
        if len(x):
            # Squares that overflow are told when all sums are known.
            with np.errstate(over="ignore", invalid="ignore"):
                found.add(x, weight)
    return found.result()


class _BlockSums:
    """The sums of one block, to which tiles are added in place. It is mutable."""

    def __init__(self, d: int, need: Need) -> None:
        self._need = need
        self._mass, self._missing = 0.0, 0
        self._cells, self._centre, self._first = np.zeros(d), np.zeros(d), np.zeros(d)
        square = (d, d)
        self._second = np.zeros(d) if need == "spread" else np.zeros(square, order="F")
        self._both = np.zeros(square, order="F") if need == "pairs" else None
        self._one = np.zeros(square) if need == "pairs" else None

    def add(self, x: Floats, weight: Floats | None) -> None:
        """Add a tile of rows with weight, which is overwritten."""
        w = np.ones(len(x)) if weight is None else weight
        mass = float(w.sum())
        gone = np.isnan(x) if self._need == "pairs" or np.isnan(x.sum()) else None
        seen = None if gone is None else (~gone).astype(np.float64)
        cells = np.full(x.shape[1], mass) if seen is None else w @ seen
        if gone is not None:
            self._missing += int(gone.sum())
            x[gone] = 0.0
        new = (self._cells == 0) & (cells > 0)
        if new.any():
            self._centre[new] = (w @ x[:, new]) / cells[new]
        x -= self._centre
        if seen is not None:
            x *= seen
        self._mass += mass
        self._cells += cells
        self._first += w @ x
        if self._need == "spread":
            x *= x
            self._second += w @ x
            return
        if weight is not None:
            root = np.sqrt(w)[:, None]
            x *= root
        self._second = _added(self._second, x)
        if seen is not None and self._both is not None and self._one is not None:
            if weight is not None:
                seen *= root
            self._both = _added(self._both, seen)
            self._one += x.T @ seen

    def result(self) -> StepMoments:
        """Return the sums."""
        pairs = None
        if self._both is not None and self._one is not None:
            pairs = PairSums(_whole(self._both), self._one)
        second = self._second if self._second.ndim == 1 else _whole(self._second)
        return StepMoments(
            self._mass, self._missing, self._cells, self._centre, self._first, second, pairs
        )


def _added(total: Floats, x: Floats) -> Floats:
    """Add ``x.T @ x`` to the upper triangle of `total` (d, d), in place, at half of its cost."""
    # BLAS reads the rows as the columns of a matrix (d, m).
    found: Floats = dsyrk(1.0, x.T, 1.0, total, overwrite_c=1)
    return found


def _whole(upper: Floats) -> Floats:
    """Return the symmetric matrix (d, d) of an upper triangle."""
    found: Floats = np.ascontiguousarray(np.triu(upper))
    found += np.triu(upper, 1).T
    return found
