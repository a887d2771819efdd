"""Silhouettes of rows: how much nearer a row is to its own cluster than to the next one.

With squared Euclidean distances, the mean distance of a row to a cluster follows from the mean and
the spread of the cluster, so that one pass over the rows gives all silhouettes exactly, in
O(n k d). Cosine distances are half the squared distances of rows of unit length. Apache Spark's
ClusteringEvaluator computes them so. For Euclidean distances there is no such formula: there, some
rows are compared with all rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdist.errors import ConfigError
from emdist.fit.sample import Sample, sample_rows
from emdist.interfaces import Engine, Floats, Source
from emdist.kernels.tiles.silhouettes import squared_silhouettes, summed_distances
from emdist.quality.clusters import ClusterMoments, ClusterStep, moments_of, rows_of
from emdist.quality.labels import LEFT_OUT, LabelGiver, codes_of, counted_labels
from emdist.sums import Sums

#: Names the stream of random numbers by which rows are chosen.
_CHOICE = 77
#: Products of numbers, n * s * d, that a sample of s rows may take by default: some ten seconds.
_WORK = 5e10
#: The smallest and the largest default sample.
_FEWEST, _MOST = 1_000, 10_000
#: Bytes of the sums of distances of a sample.
_SUMS = 256 << 20


@dataclass(frozen=True)
class Silhouettes:
    """Silhouettes of rows, and sums of them for each cluster.

    Attributes
    ----------
    clusters
        The clusters.
    sums
        (k,) the sums of the silhouettes of each cluster.
    counts
        (k,) the number of rows in these sums.
    away
        (k,) the sums of the Euclidean distances of rows to the mean of their cluster, or None.
    error
        The standard error of the mean silhouette; 0 if all rows are in the sums.
    """

    clusters: ClusterMoments
    sums: Floats
    counts: Floats
    away: Floats | None = None
    error: float = 0.0

    @property
    def mean(self) -> float:
        """The mean silhouette of the rows in the sums."""
        return float(self.sums.sum() / self.counts.sum())

    @property
    def of_clusters(self) -> Floats:
        """The mean silhouette of each cluster: (k,)."""
        with np.errstate(invalid="ignore"):
            found: Floats = self.sums / self.counts
        return found


@dataclass(frozen=True)
class SilhouetteStep:
    """The task that sums silhouettes of one block by cluster, for squared Euclidean distances.

    Attributes
    ----------
    source, labels
        The rows and their labels.
    clusters
        The moments of all clusters.
    """

    source: Source
    labels: LabelGiver
    clusters: ClusterMoments

    def __call__(self, i: int) -> Sums:
        codes, found, away = self.of_rows(i)[1:]
        k, has = len(self.clusters.labels), codes >= 0
        return Sums(
            {
                "sums": _by_cluster(codes[has], found[has], k),
                "away": _by_cluster(codes[has], away[has], k),
                "counts": _by_cluster(codes[has], None, k),
            }
        )

    def of_rows(self, i: int) -> tuple[NDArray[np.int64], NDArray[np.int64], Floats, Floats]:
        """Return numbers, clusters, silhouettes and distances to the means of a block's rows."""
        block = self.source.read(i)
        x = rows_of(block)
        codes = codes_of(counted_labels(self.labels, block), self.clusters.labels)
        found, away = np.empty((2, len(x)))
        c = self.clusters
        squared_silhouettes(x, codes, c.count, c.mean, c.spread, found, away)
        return block.rows(), codes, found, away


@dataclass(frozen=True)
class Numbered:
    """Numbers of rows, with a value for each; two of them are added by joining.

    Attributes
    ----------
    rows, values
        The numbers of the rows, and their values, part by part.
    """

    rows: tuple[NDArray[np.int64], ...]
    values: tuple[Floats, ...]

    def __add__(self, other: Numbered) -> Numbered:
        return Numbered(self.rows + other.rows, self.values + other.values)

    def among(self, n: int) -> Floats:
        """Return the values of `n` rows in their order: NaN for those that are not here."""
        found = np.full(n, np.nan)
        found[np.concatenate(self.rows)] = np.concatenate(self.values)
        return found


@dataclass(frozen=True)
class SampleStep:
    """The task that computes the silhouette of each row of one block."""

    step: SilhouetteStep

    def __call__(self, i: int) -> Numbered:
        rows, _, found, _ = self.step.of_rows(i)
        return Numbered((rows,), (found,))


def squared(
    source: Source,
    labels: LabelGiver,
    engine: Engine,
    done: Callable[[int], None] | None = None,
    directions: bool = False,
) -> Silhouettes:
    """Return exact silhouettes of all rows, for squared Euclidean distances: two passes.

    `done` is called with the number of blocks that a pass has finished; `directions` says that
    rows of zeros are refused.
    """
    every = range(len(source))
    clusters = engine.map_reduce(ClusterStep(source, labels, directions), every, done)
    clusters.check()
    found = engine.map_reduce(SilhouetteStep(source, labels, clusters), every, done)
    return Silhouettes(clusters, found["sums"], found["counts"], found["away"])


def squared_samples(
    source: Source, labels: LabelGiver, engine: Engine, directions: bool = False
) -> Floats:
    """Return the silhouette of each row, for squared Euclidean distances; NaN without a label."""
    every = range(len(source))
    clusters = engine.map_reduce(ClusterStep(source, labels, directions), every)
    clusters.check()
    task = SampleStep(SilhouetteStep(source, labels, clusters))
    return engine.map_reduce(task, every).among(source.shape[0])


