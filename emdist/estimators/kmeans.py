"""`KMeans`, with scikit-learn's parameters and attributes, for data of any size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted

from emdist import kernels, settings
from emdist.errors import ConfigError
from emdist.estimators.clustering import NAMES, CentreDistances
from emdist.estimators.parameters import parameters
from emdist.estimators.to_sklearn import kmeans_of
from emdist.interfaces import Floats
from emdist.parameters.choices import Algorithm, Precision, Schedule

if TYPE_CHECKING:
    from emdist.fit.start import Given
    from emdist.kernels.tiles.distances import Between
    from emdist.settings.config import FitSection, ModelSection


def _euclidean(x: Floats, centres: Floats) -> Floats:
    """Distances of rows to centres, over observed values: (m, d), (k, d) -> (k, m)."""
    return np.sqrt(kernels.tiles.absolute.squares_of_rows(x, centres))


@parameters()
class KMeansEstimator(CentreDistances):
    """Base class of K-means and mini-batch K-means."""

    _: KW_ONLY
    precision: Precision = "auto"

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
            settings.config.ModelSection,
            NAMES,
            name="kmeans",
            n_components=self.n_clusters,
            precision=self.precision,
            missing=self.non_finite == "missing",
        )
        return (model, *self._start(model.n_components, n_features))


@parameters("init", "n_init", "max_iter", "tol", "verbose", "random_state", "copy_x", "algorithm")
class KMeans(KMeansEstimator):
    """K-means by Lloyd's algorithm: exact, for data of any size.

    Parameters
    ----------
    n_clusters : int, default=8
        Number of clusters. Compare several with `Sweep`.
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
        Maximum number of iterations of one restart. Raise it if a ConvergenceWarning says that the
        fit has not converged.
    tol : float, default=0.0001
        Stop when the summed squared movement of the centres, relative to the mean variance of the
        features, falls below this. Set it to 0 to iterate until no row changes its cluster.
    verbose : int, default=0
        Print one line per iteration if it is not 0.
    random_state : int, RandomState instance or None, default=None
        Random seed. The same integer gives bit-identical results with any number of threads or
        workers; None draws a new seed. Pass an integer for results that can be repeated.
    copy_x : bool, default=True
        Accepted for compatibility with scikit-learn; X is never changed.
    algorithm : {'lloyd', 'elkan'}, default='lloyd'
        How an iteration is computed; the result is the same.

        - 'lloyd': As `schedule` says.
        - 'elkan': Skips rows whose cluster cannot change (the schedule 'pruned'); it keeps 10 bytes
          per row.

    schedule : {'auto', 'batch', 'pruned', 'incremental', 'stepwise', 'minibatch'}, default='auto'
        How EM iterates over the data. The default suits most data; docs/schedules.md compares them.

        - 'auto': For K-means, 'pruned' where that is faster, once centres move little; otherwise
          'batch'.
        - 'batch': One M-step after each pass over all rows.
        - 'pruned': Exact K-means that skips rows whose cluster cannot change.
        - 'incremental': An M-step after each group of blocks.
        - 'stepwise': Online EM in the first passes, then batch.
        - 'minibatch': Online passes over mini-batches, then batch. Needs K-means or hard
          assignment.

    schedule_options : dict or None, default=None
        Options of the schedule, such as {'groups': 8} for 'incremental'; docs/schedules.md lists
        them.
    precision : {'auto', 'float32', 'float64'}, default='auto'
        Floating-point type of the arithmetic within a block. Sums over rows are always float64.

        - 'auto': The type of the data where that is accurate enough.
        - 'float32': Faster, accurate to about six digits.
        - 'float64'

    on_collapse : {'reseed', 'drop', 'regularise', 'raise'}, default='reseed'
        What to do with a centre that loses its rows.

        - 'reseed': Move it to the row that is farthest from its centre.
        - 'drop': Remove it, and go on with fewer clusters.
        - 'regularise': Leave it where it is.
        - 'raise': Stop with an error.

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

    non_finite : {'raise', 'drop', 'missing'}, default='raise'
        What to do with rows that contain NaN or infinity.

        - 'raise': Stop with an error.
        - 'drop': Leave out these rows.
        - 'missing': Treat NaN as missing at random and fit what is observed; infinity is an error.

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
        Centres, in float64.
    labels_ : ndarray of shape (n_samples,)
        Index of the cluster of each training row, in int32. For data that is not in memory it is
        computed when it is first used.
    inertia_ : float
        Weighted sum of the squared distances of rows to their nearest centre.
    n_iter_ : int
        Number of iterations of the best restart.
    n_features_in_ : int
        Number of features seen by `fit`.
    history_ : tuple of Record
        One `emdist.fit.state.Record` for each iteration of the best restart.

    Examples
    --------
    >>> from emdist import KMeans
    >>> KMeans(n_clusters=2, random_state=0).fit([[0.0], [1.0], [10.0], [11.0]]).inertia_
    1.0
    """

    _: KW_ONLY
    copy_x: bool = True
    algorithm: Algorithm = "lloyd"
    schedule: Schedule = "auto"
    schedule_options: Mapping[str, Any] | None = None

    def _schedule(self) -> dict[str, Any]:
        chosen = super()._schedule()
        if self.algorithm not in ("lloyd", "elkan"):
            raise ConfigError(f"algorithm={self.algorithm!r}; expected 'lloyd' or 'elkan'.")
        if self.algorithm == "elkan" and chosen["schedule"] not in ("auto", "batch", "pruned"):
            raise ConfigError(
                f"algorithm='elkan' means schedule='pruned', but schedule={self.schedule!r} is "
                "given. Give only one of the two."
            )
        return chosen if self.algorithm == "lloyd" else {**chosen, "schedule": "pruned"}

    def to_sklearn(self) -> Any:
        check_is_fitted(self)
        return kmeans_of(self)


estimator = KMeans
