"""`Clustering`, the base class of the hard clustering estimators: centres, labels, inertia."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any, Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassNamePrefixFeaturesOutMixin, ClusterMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from emdist import fit, kernels, settings
from emdist.errors import ConfigError, DataError
from emdist.estimators.array_types import Matrix
from emdist.estimators.base import Estimator
from emdist.estimators.collecting import gathered
from emdist.estimators.fitted_attributes import Learned
from emdist.estimators.from_parameters import Parameters, array, names_for, with_number
from emdist.estimators.inputs import is_in_memory, is_query, make_engine
from emdist.estimators.parameters import parameters
from emdist.estimators.settings import as_floats, seeder
from emdist.interfaces import Array, Engine, Floats, Source
from emdist.parameters.choices import CentreInit, OnCollapse

if TYPE_CHECKING:
    from emdist.fit.fitted import Collect, Fitted, RowValues
    from emdist.fit.start import Given
    from emdist.kernels.tiles.distances import Between
    from emdist.settings.config import FitSection, ModelSection

#: Key of a configuration section -> the parameter with another name that it checks.
NAMES: Mapping[str, str] = {"n_components": "n_clusters", "seed": "random_state"}


@parameters()
class Clustering(ClassNamePrefixFeaturesOutMixin, TransformerMixin, ClusterMixin, Estimator):  # type: ignore[misc]
    """Base class of the estimators with centres."""

    cluster_centers_ = Learned[Floats]()
    inertia_ = Learned[float]()
    #: (n,) int32 labels of the training rows. For stored data, computed on first access.
    labels_ = Learned[NDArray[np.int32]]()

    n_clusters: int = 8
    _: KW_ONLY
    init: CentreInit | Matrix = "k-means++"
    n_init: int | Literal["auto"] = "auto"
    max_iter: int = 300
    tol: float = 1e-4
    on_collapse: OnCollapse = "reseed"

    def _start(self, k: int, d: int) -> tuple[FitSection, Given]:
        """Return the section of the fit, and the starting centres if `init` gives them."""
        named = isinstance(self.init, str)
        n_init = self.n_init
        if isinstance(n_init, str) and n_init == "auto":
            n_init = 10 if named and self.init == "random" else 1
        section = self._checked(
            settings.config.FitSection,
            NAMES,
            seed=self._seed(),
            init=seeder(self.init, "init", get_args(CentreInit)) if named else None,
            n_init=n_init,
            max_iter=self.max_iter,
            tol=self.tol,
            on_collapse=self.on_collapse,
            **self._schedule(),
        )
        return section, fit.start.Given() if named else fit.start.Given(self._centres(k, d))

    def _centres(self, k: int, d: int) -> Floats:
        if callable(self.init):
            raise ConfigError(
                "init is a function, which needs all of X in memory. Give a name instead "
                "(k-means++, k-means||, kmeans, random), or the centres that the function "
                "returns."
            )
        return as_floats(self.init, "init", (k, d))

    def _attributes(self, fitted: Fitted, section: ModelSection) -> dict[str, Any]:
        centres = fitted.params.components.means + fitted.spread.origin
        return {"cluster_centers_": centres, "inertia_": fitted.objective}

    @property
    def _n_features_out(self) -> int:
        return len(self.cluster_centers_)

    def _remember(self, source: Source, engine: Engine, X: Any, read: Mapping[str, str]) -> None:
        super()._remember(source, engine, X, read)
        # Labels of data in memory are cheap, and X may change later. Labels of a Zarr array may
        # not fit into memory, so the source is kept and labels are computed when asked for.
        self._recipe = None if is_in_memory(X) or is_query(X) else (source, X)
        self._read = dict(read)
        if self._recipe is None:
            self._learn(labels_=self._label(source, engine, X))

    def _label(self, source: Source, engine: Engine, x: Any) -> NDArray[np.int32]:
        model = self._model()

        def task(seen: Source) -> Collect:
            numerics = self._fitted.numerics(model, source.dtype)
            origin, params = self._fitted.spread.origin, self._fitted.params
            return fit.fitted.Collect(seen, model, params, origin, numerics, only_labels=True)

        found = gathered(
            engine, source, task, x, lambda one: fit.observed.observed_source(one, model)
        )
        labels: NDArray[np.int32] = found.shaped(
            found.value.labels, "labels", self._label_of_none, attributes=self._told_of("labels")
        )
        return labels

    @classmethod
    def from_parameters(
        cls, *, cluster_centers: Any, feature_names: Sequence[str] | None = None, **params: Any
    ) -> Self:
        """Make a fitted estimator from known centres, without data.

        It can predict, score, save and label as if it had been fitted.

        Parameters
        ----------
        cluster_centers : array-like of shape (n_clusters, n_features)
            The centres, in the units of the data. The columns of a data frame name the features.
        feature_names : sequence of str or None, default=None
            Names of the features, if they have any.
        **params
            Parameters of the constructor, such as `non_finite`. `n_clusters` follows from the
            centres.

        Returns
        -------
        estimator
            A fitted estimator with these centres.

        Raises
        ------
        ConfigError
            If the centres are not finite numbers, or the model cannot have such centres.
        """
        centres = array(cluster_centers, "cluster_centers", ("n_clusters", "n_features"))
        names = names_for(feature_names, cluster_centers, centres.shape[1])
        params = with_number(params, "n_clusters", len(centres))
        return cls._made(Parameters(centres, feature_names=names), **params)

    def _unlearned(self, name: str) -> Any:
        recipe: tuple[Source, Any] | None = self.__dict__.get("_recipe")
        fitted = self.__sklearn_is_fitted__()
        if name != "labels_" or not fitted or self._fitted.status is fit.state.Status.GIVEN:
            return super()._unlearned(name)
        if recipe is None:
            raise AttributeError(
                "labels_ exists only after fit, and a loaded estimator has none. Use predict."
            )
        source, x = recipe
        self._check_read(source)
        labels = self._label(source, make_engine(self.engine), x)
        self._check_read(source)
        self._learn(labels_=labels)
        return self.labels_

    def _check_read(self, source: Source) -> None:
        """Raise DataError if the files of the data were written since the fit."""
        if fit.data_changes.stamps(source) != self.__dict__.get("_read", {}):
            raise DataError(
                "labels_ of data that are not in memory are computed on first use, but the "
                "files of the data have been written since the fit. Use predict to label the "
                "data as they are now, or fit again."
            )

    def __dir__(self) -> list[str]:
        # scikit-learn's version reads every attribute, and so does its HTML representation. Labels
        # that need a pass over the data are therefore not listed before they are computed.
        hidden = set() if "labels_" in self.__dict__ else {"labels_"}
        return [name for name in object.__dir__(self) if name not in hidden and hasattr(self, name)]

    def _measured(self, X: Any, task: Callable[[Source], Any]) -> Array:
        """Return what `task` measures between each row of `X` and each cluster."""
        check_is_fitted(self)
        engine = make_engine(self.engine)
        source, model = self._known(X, None, engine), self._model()
        rows = self._as_fitted(X)
        found = gathered(
            engine,
            source,
            task,
            rows,
            lambda one: fit.observed.observed_source(one, model),
            "cluster",
        )
        columns = ("cluster", np.arange(found.value.x.shape[1]))
        distances: Array = found.shaped(found.value.x, "distance", np.nan, columns)
        return distances

    def fit_predict(self, X: Any, y: Any = None, sample_weight: Any = None) -> NDArray[np.int32]:
        """Fit, and return the labels of the same rows.

        Parameters
        ----------
        X, y, sample_weight
            As in `fit`.

        Returns
        -------
        labels : ndarray of shape (n_samples,), int32
            Index of the cluster of each row that was not left out.
            {on the grid: -1}
        """
        return self.fit(X, y, sample_weight).labels_.copy()

    def transform(self, X: Any) -> Array:
        """Compute how far each row is from each centre.

        Parameters
        ----------
        {X as fitted}

        Returns
        -------
        ndarray of shape (n_samples, n_clusters)
            Distances or dissimilarities, in memory.
            {on the grid: NaN}
        """
        raise NotImplementedError

    def fit_transform(self, X: Any, y: Any = None, sample_weight: Any = None) -> Array:
        """Fit, and return `transform` of the same rows.

        Parameters
        ----------
        X, y, sample_weight
            As in `fit`.

        Returns
        -------
        ndarray of shape (n_samples, n_clusters)
            As in `transform`.
        """
        return self.fit(X, y, sample_weight).transform(X)

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Return the inertia of `X`, times -1, so that higher is better.

        Parameters
        ----------
        X, y, sample_weight
            As in `fit`.

        Returns
        -------
        score : float
            Minus the weighted sum, over rows, of the dissimilarity to the nearest centre. For
            K-means this is the squared distance, for K-medians the L1 distance.
        """
        return 0.0 - float(self._labelled(X, sample_weight)["score"])


