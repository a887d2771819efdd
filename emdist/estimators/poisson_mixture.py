"""Mixture of Poissons, for data of any size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY
from typing import Any, Self

import numpy as np

from emdist.estimators.discrete_mixture import DiscreteMixture
from emdist.estimators.fitted_attributes import Learned
from emdist.estimators.parameters import parameters
from emdist.interfaces import Floats


@parameters()
class PoissonMixture(DiscreteMixture):
    """Mixture of independent Poissons, counts without a limit, by EM, exact and out of core.

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
    weights_init, rates_init
        A start: (k,) and (k, d); what is not given is estimated from the rows nearest.
    uniform_weights
        Keep all weights at 1 / n_components.
    smoothing
        Pseudo-rows of one count per feature.
    random_state
        Seed. The same seed gives the same bits on any number of threads and workers.
    warm_start, on_collapse, assignment, assignment_options, schedule, schedule_options
        As in `GaussianMixture`.
    verbose, precision, engine, block_size, missing_chunks, corrupt_chunks, non_finite
        As in `KMeans`.

    Attributes
    ----------
    weights_, rates_
        (k,) and (k, d).
    converged_, n_iter_, lower_bound_, lower_bounds_
        Of the best start; the bound is the log-likelihood, and log-prior if `smoothing` is not 0,
        per unit of weight: nats.
    n_features_in_, history_
        As in `GaussianMixture`.
    """

    family = "poisson"
    _given_name = "rates_init"
    _highest = np.inf

    _shown = "rates_"
    rates_ = Learned[Floats]()

    _: KW_ONLY
    rates_init: Any = None

    @classmethod
    def from_parameters(  # type: ignore[override]  # it has rates in place of probabilities
        cls,
        *,
        weights: Any,
        rates: Any,
        feature_names: Sequence[str] | None = None,
        **params: Any,
    ) -> Self:
        """A fitted estimator of given parameters, which predicts, scores, draws, saves and labels.

        Parameters
        ----------
        weights, rates
            (k,) >= 0 that sum to 1, and (k, d) >= 0; the columns of a data frame name the features.
        feature_names
            Names of the features, if they have any.
        params
            Of the constructor; `n_components` follows from the weights.

        Raises
        ------
        ConfigError
            If these are no parameters of such a mixture.
        """
        return cls._of_array(weights, rates, "rates", feature_names, params)


estimator = PoissonMixture
