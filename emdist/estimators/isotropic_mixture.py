"""Mixture of Gaussians of one given variance, for data of any size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY
from typing import Any, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted

from emdist.composition.model import make_family
from emdist.estimators.fitted_attributes import Learned
from emdist.estimators.from_parameters import Parameters, array, names_for, weights_of, with_number
from emdist.estimators.mixture import Criteria
from emdist.estimators.parameters import parameters
from emdist.estimators.settings import as_floats
from emdist.estimators.to_sklearn import gaussians_of
from emdist.fit.fitted import Fitted
from emdist.fit.start import Given
from emdist.interfaces import Floats
from emdist.settings.config import FitSection, ModelSection


@parameters()
class IsotropicMixture(Criteria):
    """Gaussians ``N(mean_k, variance I)`` of a variance that is given: soft K-means.

    As `variance` goes to 0, or with ``assignment="hard"`` and ``uniform_weights=True``, the means
    become K-means' centres: Bishop 2006, 9.3.2.

    Parameters
    ----------
    n_components
        Components.
    variance
        Of every feature of every component: squared units of the data.
    tol
        Of the bound per row: nats.
    max_iter, n_init
        Iterations of one start at most, and starts.
    init_params
        "kmeans", "k-means++", "k-means||", "random_from_data" or "random": see
        `GaussianMixture`.
    weights_init, means_init
        A start: (k,) and (k, d); what is not given is estimated from the rows nearest.
    uniform_weights
        Keep all weights at 1 / n_components.
    random_state
        Seed. The same seed gives the same bits on any number of threads and workers.
    warm_start, on_collapse, assignment, assignment_options, schedule, schedule_options
        As in `GaussianMixture`.
    verbose, precision, engine, block_size, missing_chunks, corrupt_chunks, non_finite
        As in `KMeans`.

    Attributes
    ----------
    weights_, means_
        (k,) and (k, d).
    converged_, n_iter_, lower_bound_, lower_bounds_
        Of the best start; the bound is the log-likelihood per unit of weight: nats.
    n_features_in_, history_
        As in `GaussianMixture`.
    """

    means_ = Learned[Floats]()

    _: KW_ONLY
    variance: float = 1.0
    means_init: Any = None

    @classmethod
    def _fits(cls, section: ModelSection) -> bool:
        return section.name == "isotropic"

    @classmethod
    def _from_section(cls, section: ModelSection) -> Self:
        return cls(
            section.n_components,
            variance=section.options.get("variance", 0.5),
            precision=section.precision,
            uniform_weights=section.weights_name == "uniform",
        )

    def _sections(self, n_features: int) -> tuple[ModelSection, FitSection, Given]:
        options = {"variance": self.variance}
        model = self._model_section("isotropic", options, self.uniform_weights)
        make_family(model)  # The variance is checked before anything is read.
        return model, self._fit_section(), self._given(model, n_features)

    def _given(self, model: ModelSection, d: int) -> Given:
        if self._is_warm(model, d):
            return Given(self.means_, self.weights_)
        k, means, weights = model.n_components, self.means_init, self.weights_init
        return Given(
            None if means is None else as_floats(means, "means_init", (k, d)),
            None if weights is None else as_floats(weights, "weights_init", (k,)),
        )

    def _attributes(self, fitted: Fitted, section: ModelSection) -> dict[str, Any]:
        means = fitted.params.components.means + fitted.spread.origin
        return {**super()._attributes(fitted, section), "means_": means}

    @classmethod
    def from_parameters(
        cls,
        *,
        weights: Any,
        means: Any,
        feature_names: Sequence[str] | None = None,
        **params: Any,
    ) -> Self:
        """A fitted estimator of given parameters, which predicts, scores, draws, saves and labels.

        Parameters
        ----------
        weights, means
            (k,) >= 0 that sum to 1, and (k, d); the columns of a data frame name the features.
        feature_names
            Names of the features, if they have any.
        params
            Of the constructor: give the `variance`.

        Raises
        ------
        ConfigError
            If these are no parameters of such a mixture.
        """
        found = array(means, "means", ("n_components", "n_features"))
        names = names_for(feature_names, means, found.shape[1])
        params = with_number(params, "n_components", len(found))
        own = weights_of(weights, len(found), params)
        return cls._made(Parameters(found, {"means": found}, own, names), **params)

    def to_sklearn(self) -> Any:
        check_is_fitted(self)
        variances = np.full(len(self.means_), float(self._section.options["variance"]))
        return gaussians_of(self, "spherical", variances)


estimator = IsotropicMixture
