"""KCentroids: hard clustering by any dissimilarity, with scikit-learn's parameters."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted

from emdist.components import Components
from emdist.composition.model import make_dissimilarity
from emdist.dissimilarities.base import Normalised
from emdist.dissimilarities.own import OwnPair
from emdist.errors import ConfigError
from emdist.estimators.clustering import NAMES, Clustering
from emdist.estimators.from_parameters import array, check_means
from emdist.estimators.inputs import make_engine
from emdist.estimators.parameters import parameters
from emdist.estimators.to_sklearn import kmeans_of, without_equivalent
from emdist.fit.assigned import check_scores
from emdist.fit.fitted import Rows
from emdist.fit.observed import observed_source
from emdist.fit.start import Given
from emdist.fit.survey import check_block
from emdist.inputs.renamed import told_of_name
from emdist.interfaces import Array, Floats, Source
from emdist.kernels.tiles.tiles import shifted, tile_rows, tiles
from emdist.models.precision import CAREFUL
from emdist.settings.config import FitSection, ModelSection

#: Dissimilarities of rows that are not negative.
_POSITIVE = ("kullback_leibler", "generalised_i", "itakura_saito", "logistic")


@parameters()
class KCentroids(Clustering):
    """K-centroids cluster analysis: minimises ``sum_n D(x_n, centre of x_n)``, out of core.

    Parameters
    ----------
    n_clusters
        Clusters.
    dissimilarity
        D by name: "squared_euclidean" (K-means), "cosine", "mahalanobis", "kullback_leibler",
        "generalised_i", "itakura_saito", "logistic"; or a function of rows (m, d) and centres
        (k, d) in float64 to (m, k) numbers >= 0.
    dissimilarity_options
        Of a named one: ``{"matrix": A}`` or ``{"covariance": S}`` for "mahalanobis".
    dissimilarity_params
        Deprecated: the name that `dissimilarity_options` had before.
    centre
        For a function: None, the mean of a cluster's rows; a function of means (k, d) to centres
        (k, d); or a pair ``(statistics, centre)`` of functions, (m, d) -> (m, W) of rows and
        (k, W) -> (k, d) of their means by cluster. It should minimise D over the cluster, or the
        objective may rise. On a cluster of machines functions travel by pickle.
    init, n_init, max_iter, verbose, random_state
        As in `KMeans`; seeds are drawn in proportion to D.
    tol
        Of the summed squared movement of the centres, relative to the mean variance of the
        features where centres lie: directions for "cosine", proportions for "kullback_leibler".
    on_collapse, precision, engine, block_size, missing_chunks, corrupt_chunks, non_finite
        As in `KMeans`; a function is always computed in float64, and missing values are for
        "squared_euclidean".

    Attributes
    ----------
    cluster_centers_
        (n_clusters, n_features) float64: unit vectors for "cosine", proportions for
        "kullback_leibler".
    labels_, n_iter_, n_features_in_, history_
        As in `KMeans`.
    inertia_
        Weighted sum of D to the nearest centre.

    Examples
    --------
    >>> from emdist import KCentroids
    >>> X = [[1.0, 0.0], [5.0, 0.1], [0.0, 2.0], [0.1, 9.0]]
    >>> round(KCentroids(2, dissimilarity="cosine", random_state=0).fit(X).inertia_, 4)
    0.0001
    """

    _: KW_ONLY
    dissimilarity: Any = "squared_euclidean"
    dissimilarity_options: Mapping[str, Any] | None = None
    dissimilarity_params: Mapping[str, Any] | None = None
    centre: Any = None
    precision: str = "auto"

    _deprecated: ClassVar[Mapping[str, str]] = {"dissimilarity_params": "dissimilarity_options"}

    def _is_positive(self) -> bool:
        return self.dissimilarity in _POSITIVE if isinstance(self.dissimilarity, str) else False

    @classmethod
    def _fits(cls, section: ModelSection) -> bool:
        return section.name == "kcentroids"

    @classmethod
    def _from_section(cls, section: ModelSection) -> Self:
        """One with the settings of a stored model."""
        return cls(
            section.n_components,
            dissimilarity=section.dissimilarity or "squared_euclidean",
            dissimilarity_options=section.options or None,
            precision=section.precision,
        )

    def _sections(self, n_features: int) -> tuple[ModelSection, FitSection, Given]:
        name = self._name_of_options()
        model = self._checked(
            ModelSection,
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
        """The parameter that gives the options of the dissimilarity: one of two names."""
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
                    f"centre is for a dissimilarity of your own, and {self.dissimilarity!r} has "
                    "one already. Remove it, or give dissimilarity as a function."
                )
            return self.dissimilarity
        if centre is None or callable(centre):
            return OwnPair(self.dissimilarity, centre)
        if isinstance(centre, tuple) and len(centre) == 2 and all(callable(f) for f in centre):
            return OwnPair(self.dissimilarity, centre[1], centre[0])
        raise ConfigError(
            f"centre={centre!r}; wanted None (the mean), a function of means (k, d), or a pair of "
            "functions (statistics, centre)."
        )

    def transform(self, X: Any) -> Array:
        """Dissimilarities to all centres: (n, n_clusters), in memory."""
        check_is_fitted(self)
        engine = make_engine(self.engine)
        source = self._known(X, None, engine)
        whole, missing = make_dissimilarity(self._section), self.non_finite == "missing"
        task = _Dissimilarities(
            observed_source(source, self._model()),
            whole.with_missing() if missing else whole,
            self._fitted.params.components,
            self._fitted.spread.origin,
            missing,
        )
        found: Rows = engine.map_reduce(task, range(len(source)))
        return found.x

    def save(self, path: str | os.PathLike[str]) -> None:
        """As `KMeans`; a dissimilarity of your own is refused.

        Raises
        ------
        ConfigError
            If the dissimilarity is a function: models are stored without code.
        """
        check_is_fitted(self)
        if isinstance(self._section.dissimilarity, OwnPair):
            raise ConfigError(
                "A dissimilarity given as a function cannot be saved: models are stored as "
                "numbers and text, without code. Keep cluster_centers_ with your function, or "
                "make the dissimilarity a file in emdist/dissimilarities."
            )
        super().save(path)

    @classmethod
    def from_parameters(
        cls, *, cluster_centers: Any, feature_names: Sequence[str] | None = None, **params: Any
    ) -> Self:
        """As `KMeans.from_parameters`; give the `dissimilarity` too.

        Centres are brought to where the dissimilarity has them: to unit length for "cosine", to
        proportions for "kullback_leibler".
        """
        made = super().from_parameters(
            cluster_centers=cluster_centers, feature_names=feature_names, **params
        )
        dissimilarity = make_dissimilarity(made._section)
        dissimilarity.check(made.cluster_centers_)
        zero = np.flatnonzero(~made.cluster_centers_.any(axis=1))
        if zero.size and isinstance(dissimilarity, Normalised):
            raise ConfigError(
                f"cluster_centers are 0 in row {zero[0]}, which has no direction or proportions."
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
    """Dissimilarities of one block's rows to all centres."""

    source: Source
    components: Components[Any]
    params: Any
    origin: Floats
    missing: bool

    def __call__(self, i: int) -> Rows:
        block = self.source.read(i)
        check_block(block, self.components.domain, self.missing)
        x, _ = block.valid()
        density = self.components.density(self.params, CAREFUL)
        out = np.empty((len(x), density.n_components))
        for a, b in tiles(len(x), tile_rows(x.shape[1] + density.width + out.shape[1], 8)):
            tile = shifted(x[a:b], self.origin, CAREFUL.dtype)
            score = np.empty((out.shape[1], b - a))
            density.score(tile, density.statistics(tile), score)
            out[a:b] = -score.T
        np.maximum(out, 0.0, out=out)
        check_scores(out, block, distances=True)
        return Rows(out)


estimator = KCentroids
