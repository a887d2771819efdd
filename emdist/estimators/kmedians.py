"""KMedians with the parameters of KMeans, for data of any size."""

from __future__ import annotations

from dataclasses import KW_ONLY
from typing import Self

from emdist.estimators.clustering import NAMES, CentreDistances
from emdist.estimators.parameters import parameters
from emdist.fit.start import Given
from emdist.kernels.tiles.absolute import distances_of_rows
from emdist.kernels.tiles.plusplus import Between
from emdist.settings.config import FitSection, ModelSection


@parameters()
class KMedians(CentreDistances):
    """K-medians, exact and out of core: L1 distances, and centres that far rows do not pull.

    Every feature of a centre is the weighted median of its cluster: the smallest value with at
    least half the weight, ``numpy.quantile(x, 0.5, method="inverted_cdf", weights=...)``. The fit
    ends where each centre is, to the last bit, the median of the rows nearest to it.

    Parameters
    ----------
    n_clusters
        Clusters.
    init
        "k-means++" (greedy, on a sample, by L1 distance), "random", "k-means||", "kmeans" or an
        array (n_clusters, n_features).
    n_init
        Starts; "auto" is 10 for init="random" and 1 otherwise.
    max_iter
        Passes of one start at most: those that move centres, and the few that close in on the
        exact medians.
    tol
        Stop sooner: when the sum of squares of how far the medians may lie from the centres is at
        most `tol` times the mean variance of the features. 0 goes on until they are exact.
    bins
        Of the histogram of each cluster and feature, at least 8. A pass holds 24 bytes for each
        bin; with more bins there are fewer passes.
    verbose
        Print a line per iteration.
    random_state
        Seed. The same seed gives the same bits on any number of threads and workers.
    on_collapse
        What happens to a centre that has lost its rows: "reseed" moves it to the row that is
        farthest from its own, "drop" leaves it out, "regularise" leaves it where it is, "raise"
        is an error.
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
        "raise", or "drop" to leave rows with NaN or infinity out.

    Attributes
    ----------
    cluster_centers_
        (n_clusters, n_features) float64, each a value of the data.
    labels_
        (n,) int32 of the training rows; for data that is not in memory, computed on first use.
    inertia_
        Weighted sum of L1 distances to the nearest centre.
    n_iter_
        Passes of the best start.
    n_features_in_
        Features seen by `fit`.
    history_
        One `emdist.fit.state.Record` per pass of the best start.

    Examples
    --------
    >>> from emdist import KMedians
    >>> rows = [[0.0], [1.0], [2.0], [500.0], [501.0], [900.0]]
    >>> sorted(KMedians(n_clusters=2, random_state=0).fit(rows).cluster_centers_.ravel().tolist())
    [1.0, 501.0]
    """

    _: KW_ONLY
    tol: float = 0.0
    bins: int = 64

    @classmethod
    def _fits(cls, section: ModelSection) -> bool:
        return section.name == "kmedians"

    @classmethod
    def _from_section(cls, section: ModelSection) -> Self:
        return cls(section.n_components, **section.options)

    def _between(self) -> Between:
        return distances_of_rows

    def _sections(self, n_features: int) -> tuple[ModelSection, FitSection, Given]:
        model = self._checked(
            ModelSection,
            NAMES,
            name="kmedians",
            n_components=self.n_clusters,
            missing=self.non_finite == "missing",
            options={"bins": self.bins},
        )
        return (model, *self._start(model.n_components, n_features))


estimator = KMedians
