"""Mixture of multinomials, for data of any size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY
from typing import Any, Self

import numpy as np

from emdist.errors import ConfigError
from emdist.estimators.discrete_mixture import DiscreteMixture
from emdist.estimators.fitted_attributes import Learned
from emdist.estimators.from_parameters import (
    Parameters,
    array,
    check_shares,
    names_for,
    weights_of,
    with_number,
)
from emdist.estimators.parameters import parameters
from emdist.interfaces import Floats
from emdist.settings.config import ModelSection


@parameters()
class MultinomialMixture(DiscreteMixture):
    """Mixture of multinomials, such as words per document, by EM, exact and out of core.

    The likelihood is that of a row given its total. `sample` draws rows with whole totals, whose
    mean is that of the component's rows.

    Parameters
    ----------
    n_components
        Components.
    tol
        Of the bound per row: nats.
    max_iter, n_init
        Iterations of one start at most, and starts.
    init_params
        "kmeans", "k-means++", "k-means||", "random_from_data" or "random": see
        `GaussianMixture`.
    weights_init, probabilities_init
        A start: (k,) and (k, d), rows summing to 1; what is not given is estimated from the rows
        nearest.
    uniform_weights
        Keep all weights at 1 / n_components.
    smoothing
        Pseudo-count of every feature.
    random_state
        Seed. The same seed gives the same bits on any number of threads and workers.
    warm_start, on_collapse, assignment, assignment_options, schedule, schedule_options
        As in `GaussianMixture`.
    verbose, precision, engine, block_size, missing_chunks, corrupt_chunks, non_finite
        As in `KMeans`.

    Attributes
    ----------
    weights_, probabilities_
        (k,) and (k, d), summing to 1 along rows.
    converged_, n_iter_, lower_bound_, lower_bounds_
        Of the best start; the bound is the log-likelihood, and log-prior if `smoothing` is not 0,
        per unit of weight: nats.
    n_features_in_, history_
        As in `GaussianMixture`.
    """

    family = "multinomial"
    _sums_to_one = True

    probabilities_ = Learned[Floats]()

    _: KW_ONLY
    probabilities_init: Any = None

    def _told_as(self, values: Floats, section: ModelSection) -> Floats:
        return np.asarray(values / values.sum(axis=1, keepdims=True), np.float64)

    @classmethod
    def from_parameters(
        cls,
        *,
        weights: Any,
        probabilities: Any,
        totals: Any = 1.0,
        feature_names: Sequence[str] | None = None,
        **params: Any,
    ) -> Self:
        """A fitted estimator of given parameters, which predicts, scores, draws, saves and labels.

        Parameters
        ----------
        weights, probabilities
            (k,) and (k, d), each summing to 1; the columns of a data frame name the features.
        totals
            Mean total of a row, one number or (k,), for draws and moments; labels and scores take
            each row's own.
        feature_names
            Names of the features, if they have any.
        params
            Of the constructor; `n_components` follows from the weights.

        Raises
        ------
        ConfigError
            If these are no parameters of such a mixture.
        """
        found = array(probabilities, "probabilities", ("n_components", "n_features"))
        k, d = found.shape
        each = array(np.broadcast_to(totals, (k,)), "totals", (k,))
        if not (each > 0).all():
            raise ConfigError(f"totals holds {each.min():g}; wanted numbers above 0.")
        names = names_for(feature_names, probabilities, d)
        means = check_shares(found, "probabilities") * each[:, None]
        params = with_number(params, "n_components", k)
        own = weights_of(weights, k, params)
        return cls._made(Parameters(np.zeros((k, d)), {"means": means}, own, names), **params)


estimator = MultinomialMixture
