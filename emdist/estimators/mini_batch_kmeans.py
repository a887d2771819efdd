"""MiniBatchKMeans: mini-batches first, Lloyd to the end; and streams."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY
from typing import Any

from sklearn.utils.validation import check_is_fitted

from emdist.composition.recipe import Recipe
from emdist.estimators.kmeans import KMeansEstimator
from emdist.estimators.parameters import parameters
from emdist.estimators.streams import Streaming
from emdist.estimators.to_sklearn import minibatch_of
from emdist.fit.online import Fold
from emdist.fit.schedules.minibatch import cumulated


@parameters("init", "n_init", "max_iter", "tol", "verbose", "random_state")
class MiniBatchKMeans(Streaming, KMeansEstimator):
    """K-means that moves its centres after every mini-batch, and ends as Lloyd's algorithm does.

    A mini-batch is a group of blocks, because rows out of memory cannot be drawn one by one:
    there is no ``batch_size`` in rows. Data in memory of a few MiB is one block, and one batch.

    Parameters
    ----------
    n_clusters, init, n_init, max_iter, tol, verbose, random_state
        As in `KMeans`. Sweeps and batch iterations alike count towards `max_iter`.
    n_batches
        Mini-batches of a sweep over all rows.
    passes
        Sweeps before batch iterations; with ``max_iter=passes`` there are none of these.
    on_collapse, precision, engine, block_size, missing_chunks, corrupt_chunks, non_finite
        As in `KMeans`.

    Attributes
    ----------
    cluster_centers_, labels_, inertia_, n_iter_, n_features_in_, history_
        As in `KMeans`; after `partial_fit`, `labels_` and `inertia_` are of the last chunk, and
        the inertia that of the centres before it.

    Examples
    --------
    >>> from emdist import MiniBatchKMeans
    >>> X = [[0.0], [1.0], [10.0], [11.0]]
    >>> MiniBatchKMeans(n_clusters=2, random_state=0).partial_fit(X).partial_fit(X).inertia_
    1.0
    """

    _: KW_ONLY
    n_batches: int = 16
    passes: int = 1

    def _schedule(self) -> dict[str, Any]:
        options = {"groups": self.n_batches, "passes": self.passes}
        return {"schedule": "minibatch", "schedule_options": options}

    def _fold(self, recipe: Recipe) -> Callable[[float], Fold]:
        return _cumulating

    def to_sklearn(self) -> Any:
        check_is_fitted(self)
        return minibatch_of(self)


def _cumulating(weight: float) -> Fold:
    return cumulated


estimator = MiniBatchKMeans