@dataclass(frozen=True)
class Choice:
    """Moments of clusters, and rows that are chosen at random with their labels.

    Attributes
    ----------
    clusters
        The moments.
    sample
        The rows; their last column has the labels.
    """

    clusters: ClusterMoments
    sample: Sample

    def __add__(self, other: Choice) -> Choice:
        return Choice(self.clusters + other.clusters, self.sample + other.sample)


@dataclass(frozen=True)
class ChoiceStep:
    """The task that computes moments of clusters of one block, and chooses rows of it."""

    source: Source
    labels: LabelGiver
    size: int
    seed: int

    def __call__(self, i: int) -> Choice:
        block = self.source.read(i)
        x, values = rows_of(block), counted_labels(self.labels, block)
        has = values != LEFT_OUT
        rows = np.empty((int(has.sum()), x.shape[1] + 1))
        # The bits of a label travel as those of a float, which not all labels are.
        rows[:, :-1], rows[:, -1] = x[has], values[has].view(np.float64)
        key = (self.seed, 0, _CHOICE, 0)
        sample = sample_rows(self.size + 1, rows, None, block.rows()[has], key)
        return Choice(moments_of(block, x, values), sample)


@dataclass(frozen=True)
class DistanceStep:
    """The task that sums the distances of chosen rows to the rows of one block, by cluster."""

    source: Source
    labels: LabelGiver
    clusters: ClusterMoments
    chosen: Floats

    def __call__(self, i: int) -> Sums:
        block = self.source.read(i)
        codes = codes_of(counted_labels(self.labels, block), self.clusters.labels)
        out = np.zeros((len(self.clusters.labels), self.chosen.shape[1]))
        summed_distances(rows_of(block), codes, self.chosen, out)
        return Sums({"sums": out})


def sample_size_of(n: int, d: int, k: int) -> int:
    """Return how many rows are compared with all others by default: all, if these are few."""
    if n * n * d <= _WORK and n * k * 8 <= _SUMS:
        return n
    most = min(_MOST, _SUMS // (8 * k))
    return int(min(n, max(min(_FEWEST, most), min(most, _WORK / (n * d)))))


@dataclass(frozen=True)
class EuclideanFound:
    """Silhouettes of chosen rows for Euclidean distances.

    Attributes
    ----------
    silhouettes
        Their sums by cluster.
    samples
        The silhouette of each chosen row.
    """

    silhouettes: Silhouettes
    samples: Numbered


def euclidean(
    source: Source, labels: LabelGiver, engine: Engine, size: int | None, seed: int
) -> EuclideanFound:
    """Return silhouettes for Euclidean distances of `size` rows, each compared with all rows.

    `size` None stands for a size that takes some seconds. Rows are chosen without replacement,
    so that their mean estimates that of all rows without bias.
    """
    every, (n, d) = range(len(source)), source.shape
    wanted = min(n, _MOST if size is None else size)
    if size is None and n * n * d <= _WORK:
        wanted = n
    found: Any = engine.map_reduce(ChoiceStep(source, labels, wanted, seed), every)
    clusters = found.clusters
    clusters.check()
    k = len(clusters.labels)
    if size is None:
        size = sample_size_of(clusters.rows, d, k)
    if size * k * 8 > _SUMS and size > 1:
        raise ConfigError(
            f"sample_size={size:,} with {k:,} clusters needs {size * k * 8 / 2**30:.1f} GiB. Use "
            f"at most {_SUMS // (8 * k):,}, or metric='sqeuclidean', which takes no sample."
        )
    x, _, rows = found.sample.first(size + 1).rows()
    codes = np.searchsorted(clusters.labels, np.ascontiguousarray(x[:, -1]).view(np.int64))
    chosen = np.ascontiguousarray(x[:, :-1].T)
    sums = engine.map_reduce(DistanceStep(source, labels, clusters, chosen), every)["sums"]
    values = _silhouettes(sums, codes, clusters.count)
    return EuclideanFound(_summed(clusters, codes, values), Numbered((rows,), (values,)))


def _silhouettes(sums: Floats, codes: NDArray[np.int64], count: Floats) -> Floats:
    """Return silhouettes from the sums of distances (k, s) to the rows of each cluster."""
    at = np.arange(len(codes))
    own = count[codes]
    with np.errstate(divide="ignore", invalid="ignore"):
        inside = sums[codes, at] / (own - 1)
        means = sums / count[:, None]
        means[codes, at] = math.inf
        other = means.min(axis=0)
        found = (other - inside) / np.maximum(inside, other)
    # Clusters of one row, and rows that equal all rows of both clusters.
    return np.where(own > 1, np.nan_to_num(found), 0.0)


def _summed(clusters: ClusterMoments, codes: NDArray[np.int64], values: Floats) -> Silhouettes:
    k, m, n = len(clusters.labels), len(values), clusters.rows
    error = 0.0 if m == n else math.nan
    if 1 < m < n:
        error = float(values.std(ddof=1)) * math.sqrt((1 - m / n) / m)
    counts = _by_cluster(codes, None, k)
    return Silhouettes(clusters, _by_cluster(codes, values, k), counts, None, error)


def _by_cluster(codes: NDArray[np.int64], values: Floats | None, k: int) -> Floats:
    """Return the sums of `values`, or the number of rows, of each of `k` clusters."""
    return np.bincount(codes, values, minlength=k).astype(np.float64)
