"""`KCentroids`: hard clustering by any dissimilarity, with scikit-learn's parameters."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted

from emdist import composition, dissimilarities, fit, kernels, models, settings
from emdist.components import Components
from emdist.errors import ConfigError
from emdist.estimators.clustering import NAMES, Clustering
from emdist.estimators.from_parameters import array, check_means
from emdist.estimators.parameters import parameters
from emdist.estimators.to_sklearn import kmeans_of, without_equivalent
from emdist.inputs.renamed import told_of_name
from emdist.interfaces import Array, Floats, Source
from emdist.parameters.choices import Precision

if TYPE_CHECKING:
    from emdist.fit.fitted import RowValues
    from emdist.fit.start import Given
    from emdist.settings.config import FitSection, ModelSection

#: Dissimilarities that need rows without negative values.
_POSITIVE = ("kullback_leibler", "generalised_i", "itakura_saito", "logistic")


@parameters()
class KCentroids(Clustering):
    """K-centroids cluster analysis for data of any size: minimises ``sum_n D(x_n, centre of x_n)``.

    Parameters
    ----------
    n_clusters : int, default=8
        Number of clusters. Compare several with `Sweep`.
    dissimilarity : str or callable, default='squared_euclidean'
        Dissimilarity D between rows and centres: a name, or a function of rows (m, n_features) and
        centres (k, n_features) that returns (m, k) values >= 0 in float64.

        - 'squared_euclidean': K-means.
        - 'cosine': Compares the directions of rows (spherical K-means).
        - 'mahalanobis': Measures distances with one matrix that you give.
        - 'kullback_leibler': Compares proportions.
        - 'generalised_i': Compares non-negative values.
        - 'itakura_saito': Compares spectra.
        - 'logistic': Compares probabilities.

    dissimilarity_options : dict or None, default=None
        Options of a named dissimilarity: {'matrix': A} or {'covariance': S} for 'mahalanobis'.
    dissimilarity_params : dict or None, default=None
        Deprecated: the old name of `dissimilarity_options`.
    centre : callable, tuple of two callables or None, default=None
        For a dissimilarity of your own: how a centre is made. None takes the mean of the rows. A
        function takes the means of all clusters, (k, n_features), and returns the centres. Of a
        pair (statistics, centre), the first function maps rows (m, n_features) to statistics (m,
        W); the second takes the means of these statistics, (k, W), and returns the centres. If a
        centre does not minimise the sum of D over its cluster, the objective may rise.
    precision : {'auto', 'float32', 'float64'}, default='auto'
        Floating-point type of the arithmetic within a block. Sums over rows are always float64.

        - 'auto': The type of the data where that is accurate enough.
        - 'float32': Faster, accurate to about six digits.
        - 'float64'

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
        Stop when the summed squared movement of the centres falls below this, relative to the mean
        variance of the features. For 'cosine' this is the variance of the directions of rows, for
        'kullback_leibler' that of their proportions.
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
        Centres, in float64: unit vectors for 'cosine', proportions for 'kullback_leibler'.
    labels_ : ndarray of shape (n_samples,)
        Index of the cluster of each training row, in int32. For data that is not in memory it is
        computed when it is first used.
    n_iter_ : int
        Number of iterations of the best restart.
    n_features_in_ : int
        Number of features seen by `fit`.
    history_ : tuple of Record
        One `emdist.fit.state.Record` for each iteration of the best restart.
    inertia_ : float
        Weighted sum of the dissimilarity of rows and their nearest centre.

    Examples
    --------
    >>> from emdist import KCentroids
    >>> X = [[1.0, 0.0], [5.0, 0.1], [0.0, 2.0], [0.1, 9.0]]
    >>> round(KCentroids(2, dissimilarity="cosine", random_state=0).fit(X).inertia_, 4)
    0.0001
    """

    _: KW_ONLY
    dissimilarity: str | Callable[..., Any] = "squared_euclidean"
    dissimilarity_options: Mapping[str, Any] | None = None
    dissimilarity_params: Mapping[str, Any] | None = None
    centre: Callable[..., Any] | tuple[Callable[..., Any], Callable[..., Any]] | None = None
    precision: Precision = "auto"

    _option_names: ClassVar[Mapping[str, str]] = {"model.options": "dissimilarity_options"}
    _deprecated: ClassVar[Mapping[str, str]] = {"dissimilarity_params": "dissimilarity_options"}

    def _is_positive(self) -> bool:
        return self.dissimilarity in _POSITIVE if isinstance(self.dissimilarity, str) else False

    @classmethod
    def _fits(cls, section: ModelSection) -> bool:
        return section.name == "kcentroids"

    @classmethod
    def _from_section(cls, section: ModelSection) -> Self:
        """Make an unfitted estimator with the settings of a stored model."""
        return cls(
            section.n_components,
            dissimilarity=section.dissimilarity or "squared_euclidean",
            dissimilarity_options=section.options or None,
            precision=section.precision,
        )

    def _sections(self, n_features: int) -> tuple[ModelSection, FitSection, Given]:
        name = self._name_of_options()
        model = self._checked(
            settings.config.ModelSection,
            {**NAMES, "options": name},
            name="kcentroids",
            n_components=self.n_clusters,
            precision=self.precision,
            dissimilarity=self._dissimilarity(),
            missing=self.non_finite == "missing",
            options={} if getattr(self, name) is None else getattr(self, name),
        )
        return (model, *self._start(model.n_components, n_features))

    def _name_of_options(self) -> str:
        """Return which of two parameters gives the dissimilarity's options: new or old name."""
        if self.dissimilarity_params is None:
            return "dissimilarity_options"
        both = self.dissimilarity_options is not None
        told_of_name("dissimilarity_params", "dissimilarity_options", both, stacklevel=5)
        return "dissimilarity_params"

    def _dissimilarity(self) -> Any:
        centre = self.centre
        if not callable(self.dissimilarity):
            if centre is not None:
                raise ConfigError(
                    "centre is only for a dissimilarity that is your own function, and "
                    f"{self.dissimilarity!r} has a centre already. Remove centre, or give "
                    "dissimilarity as a function."
                )
            return self.dissimilarity
        if centre is None or callable(centre):
            return dissimilarities.own.OwnPair(self.dissimilarity, centre)
        if isinstance(centre, tuple) and len(centre) == 2 and all(callable(f) for f in centre):
            return dissimilarities.own.OwnPair(self.dissimilarity, centre[1], centre[0])
        raise ConfigError(
            f"centre={centre!r}; expected None (the mean), a function of means (k, d), or a pair "
            "of functions (statistics, centre)."
        )

    def transform(self, X: Any) -> Array:
        """Compute the dissimilarity of each row to each centre.

        Parameters
        ----------
        {X as fitted}

        Returns
        -------
        ndarray of shape (n_samples, n_clusters), float64
            Dissimilarities >= 0, in memory.
            {on the grid: NaN}
        """
        check_is_fitted(self)
        whole, missing = (
            composition.model.make_dissimilarity(self._section),
            self.non_finite == "missing",
        )
        pair = whole.with_missing() if missing else whole
        centres, origin = self._fitted.params.components, self._fitted.spread.origin
        return self._measured(
            X, lambda seen: _Dissimilarities(seen, pair, centres, origin, missing)
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted estimator to a folder, from which `emdist.load` reads it.

        Parameters
        ----------
        path : str or path-like
            A path or URL of a folder. It may be new or empty, or hold a saved model, which is then
            replaced.

        Raises
        ------
        ConfigError
            If the dissimilarity is a function, because models are stored without code, or if
            `path` is the folder of a run.
        """
        check_is_fitted(self)
        if isinstance(self._section.dissimilarity, dissimilarities.own.OwnPair):
            raise ConfigError(
                "A dissimilarity given as a function cannot be saved, because models are "
                "stored as numbers and text, without code. Save cluster_centers_ with your "
                "function, or make the dissimilarity a file in emdist/dissimilarities."
            )
        super().save(path)

    @classmethod
    def from_parameters(
        cls, *, cluster_centers: Any, feature_names: Sequence[str] | None = None, **params: Any
    ) -> Self:
        """Make a fitted estimator from known centres, without data.

        Parameters
        ----------
        cluster_centers : array-like of shape (n_clusters, n_features)
            The centres. They are scaled as the dissimilarity needs: to unit length for "cosine", to
            proportions for "kullback_leibler". The columns of a data frame name the features.
        feature_names : sequence of str or None, default=None
            Names of the features, if they have any.
        **params
            Parameters of the constructor, such as `dissimilarity`. `n_clusters` follows from the
            centres.

        Returns
        -------
        estimator : KCentroids
            A fitted estimator with these centres.

        Raises
        ------
        ConfigError
            If the centres are not finite numbers, or the dissimilarity cannot have such centres.
        """
        made = super().from_parameters(
            cluster_centers=cluster_centers, feature_names=feature_names, **params
        )
        dissimilarity = composition.model.make_dissimilarity(made._section)
        dissimilarity.check(made.cluster_centers_)
        zero = np.flatnonzero(~made.cluster_centers_.any(axis=1))
        if zero.size and isinstance(dissimilarity, dissimilarities.base.Normalised):
            raise ConfigError(
                f"Row {zero[0]} of cluster_centers is 0, which has no direction or proportions."
            )
        if (domain := dissimilarity.domain) is not None:
            check_means(array(cluster_centers, "cluster_centers", ("k", "d")), domain)
        return made

    def to_sklearn(self) -> Any:
        check_is_fitted(self)
        if self._section.dissimilarity not in (None, "squared_euclidean"):
            raise without_equivalent(self, "scikit-learn clusters by the Euclidean distance only")
        return kmeans_of(self)


@dataclass(frozen=True)
class _Dissimilarities:
    """Task that computes the dissimilarities of the rows of one block to all centres."""

    source: Source
    components: Components[Any]
    params: Any
    origin: Floats
    missing: bool

    def __call__(self, i: int) -> RowValues:
        block = self.source.read(i)
        takes = partial(fit.survey.accepts_missing, self.components)
        fit.survey.check_block(block, self.components.domain, self.missing, takes)
        x, _ = block.valid()
        density = self.components.density(self.params, models.precision.CAREFUL)
        out = np.empty((len(x), density.n_components))
        for a, b in kernels.tiles.tiles.tiles(
            len(x), kernels.tiles.tiles.tile_rows(x.shape[1] + density.width + out.shape[1], 8)
        ):
            tile = kernels.tiles.tiles.shifted(x[a:b], self.origin, models.precision.CAREFUL.dtype)
            score = np.empty((out.shape[1], b - a))
            density.score(tile, density.statistics(tile), score)
            out[a:b] = -score.T
        np.maximum(out, 0.0, out=out)
        fit.assigned.check_scores(out, block, distances=True)
        return fit.fitted.RowValues(out)


estimator = KCentroids
