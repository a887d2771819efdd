"""`KMedians`, with the parameters of `KMeans`, for data of any size."""

from __future__ import annotations

from dataclasses import KW_ONLY
from typing import TYPE_CHECKING, Self

from emdist import kernels, settings
from emdist.estimators.clustering import NAMES, CentreDistances
from emdist.estimators.parameters import parameters

if TYPE_CHECKING:
    from emdist.fit.start import Given
    from emdist.kernels.tiles.distances import Between
    from emdist.settings.config import FitSection, ModelSection


@parameters()
class KMedians(CentreDistances):
    """K-medians: exact, for data of any size, with L1 distances.

    Rows that are far off do not pull the centres, because medians ignore how far they are.

    Every feature of a centre is the weighted median of its cluster: the smallest value such that
    the values up to it have at least half the weight, as
    ``numpy.quantile(x, 0.5, method="inverted_cdf", weights=...)``. The fit ends when each centre is
    exactly, to the last bit, the median of the rows nearest to it.

    Parameters
    ----------
    n_clusters : int, default=8
        Number of clusters. Compare several with `Sweep`.
    tol : float, default=0.0
        Stop when the summed squared distance by which the medians may still be off is at most this
        times the mean variance of the features. 0 gives exact medians. Raise it to stop sooner.
    bins : int, default=64
        Number of histogram bins for each cluster and feature, at least 8. Raise it to need fewer
        passes; a pass holds 24 bytes for each bin.
    init : {'k-means++', 'random', 'k-means||', 'kmeans', 'standardised', 'cleaned'} or array-like
        of shape (n_clusters, n_features), default='k-means++'
        Starting centres, or how they are chosen on a sample of the rows.

        - 'k-means++': Greedy k-means++.
        - 'random': Random rows.
        - 'k-means||': k-means|| with oversampling.
        - 'kmeans': K-means on the sample, in about the time of an iteration on all rows.
        - 'standardised': As 'kmeans', with every feature divided by its standard deviation.
        - 'cleaned': As 'kmeans', without rows that have no near neighbours.

    n_init : int or 'auto', default='auto'
        Number of restarts; the one with the lowest inertia is kept. 'auto' is 10 for init='random'
        and 1 otherwise. Raise it if restarts end at different inertias.
    max_iter : int, default=300
        Maximum number of passes of one restart: those that move centres, and those that close in on
        the exact medians.
    on_collapse : {'reseed', 'drop', 'regularise', 'raise'}, default='reseed'
        What to do with a centre that loses its rows.

        - 'reseed': Move it to the row that is farthest from its centre.
        - 'drop': Remove it, and go on with fewer clusters.
        - 'regularise': Leave it where it is.
        - 'raise': Stop with an error.

    random_state : int, RandomState instance or None, default=None
        Random seed. The same integer gives bit-identical results with any number of threads or
        workers; None draws a new seed. Pass an integer for results that can be repeated.
    verbose : int, default=0
        Print one line per iteration if it is not 0.
    engine : distributed.Client or None, default=None
        Where blocks are computed: on the workers of a Dask client, or on threads of this process
        (None). Results do not depend on it.
    block_size : str or None, default=None
        Size of a block of rows in memory, such as '64 MiB'. Each thread or worker processes one
        block at a time. Make it smaller if memory is short. Results for another block size agree to
        about ten digits; they are not bit-identical.
    missing_chunks : {'raise', 'drop', 'fill'}, default='raise'
        What to do with chunks of a Zarr array that were never written.

        - 'raise': Stop with an error.
        - 'drop': Leave out their rows.
        - 'fill': Use the fill value of the array.

    corrupt_chunks : {'raise', 'drop'}, default='raise'
        What to do with chunks of a Zarr array that cannot be decoded.

        - 'raise': Stop with an error.
        - 'drop': Leave out their rows.

    non_finite : {'raise', 'drop'}, default='raise'
        What to do with rows that contain NaN or infinity.

        - 'raise': Stop with an error.
        - 'drop': Leave out these rows.

    decode : {'cf', 'none'}, default='cf'
        How stored numbers of a Zarr array become values.

        - 'cf': Apply the attributes scale_factor, add_offset, _FillValue, missing_value and
          _Unsigned, as xarray does. Fill values become NaN, which non_finite decides about.
        - 'none': Use the stored numbers as they are.

    prepare : list or None, default=None
        Steps that prepare rows before they are clustered: names such as 'standardise', dicts such
        as {'pca': 8}, or transformers of `emdist.prepare`. Fitted attributes such as means are
        those of prepared rows; ``preparation_.inverse`` moves them back. Use it for features of
        different units; docs/prepare.md lists the steps.
    cache : str, default='auto'
        Memory in which a process keeps decoded blocks between passes: 'auto', 'off', or a size such
        as '4 GiB'. 'auto' takes half of the memory that is free, and gives it back when memory gets
        short. Results do not depend on it. Use 'off' to hold no more than the blocks at work.

    Attributes
    ----------
    cluster_centers_ : ndarray of shape (n_clusters, n_features)
        Centres, in float64; each value is one of the data.
    labels_ : ndarray of shape (n_samples,)
        Index of the cluster of each training row, in int32. For data that is not in memory it is
        computed when it is first used.
    inertia_ : float
        Weighted sum of the L1 distances of rows to their nearest centre.
    n_iter_ : int
        Number of passes of the best restart.
    n_features_in_ : int
        Number of features seen by `fit`.
    history_ : tuple of Record
        One `emdist.fit.state.Record` for each iteration of the best restart.

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
        return kernels.tiles.absolute.distances_of_rows

    def _sections(self, n_features: int) -> tuple[ModelSection, FitSection, Given]:
        model = self._checked(
            settings.config.ModelSection,
            NAMES,
            name="kmedians",
            n_components=self.n_clusters,
            missing=self.non_finite == "missing",
            options={"bins": self.bins},
        )
        return (model, *self._start(model.n_components, n_features))


estimator = KMedians
