"""All figures of one clustering that follow from the same two passes over its rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emdist.interfaces import Engine, Floats, Source
from emdist.quality.clusters import calinski_harabasz, davies_bouldin
from emdist.quality.labels import LabelGiver, Labels
from emdist.quality.silhouettes import squared


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Figures of one clustering.

    Attributes
    ----------
    silhouette : float
        Mean silhouette for squared Euclidean distances.
    davies_bouldin, calinski_harabasz : float
        As the functions of these names return them.
    labels : ndarray of shape (n_clusters,), int64
        The labels that occur, in ascending order.
    counts : ndarray of shape (n_clusters,), int64
        The number of rows of each cluster.
    silhouettes : ndarray of shape (n_clusters,)
        The mean silhouette of each cluster.
    means, deviations : ndarray of shape (n_clusters, n_features)
        The mean of each cluster, and its standard deviation in each feature (over n, not n - 1).
    n_left_out : int
        The number of rows without a label.
    """

    silhouette: float
    davies_bouldin: float
    calinski_harabasz: float
    labels: Labels
    counts: NDArray[np.int64]
    silhouettes: Floats
    means: Floats
    deviations: Floats
    n_left_out: int


def evaluation(
    source: Source,
    labels: LabelGiver,
    engine: Engine,
    done: Callable[[int], None] | None = None,
) -> Evaluation:
    """Return the figures of the clusters that `labels` make of the rows of `source`.

    `done` is called with the number of blocks that a pass has finished.
    """
    found = squared(source, labels, engine, done)
    clusters = found.clusters
    assert found.away is not None
    return Evaluation(
        found.mean,
        davies_bouldin(clusters, found.away),
        calinski_harabasz(clusters),
        clusters.labels,
        clusters.count.astype(np.int64),
        found.of_clusters,
        clusters.mean,
        np.sqrt(clusters.squares / clusters.count[:, None]),
        clusters.left_out,
    )
