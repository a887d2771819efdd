"""`MiniBatchKMeans`: K-means by mini-batches, then by whole passes; it also fits streams."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY
from typing import TYPE_CHECKING, Any, ClassVar

from sklearn.utils.validation import check_is_fitted

from emdist import fit
from emdist.estimators.kmeans import KMeansEstimator
from emdist.estimators.parameters import parameters
from emdist.estimators.streams import Streaming
from emdist.estimators.to_sklearn import minibatch_of

if TYPE_CHECKING:
    from emdist.composition.recipe import Recipe
    from emdist.fit.online import Fold


@parameters("init", "n_init", "max_iter", "tol", "verbose", "random_state")
class MiniBatchKMeans(Streaming, KMeansEstimator):
    """K-means that moves its centres after every mini-batch, and ends as Lloyd's algorithm does.

    A mini-batch is a group of blocks, because rows of stored data cannot be drawn one by one.
    Therefore there is no ``batch_size`` in rows. Data in memory of a few MiB are one block, and one
    mini-batch.

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
        Maximum number of iterations; mini-batch passes and batch iterations both count.
    tol : float, default=0.0001
        Stop when the summed squared movement of the centres, relative to the mean variance of the
        features, falls below this. Set it to 0 to iterate until no row changes its cluster.
    verbose : int, default=0
        Print one line per iteration if it is not 0.
    random_state : int, RandomState instance or None, default=None
        Random seed. The same integer gives bit-identical results with any number of threads or
        workers; None draws a new seed. Pass an integer for results that can be repeated.
    n_batches : int, default=16
        Number of mini-batches in one pass over all rows.
    passes : int, default=1
        Number of passes with mini-batches before the batch iterations. Set max_iter to the same
        number for mini-batches alone.
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
        Index of the cluster of each training row, in int32; after `partial_fit` of the rows of the
        last chunk.
    inertia_ : float
        Weighted sum of the squared distances of rows to their nearest centre; after `partial_fit`
        of the last chunk under the centres before it.
    n_iter_ : int
        Number of iterations of the best restart.
    n_features_in_ : int
        Number of features seen by `fit`.
    history_ : tuple of Record
        One `emdist.fit.state.Record` for each iteration of the best restart.

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

    _option_names: ClassVar[Mapping[str, str]] = {
        "fit.schedule_options.groups": "n_batches",
        "fit.schedule_options.passes": "passes",
    }

    def _schedule(self) -> dict[str, Any]:
        options = {"groups": self.n_batches, "passes": self.passes}
        return {"schedule": "minibatch", "schedule_options": options}

    def _fold(self, recipe: Recipe) -> Callable[[float], Fold]:
        return _cumulating

    def to_sklearn(self) -> Any:
        check_is_fitted(self)
        return minibatch_of(self)


def _cumulating(weight: float) -> Fold:
    return fit.schedules.minibatch.cumulated


estimator = MiniBatchKMeans
