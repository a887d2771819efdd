"""Mixtures of binomials, Poissons, categoricals and multinomials, for data of any size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from emdist.config import ModelSection
from emdist.estimators.discrete_mixture import DiscreteMixture
from emdist.interfaces import Floats


class BinomialMixture(DiscreteMixture):
    """Mixture of independent binomials, successes out of `n_trials`, by EM, exact and out of core.

    Parameters
    ----------
    n_components
        Components.
    n_trials
        Trials behind each number, or a list of one for each feature; the data lies in
        0..n_trials.
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
    warm_start, on_collapse
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
    >>> from emdist import BinomialMixture
    >>> heads = [[5], [9], [8], [4], [7]]
    >>> coins = BinomialMixture(2, n_trials=10, uniform_weights=True, weights_init=[0.5, 0.5],
    ...                         probabilities_init=[[0.6], [0.5]], tol=1e-6).fit(heads)
    >>> coins.probabilities_.ravel().round(2).tolist()
    [0.8, 0.52]
    """

    family = "binomial"
    _options: ClassVar[Mapping[str, str]] = {"smoothing": "smoothing", "trials": "n_trials"}

    def __init__(
        self,
        n_components: int = 1,
        *,
        n_trials: int | Sequence[int] = 1,
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
            precision=precision,
            engine=engine,
            block_size=block_size,
            missing_chunks=missing_chunks,
            non_finite=non_finite,
        )
        self.n_trials = n_trials
        self.probabilities_init = probabilities_init

    def _scaled(self, start: Floats) -> Floats:
        return np.asarray(start * np.asarray(self.n_trials), np.float64)

    def _publish_array(self, values: Floats, section: ModelSection) -> None:
        self.probabilities_ = values / np.asarray(section.options["trials"])


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
    warm_start, on_collapse
        As in `GaussianMixture`.
    verbose, precision, engine, block_size, missing_chunks, non_finite
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

    def __init__(
        self,
        n_components: int = 1,
        *,
        tol: float = 1e-3,
        max_iter: int = 100,
        n_init: int = 1,
        init_params: str = "kmeans",
        weights_init: Any = None,
        rates_init: Any = None,
        uniform_weights: bool = False,
        smoothing: float = 0.0,
        random_state: Any = None,
        warm_start: bool = False,
        verbose: int = 0,
        on_collapse: str = "regularise",
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
            precision=precision,
            engine=engine,
            block_size=block_size,
            missing_chunks=missing_chunks,
            non_finite=non_finite,
        )
        self.rates_init = rates_init

    def _publish_array(self, values: Floats, section: ModelSection) -> None:
        self.rates_ = values


class MultinomialMixture(DiscreteMixture):
    """Mixture of multinomials, such as words per document, by EM, exact and out of core.

    The likelihood is that of a row given its total; `sample` draws as many counts as a
    component's rows have on average.

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
    warm_start, on_collapse
        As in `GaussianMixture`.
    verbose, precision, engine, block_size, missing_chunks, non_finite
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
            precision=precision,
            engine=engine,
            block_size=block_size,
            missing_chunks=missing_chunks,
            non_finite=non_finite,
        )
        self.probabilities_init = probabilities_init

    def _publish_array(self, values: Floats, section: ModelSection) -> None:
        self.probabilities_ = values / values.sum(axis=1, keepdims=True)


class CategoricalMixture(DiscreteMixture):
    """Mixture of independent categoricals: latent class analysis, by EM, exact and out of core.

    Parameters
    ----------
    n_components
        Components.
    n_categories
        c, of every feature; the data holds codes in 0..c-1.
    tol
        Of the bound per row: nats.
    max_iter, n_init
        Iterations of one start at most, and starts.
    init_params
        "random" (the default: codes have no distances), or as in `GaussianMixture`.
    weights_init, probabilities_init
        A start: (k,) and (k, d, c), summing to 1 along the last axis; what is not given is
        estimated from the rows nearest.
    uniform_weights
        Keep all weights at 1 / n_components.
    smoothing
        Pseudo-count of every category.
    random_state
        Seed. The same seed gives the same bits on any number of threads and workers.
    warm_start, on_collapse
        As in `GaussianMixture`.
    verbose, precision, engine, block_size, missing_chunks, non_finite
        As in `KMeans`.

    Attributes
    ----------
    weights_, probabilities_
        (k,) and (k, d, c), summing to 1 along the last axis.
    converged_, n_iter_, lower_bound_, lower_bounds_
        Of the best start; the bound is the log-likelihood, and log-prior if `smoothing` is not 0,
        per unit of weight: nats.
    n_features_in_, history_
        As in `GaussianMixture`.
    """

    family = "categorical"
    _options: ClassVar[Mapping[str, str]] = {"smoothing": "smoothing", "categories": "n_categories"}
    _array = "probabilities"
    _sums_to_one = True

    def __init__(
        self,
        n_components: int = 1,
        *,
        n_categories: int = 2,
        tol: float = 1e-3,
        max_iter: int = 100,
        n_init: int = 1,
        init_params: str = "random",
        weights_init: Any = None,
        probabilities_init: Any = None,
        uniform_weights: bool = False,
        smoothing: float = 0.0,
        random_state: Any = None,
        warm_start: bool = False,
        verbose: int = 0,
        on_collapse: str = "regularise",
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
            precision=precision,
            engine=engine,
            block_size=block_size,
            missing_chunks=missing_chunks,
            non_finite=non_finite,
        )
        self.n_categories = n_categories
        self.probabilities_init = probabilities_init

    def _shape(self, k: int, d: int) -> tuple[int, ...]:
        return (k, d, int(self.n_categories))
