"""KMeans with scikit-learn's parameters and attributes, for data of any size."""

from __future__ import annotations

from dataclasses import KW_ONLY
from typing import Any, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted

from emdist.errors import ConfigError
from emdist.estimators.clustering import NAMES, CentreDistances
from emdist.estimators.parameters import parameters
from emdist.estimators.to_sklearn import kmeans_of
from emdist.fit.start import Given
from emdist.interfaces import Floats
from emdist.kernels.tiles.absolute import squares_of_rows
from emdist.kernels.tiles.plusplus import Between
from emdist.settings.config import FitSection, ModelSection


def _euclidean(x: Floats, centres: Floats) -> Floats:
    """Distances of rows, over what they have, to centres: (m, d), (k, d) -> (k, m)."""
    return np.sqrt(squares_of_rows(x, centres))


@parameters()
class KMeansEstimator(CentreDistances):
    """What K-means and its mini-batches share. It has state as every scikit-learn estimator has."""

    _: KW_ONLY
    precision: str = "auto"

    @classmethod
    def _fits(cls, section: ModelSection) -> bool:
        return section.name == "kmeans"

    @classmethod
    def _from_section(cls, section: ModelSection) -> Self:
        return cls(section.n_components, precision=section.precision)

    def _between(self) -> Between:
        return _euclidean

    def _sections(self, n_features: int) -> tuple[ModelSection, FitSection, Given]:
        model = self._checked(
            ModelSection,
            NAMES,
            name="kmeans",
            n_components=self.n_clusters,
            precision=self.precision,
            missing=self.non_finite == "missing",
        )
        return (model, *self._start(model.n_components, n_features))


@parameters("init", "n_init", "max_iter", "tol", "verbose", "random_state", "copy_x", "algorithm")
class KMeans(KMeansEstimator):
    """K-means by Lloyd's algorithm, exact and out of core.

    Parameters
    ----------
    n_clusters
        Clusters.
    init
        "k-means++" (greedy, on a sample), "random", "k-means||", "kmeans" (converged on a
        sample) or an array (n_clusters, n_features).
    n_init
        Starts; "auto" is 10 for init="random" and 1 otherwise.
    max_iter
        Iterations of one start at most.
    tol
        Of the summed squared movement of the centres, relative to the mean variance of the
        features.
    verbose
        Print a line per iteration.
    random_state
        Seed. The same seed gives the same bits on any number of threads and workers.
    copy_x
        Accepted for scikit-learn's sake: X is never changed.
    algorithm
        The result is Lloyd's in any case. "lloyd" holds every row against every centre in each
        iteration; "elkan" leaves out what the triangle inequality rules out, at 10 bytes a row:
        the schedule "pruned".
    on_collapse
        What happens to a centre that has lost its rows: "reseed" moves it to the row that is
        farthest from its own, "drop" leaves it out, "regularise" leaves it where it is, "raise"
        is an error.
    schedule, schedule_options
        How passes become iterations: "batch" (Lloyd), "pruned" (the same, faster), "incremental",
        "minibatch" or "stepwise", and a dict of its options; see docs/schedules.md.
    precision
        "auto", "float32" or "float64" for the arithmetic of a tile. "auto" takes the data's own
        where that is enough, and float64 for the scores, labels and responsibilities that
        mixtures return; "float32" is faster and right to about six digits.
    engine
        None for threads here, or a ``distributed.Client``.
    block_size
        Decoded size of a unit of work, such as "64 MiB"; None by the size of the data.
    missing_chunks
        Chunks of a Zarr array that were never written: "raise", "drop" (leave rows out) or "fill"
        (take the fill value).
    corrupt_chunks
        Chunks of a Zarr array that do not decode: "raise", or "drop" to leave their rows out.
    non_finite
        "raise", "drop" to leave rows with NaN or infinity out, or "missing": NaN counts as missing
        at random, and infinity is refused.

    Attributes
    ----------
    cluster_centers_
        (n_clusters, n_features) float64.
    labels_
        (n,) int32 of the training rows; for data that is not in memory, computed on first use.
    inertia_
        Weighted sum of squared distances to the nearest centre.
    n_iter_
        Iterations of the best start.
    n_features_in_
        Features seen by `fit`.
    history_
        One `emdist.fit.state.Record` per iteration of the best start.

    Examples
    --------
    >>> from emdist import KMeans
    >>> KMeans(n_clusters=2, random_state=0).fit([[0.0], [1.0], [10.0], [11.0]]).inertia_
    1.0
    """

    _: KW_ONLY
    copy_x: bool = True
    algorithm: str = "lloyd"
    schedule: str = "batch"
    schedule_options: Any = None

    def _schedule(self) -> dict[str, Any]:
        chosen = super()._schedule()
        if self.algorithm not in ("lloyd", "elkan"):
            raise ConfigError(f"algorithm={self.algorithm!r}; wanted 'lloyd' or 'elkan'.")
        if self.algorithm == "elkan" and chosen["schedule"] not in ("batch", "pruned"):
            raise ConfigError(
                f"algorithm='elkan' is the schedule 'pruned', and schedule={self.schedule!r} is "
                "another one. Give one of the two."
            )
        return chosen if self.algorithm == "lloyd" else {**chosen, "schedule": "pruned"}

    def to_sklearn(self) -> Any:
        check_is_fitted(self)
        return kmeans_of(self)


estimator = KMeans
