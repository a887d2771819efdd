"""What a pass adds up for profiles: moments of features, and a few rows of each cluster."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emdist.interfaces import Array, Floats
from emdist.kernels.tiles.profiles import first_of_each, weighted_moments
from emdist.sums import Sums


@dataclass(frozen=True)
class FeatureMoments:
    """Weights, means and squared deviations of the values of each cluster and feature: (k, d).

    Moments of two sets of rows join as Chan, Golub and LeVeque 1983 have it. Missing values count
    in none of them.
    """

    total: Floats
    mean: Floats
    squares: Floats

    def __add__(self, other: FeatureMoments) -> FeatureMoments:
        total = self.total + other.total
        share = other.total / np.where(total > 0, total, 1.0)
        step = other.mean - self.mean
        mean = self.mean + step * share
        squares = self.squares + other.squares + step * step * (self.total * share)
        # Where one side has no values, its mean is no number to compute with.
        for one, none in ((self, other.total == 0), (other, self.total == 0)):
            mean[none], squares[none] = one.mean[none], one.squares[none]
        return FeatureMoments(total, mean, squares)


@dataclass(frozen=True)
class FirstRows:
    """The rows of each cluster with the smallest values of something, in ascending order.

    Of equal values, the row with the smaller number comes first.

    Attributes
    ----------
    value
        (k, s) the values; infinite where a cluster has fewer rows.
    row
        (k, s) the numbers of the rows; -1 likewise.
    x
        (k, s, d) the rows as they are in the data, in float64.
    """

    value: Floats
    row: NDArray[np.int64]
    x: Floats

    def __add__(self, other: FirstRows) -> FirstRows:
        size = self.value.shape[1]
        value = np.concatenate([self.value, other.value], axis=1)
        row = np.concatenate([self.row, other.row], axis=1)
        x = np.concatenate([self.x, other.x], axis=1)
        order = np.lexsort((row, value), axis=1)[:, :size]
        each = np.arange(len(value))[:, None]
        return FirstRows(value[each, order], row[each, order], x[each, order])


@dataclass(frozen=True)
class ProfileSums:
    """All that a pass adds up for the profiles of clusters.

    Attributes
    ----------
    moments
        The moments of features.
    sums
        Plain sums and extremes: ``rows`` and ``weight`` (k,) of the labels, ``min.x`` and
        ``max.x`` (k, d); with histograms ``bins``, ``min.bins`` and ``max.bins`` (d, k, bins);
        of models with responsibilities ``shared`` (k, k), the summed responsibilities of the rows
        with each label, and ``entropy`` (k,) of them in nats.
    nearest, doubtful
        The most typical rows of each cluster; and the least certain ones, or the farthest.
    """

    moments: FeatureMoments
    sums: Sums
    nearest: FirstRows
    doubtful: FirstRows

    def __add__(self, other: ProfileSums) -> ProfileSums:
        return ProfileSums(
            self.moments + other.moments,
            self.sums + other.sums,
            self.nearest + other.nearest,
            self.doubtful + other.doubtful,
        )


def feature_moments(
    x: Array, label: NDArray[np.int64], weight: Floats | None, k: int
) -> tuple[FeatureMoments, Floats, Floats]:
    """Return the moments, the smallest and the largest values of rows (m, d), by label."""
    total, mean, squares = np.zeros((3, k, x.shape[1]))
    low = np.full(total.shape, np.inf)
    high = -low
    given = np.empty(0) if weight is None else weight
    weighted_moments(x, label, given, total, mean, squares, low, high)
    return FeatureMoments(total, mean, squares), low, high


def first_rows(
    value: Floats, label: NDArray[np.int64], weight: Floats | None, x: Array,
    row: NDArray[np.int64], shape: tuple[int, int],
) -> FirstRows:  # fmt: skip
    """Return the rows with the smallest `value` (m,) of each label, as (k, s) = `shape`."""
    at, least = np.full(shape, -1, np.int64), np.full(shape, np.inf)
    given = np.empty(0) if weight is None else weight
    first_of_each(value, label, given, at, least)
    rows = np.zeros((*shape, x.shape[1]))
    some = at >= 0
    rows[some] = x[at[some]]
    return FirstRows(least, np.where(some, row[at], -1), rows)