class CentreDistances(Clustering):
    """Base class of the estimators that transform rows to their distances from the centres."""

    def _between(self) -> Between:
        """Return the function that computes distances of rows to centres."""
        raise NotImplementedError

    def transform(self, X: Any) -> Array:
        """Compute the distance of each row to each centre.

        With missing values, the distance uses the observed values of a row alone.

        Parameters
        ----------
        {X as fitted}

        Returns
        -------
        ndarray of shape (n_samples, n_clusters), float64
            Distances, in memory.
            {on the grid: NaN}
        """
        check_is_fitted(self)
        centres = self._fitted.params.components.means + self._fitted.spread.origin
        missing = self._model().missing
        return self._measured(X, lambda seen: _Distances(seen, centres, self._between(), missing))


@dataclass(frozen=True)
class _Distances:
    """Task that computes the distances of the rows of one block to all centres."""

    source: Source
    centres: Floats
    between: Between
    missing: bool

    def __call__(self, i: int) -> RowValues:
        block = self.source.read(i)
        fit.survey.check_block(block, missing=self.missing)
        x, _ = block.valid()
        out = np.empty((len(x), len(self.centres)))
        for a, b in kernels.tiles.tiles.tiles(
            len(x), kernels.tiles.tiles.tile_rows(x.shape[1] + len(self.centres), 8)
        ):
            out[a:b] = self.between(x[a:b].astype(np.float64), self.centres).T
        fit.assigned.check_scores(out, block, distances=True)
        return fit.fitted.RowValues(out)
