"""BernoulliMixture: prototypes of bits, and completion of rows whose bits are partly missing."""

from __future__ import annotations

from typing import Any

from emdist.estimators.discrete_mixture import DiscreteMixture
from emdist.estimators.learned import Learned
from emdist.interfaces import Floats


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
    verbose, precision, engine, block_size, missing_chunks, non_finite
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

    def __init__(
        self,
        n_components: int = 1,
        *,
        tol: float = 1e-3,
        max_iter: int = 100,
        n_init: int = 1,
        init_params: str = "kmeans",
        weights_init: Any = None,
        probabilities_init: Any = None,
        uniform_weights: bool = False,
        smoothing: float = 0.0,
        random_state: Any = None,
        warm_start: bool = False,
        verbose: int = 0,
        on_collapse: str = "regularise",
        assignment: str = "soft",
        assignment_options: Any = None,
        schedule: str = "batch",
        schedule_options: Any = None,
        precision: str = "auto",
        engine: Any = None,
        block_size: str | None = None,
        missing_chunks: str = "raise",
        non_finite: str = "raise",
    ) -> None:
        super().__init__(
            n_components,
            tol=tol,
            max_iter=max_iter,
            n_init=n_init,
            init_params=init_params,
            weights_init=weights_init,
            uniform_weights=uniform_weights,
            smoothing=smoothing,
            random_state=random_state,
            warm_start=warm_start,
            verbose=verbose,
            on_collapse=on_collapse,
            assignment=assignment,
            assignment_options=assignment_options,
            schedule=schedule,
            schedule_options=schedule_options,
            precision=precision,
            engine=engine,
            block_size=block_size,
            missing_chunks=missing_chunks,
            non_finite=non_finite,
        )
        self.probabilities_init = probabilities_init


estimator = BernoulliMixture
