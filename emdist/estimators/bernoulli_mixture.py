"""BernoulliMixture: prototypes of bits, and completion of rows whose bits are partly missing."""

from __future__ import annotations

from dataclasses import KW_ONLY
from typing import Any

from emdist.estimators.discrete_mixture import DiscreteMixture
from emdist.estimators.fitted_attributes import Learned
from emdist.estimators.parameters import parameters
from emdist.interfaces import Floats


@parameters()
class BernoulliMixture(DiscreteMixture):
    """Mixture of independent bits by EM, exact and out of core: Bishop 2006, 9.3.3.

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
        A start: (k,) and (k, d); what is not given is estimated from the rows nearest.
    uniform_weights
        Keep all weights at 1 / n_components.
    smoothing
        Pseudo-observations of either outcome, as in scikit-learn's naive Bayes: 1 is Laplace's.
    random_state
        Seed. The same seed gives the same bits on any number of threads and workers.
    warm_start, on_collapse, assignment, assignment_options, schedule, schedule_options
        As in `GaussianMixture`.
    verbose, precision, engine, block_size, missing_chunks, corrupt_chunks, non_finite
        As in `KMeans`.

    Attributes
    ----------
    weights_, probabilities_
        (k,) and (k, d).
    converged_, n_iter_, lower_bound_, lower_bounds_
        Of the best start; the bound is the log-likelihood, and log-prior if `smoothing` is not 0,
        per unit of weight: nats.
    n_features_in_, history_
        As in `GaussianMixture`.

    Examples
    --------
    >>> from emdist import BernoulliMixture
    >>> X = [[1, 1, 1, 0], [1, 1, 0, 0], [0, 0, 1, 1], [0, 0, 0, 1]]
    >>> prototypes = BernoulliMixture(2, random_state=0).fit(X)
    >>> prototypes.complete([[1, float("nan"), 0, 0]]).round(2).tolist()
    [[1.0, 1.0, 0.0, 0.0]]
    """

    family = "bernoulli"

    probabilities_ = Learned[Floats]()

    _: KW_ONLY
    probabilities_init: Any = None


estimator = BernoulliMixture
