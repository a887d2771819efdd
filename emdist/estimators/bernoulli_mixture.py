"""BernoulliMixture: prototypes of bits, and completion of rows whose bits are partly missing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from emdist.estimators.base import Rows
from emdist.estimators.discrete_mixture import DiscreteMixture
from emdist.estimators.inputs import make_engine
from emdist.families.bernoulli import Bernoulli
from emdist.fit.domain import check_rows
from emdist.interfaces import Array, Floats, Source
from emdist.kernels.assign import softmax
from emdist.kernels.tiles import tile_rows, tiles


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
    warm_start, on_collapse, schedule, schedule_options
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
            schedule=schedule,
            schedule_options=schedule_options,
            precision=precision,
            engine=engine,
            block_size=block_size,
            missing_chunks=missing_chunks,
            non_finite=non_finite,
        )
        self.probabilities_init = probabilities_init

    def complete(self, X: Any) -> Floats:
        """`X` with every NaN replaced by ``p(x_missing = 1 | x_observed)``: (n, d) float64.

        Given the component bits are independent, so what is observed weighs the components, and
        a missing bit has their weighted mean probability:
        ``sum_k p(k | x_observed) theta_kj``. Exact, block by block; the result is in memory. Every
        row is completed, whatever `non_finite` says.

        Raises
        ------
        DomainError
            If an observed value is no bit.
        """
        check_is_fitted(self)
        engine = make_engine(self.engine)
        source = self._known(X, None, engine)
        task = _Complete(source, self.probabilities_, self.weights_)
        found: Rows = engine.map_reduce(task, range(len(source)))
        return found.x


@dataclass(frozen=True)
class _Complete:
    """One block with its missing bits filled in."""

    source: Source
    theta: Floats
    weights: Floats

    def __call__(self, i: int) -> Rows:
        x = self.source.read(i).x
        out = np.empty(x.shape)
        for a, b in tiles(len(x), tile_rows(3 * x.shape[1] + len(self.theta), 8)):
            out[a:b] = self._completed(x[a:b])
        return Rows(out)

    def _completed(self, x: Array) -> Floats:
        known = ~np.isnan(x)
        ones = np.where(known, x, 0.0)
        check_rows(Bernoulli().domain, ones)
        theta = Bernoulli().bounded(self.theta)
        score = np.log(theta) @ ones.T + np.log1p(-theta) @ (known - ones).T
        with np.errstate(divide="ignore"):
            softmax(score, np.log(self.weights))
        filled: Floats = np.where(known, x, score.T @ theta)
        return filled
