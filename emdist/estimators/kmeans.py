"""KMeans with scikit-learn's parameters and attributes, for data of any size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassNamePrefixFeaturesOutMixin, ClusterMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from emdist.build import make_model
from emdist.config import FitSection, ModelSection
from emdist.errors import ConfigError
from emdist.estimators.base import Estimator, Rows, as_floats
from emdist.estimators.inputs import is_in_memory, make_engine
from emdist.fit.fitted import Collect, Collected, Fitted
from emdist.fit.start import Given
from emdist.fit.survey import check_block
from emdist.interfaces import Array, Engine, Floats, Source
from emdist.kernels.plusplus import squared_distances
from emdist.kernels.tiles import shifted, tile_rows, tiles


class KMeans(ClassNamePrefixFeaturesOutMixin, TransformerMixin, ClusterMixin, Estimator):  # type: ignore[misc]
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
    copy_x, algorithm
        Accepted for scikit-learn's sake: X is never changed, and the result is Lloyd's.
    schedule, schedule_options
        How passes become iterations: "batch" (Lloyd), "incremental", "minibatch" or "stepwise",
        and a dict of its options; see docs/schedules.md.
    precision
        "auto", "float32" or "float64" for the arithmetic of a tile.
    engine
        None for threads here, or a ``distributed.Client``.
    block_size
        Decoded size of a unit of work, such as "64 MiB"; None by the size of the data.
    missing_chunks
        For Zarr: "raise", "drop" (leave rows out) or "fill" (take the fill value).
    non_finite
        "raise", or "drop" to leave rows with NaN or infinity out.

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
        One `emdist.interfaces.Record` per iteration of the best start.

    Examples
    --------
    >>> from emdist import KMeans
    >>> KMeans(n_clusters=2, random_state=0).fit([[0.0], [1.0], [10.0], [11.0]]).inertia_
    1.0
    """

    def __init__(
        self,
        n_clusters: int = 8,
        *,
        init: Any = "k-means++",
        n_init: Any = "auto",
        max_iter: int = 300,
        tol: float = 1e-4,
        verbose: int = 0,
        random_state: Any = None,
        copy_x: bool = True,
        algorithm: str = "lloyd",
        schedule: str = "batch",
        schedule_options: Any = None,
        precision: str = "auto",
        engine: Any = None,
        block_size: str | None = None,
        missing_chunks: str = "raise",
        non_finite: str = "raise",
    ) -> None:
        self.n_clusters = n_clusters
        self.init = init
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.verbose = verbose
        self.random_state = random_state
        self.copy_x = copy_x
        self.algorithm = algorithm
        self.schedule = schedule
        self.schedule_options = schedule_options
        self.precision = precision
        self.engine = engine
        self.block_size = block_size
        self.missing_chunks = missing_chunks
        self.non_finite = non_finite

    def _sections(self, n_features: int) -> tuple[ModelSection, FitSection, Given]:
        if self.algorithm not in ("lloyd", "elkan"):
            raise ConfigError(f"algorithm={self.algorithm!r}; wanted 'lloyd' (or 'elkan').")
        named = isinstance(self.init, str)
        n_init = self.n_init
        if n_init == "auto":
            n_init = 10 if named and self.init == "random" else 1
        names = {"n_components": "n_clusters", "seed": "random_state"}
        model = self._checked(
            ModelSection,
            names,
            name="kmeans",
            n_components=self.n_clusters,
            precision=self.precision,
        )
        fit = self._checked(
            FitSection,
            names,
            seed=self._seed(),
            init=self.init if named else None,
            n_init=n_init,
            max_iter=self.max_iter,
            tol=self.tol,
            **self._schedule(),
        )
        return (
            model,
            fit,
            Given() if named else Given(self._centres(model.n_components, n_features)),
        )

    def _centres(self, k: int, d: int) -> Floats:
        if callable(self.init):
            raise ConfigError(
                "init is a function, and X may not fit in memory to call it with; give a name "
                "(k-means++, k-means||, kmeans, random) or the centres that it returns."
            )
        return as_floats(self.init, "init", (k, d))

    def _publish(self, fitted: Fitted, section: ModelSection) -> None:
        self.cluster_centers_ = fitted.params.components.means + fitted.spread.origin
        self.inertia_ = fitted.objective
        self._n_features_out = len(self.cluster_centers_)

    def _remember(self, source: Source, engine: Engine, X: Any) -> None:
        # Labels of data in memory are cheap and X may change later; those of a Zarr array may
        # not fit in memory, so its recipe is kept instead.
        self.__dict__.pop("_labels", None)
        self._recipe = None if is_in_memory(X) else source
        if self._recipe is None:
            self._labels = self._label(source, engine)

    def _label(self, source: Source, engine: Engine) -> NDArray[np.int32]:
        model = make_model(self._section)
        numerics = self._fitted.numerics(model, source.dtype)
        origin = self._fitted.spread.origin
        task = Collect(source, model, self._fitted.params, origin, numerics)
        found: Collected = engine.map_reduce(task, range(len(source)))
        return found.labels

    @property
    def labels_(self) -> NDArray[np.int32]:
        """(n,) int32 labels of the training rows."""
        if "_labels" not in self.__dict__:
            recipe: Source | None = self.__dict__.get("_recipe")
            if recipe is None:
                raise AttributeError(
                    "labels_ is there after fit; a loaded estimator has none, use predict."
                )
            self._labels = self._label(recipe, make_engine(self.engine))
        return self._labels

    def fit_predict(self, X: Any, y: Any = None, sample_weight: Any = None) -> NDArray[np.int32]:
        """`fit`, then the labels of the same rows."""
        return self.fit(X, y, sample_weight).labels_

    def transform(self, X: Any) -> Array:
        """Distances to all centres: (n, n_clusters), in memory."""
        check_is_fitted(self)
        engine = make_engine(self.engine)
        source = self._known(X, None, engine)
        means, origin = self._fitted.params.components.means, self._fitted.spread.origin
        found: Rows = engine.map_reduce(_Distances(source, means, origin), range(len(source)))
        return found.x

    def fit_transform(self, X: Any, y: Any = None, sample_weight: Any = None) -> Array:
        """`fit`, then `transform` of the same rows."""
        return self.fit(X, y, sample_weight).transform(X)

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Minus the inertia of `X`."""
        check_is_fitted(self)
        engine = make_engine(self.engine)
        source = self._known(X, sample_weight, engine)
        return -float(self._fitted.label(make_model(self._section), source, engine)["score"])


@dataclass(frozen=True)
class _Distances:
    """Distances of one block's rows to all centres."""

    source: Source
    means: Floats
    origin: Floats

    def __call__(self, i: int) -> Rows:
        block = self.source.read(i)
        check_block(block)
        x, _ = block.valid()
        out = np.empty((len(x), len(self.means)))
        for a, b in tiles(len(x), tile_rows(x.shape[1] + len(self.means), 8)):
            tile = shifted(x[a:b], self.origin, "float64")
            out[a:b] = np.sqrt(squared_distances(tile, self.means).T)
        return Rows(out)
