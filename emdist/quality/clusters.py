"""Clusters as moments: how many rows each has, their mean and their spread, from one pass."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from emdist.errors import DataError, DomainError, ShapeError
from emdist.fit.survey import check_block
from emdist.interfaces import Block, Floats, Source
from emdist.kernels.tiles.silhouettes import moments
from emdist.quality.labels import LabelGiver, Labels, codes_of, counted_labels, distinct


@dataclass(frozen=True)
class ClusterMoments:
    """Counts, means and squared deviations of the rows with each label.

    Moments of two sets of rows join as Chan, Golub and LeVeque 1983 have it, so that no digits are
    lost where clusters are narrow and far from zero.

    Attributes
    ----------
    labels
        (k,) the labels that occur, in ascending order.
    count
        (k,) the number of rows.
    mean
        (k, d) their means.
    squares
        (k, d) the sums of their squared deviations from the means.
    left_out
        The number of rows without a label.
    """

    labels: Labels
    count: Floats
    mean: Floats
    squares: Floats
    left_out: int = 0

    def __add__(self, other: ClusterMoments) -> ClusterMoments:
        labels = np.union1d(self.labels, other.labels)
        a, b = self._among(labels), other._among(labels)
        count = a.count + b.count
        share = b.count / np.maximum(count, 1.0)
        # `check` reports squares that overflow in words.
        with np.errstate(over="ignore", invalid="ignore"):
            step = b.mean - a.mean
            mean = a.mean + step * share[:, None]
            squares = a.squares + b.squares + step * step * (a.count * share)[:, None]
        # Where one side has no rows, its mean is no number to compute with.
        for one, none in ((a, b.count == 0), (b, a.count == 0)):
            mean[none], squares[none] = one.mean[none], one.squares[none]
        return ClusterMoments(labels, count, mean, squares, self.left_out + other.left_out)

    def _among(self, labels: Labels) -> ClusterMoments:
        """Return the same moments, with no rows for those of `labels` that do not occur."""
        if len(labels) == len(self.labels):
            return self
        at, d = np.searchsorted(labels, self.labels), self.mean.shape[1]
        count, mean, squares = (np.zeros(len(labels)), *np.zeros((2, len(labels), d)))
        count[at], mean[at], squares[at] = self.count, self.mean, self.squares
        return ClusterMoments(labels, count, mean, squares)

    @property
    def rows(self) -> int:
        """The number of rows that have a label."""
        return int(self.count.sum())

    @property
    def spread(self) -> Floats:
        """The mean squared distance of the rows of each cluster to their mean: (k,)."""
        found: Floats = self.squares.sum(axis=1) / self.count
        return found

    def check(self) -> None:
        """Raise unless there are 2 to n - 1 different labels, and squared distances are numbers."""
        k = len(self.labels)
        if not 1 < k < self.rows:
            raise ShapeError(
                f"The labels have {k} different value{'s' if k != 1 else ''} for {self.rows} rows; "
                "expected 2 to n_samples - 1, because clusters are compared with each other."
            )
        with np.errstate(over="ignore", invalid="ignore"):
            apart = (self.mean - self.mean[0]) ** 2
            within = self.squares.sum()
            between = apart.sum() * self.rows
        if not (np.isfinite(within) and np.isfinite(between)):
            kind = "so large that squared distances overflow"
        elif within + apart.sum() == 0 and (self.mean != self.mean[0]).any():
            kind = "so close together that all squared distances are zero in float64"
        else:
            return
        raise DataError(f"The rows are {kind}. Scale the features, for example to unit variance.")


@dataclass(frozen=True)
class ClusterStep:
    """The task that computes the `ClusterMoments` of one block.

    Attributes
    ----------
    source
        The rows.
    labels
        Their labels.
    directions
        Whether rows are directions, so that a row of zeros is refused.
    """

    source: Source
    labels: LabelGiver
    directions: bool = False

    def __call__(self, i: int) -> ClusterMoments:
        block = self.source.read(i)
        x, values = rows_of(block), counted_labels(self.labels, block)
        if self.directions and not (some := x.any(axis=1)).all():
            row = block.named(int(block.local()[np.argmin(some)]))
            raise DomainError(
                f"{row[0].upper()}{row[1:]} has zeros only, and so no direction: its cosine "
                "distance is not defined. Leave such rows out."
            )
        return moments_of(block, x, values)


def moments_of(block: Block, x: Floats, values: Labels) -> ClusterMoments:
    """Return the moments of a block, of whose rows that count `x` (m, d) have labels `values`."""
    known = distinct(values)
    count, mean, squares = (np.zeros(len(known)), *np.zeros((2, len(known), x.shape[1])))
    moments(x, codes_of(values, known), count, mean, squares)
    left = len(block.x) - int(count.sum())
    return ClusterMoments(known, count, mean, squares, left)


def rows_of(block: Block) -> Floats:
    """Return the rows of a block that count, in float64; refuse NaN and infinity."""
    check_block(block, allows=lambda: False)
    x, _ = block.valid()
    return np.ascontiguousarray(x, np.float64)


def calinski_harabasz(found: ClusterMoments) -> float:
    """Return the variance ratio criterion (Calinski and Harabasz 1974)."""
    k, n = len(found.labels), found.rows
    within = float(found.squares.sum())
    centre = found.count @ found.mean / n
    between = float(found.count @ ((found.mean - centre) ** 2).sum(axis=1))
    if within == 0:
        return 1.0
    return between * (n - k) / (within * (k - 1))


def davies_bouldin(found: ClusterMoments, away: Floats) -> float:
    """Return the Davies-Bouldin index (Davies and Bouldin 1979, IEEE PAMI 1).

    `away` (k,) has the sums of the distances of rows to the mean of their own cluster.
    """
    scatter = away / found.count
    if not scatter.any():
        return 0.0
    worst = np.zeros(len(scatter))
    apart = False
    for c in range(len(scatter)):
        distance = np.sqrt(((found.mean - found.mean[c]) ** 2).sum(axis=1))
        apart |= bool(distance.any())
        distance[distance == 0] = math.inf
        ratio = (scatter + scatter[c]) / distance
        ratio[c] = 0.0
        worst[c] = ratio.max()
    return float(worst.mean()) if apart else 0.0
