"""GaussianMixture with scikit-learn's parameters and attributes, for data of any size."""

from __future__ import annotations

from typing import Any

import numpy as np

from emdist.config import FitSection, ModelSection
from emdist.errors import ConfigError, StartError
from emdist.estimators.base import as_floats
from emdist.estimators.mixture import MixtureEstimator
from emdist.families.gaussian import factors
from emdist.fit.fitted import Fitted
from emdist.fit.start import Given
from emdist.interfaces import Floats

_FAMILY = {"full": "full", "tied": "tied", "diag": "diagonal", "spherical": "spherical"}
_SCALE = {
    "full": "covariances",
    "tied": "covariance",
    "diag": "variances",
    "spherical": "variances",
}


class GaussianMixture(MixtureEstimator):
    """Mixture of Gaussians by EM, exact and out of core.

    Parameters
    ----------
    n_components
        Components.
    covariance_type
        "full", "tied", "diag" or "spherical".
    tol
        Of the log-likelihood per row: nats.
    reg_covar
        Added to the diagonal of covariances.
    max_iter, n_init
        Iterations of one start at most, and starts.
    init_params
        "kmeans" (converged on a sample), "k-means++", "k-means||", "random_from_data" or
        "random", which are the same.
    weights_init, means_init, precisions_init
        A start in scikit-learn's shapes; what is not given is estimated from the rows nearest
        to the means.
    random_state
        Seed. The same seed gives the same bits on any number of threads and workers.
    warm_start
        Start from the previous fit's parameters.
    verbose, verbose_interval
        Print a line per iteration; the interval is accepted for scikit-learn's sake.
    on_collapse
        What happens to a component that collapses: "regularise", "reseed", "drop" or "raise".
    schedule, schedule_options
        How passes become iterations: "batch", "incremental", "squarem", "sparse" or "stepwise",
        and a dict of its options; see docs/schedules.md.
    precision, engine, block_size, missing_chunks, non_finite
        As in `KMeans`.

    Attributes
    ----------
    weights_, means_
        (k,) and (k, d).
    covariances_, precisions_, precisions_cholesky_
        In scikit-learn's shapes.
    converged_, n_iter_, lower_bound_, lower_bounds_
        Of the best start; the bound is the log-likelihood per unit of weight: nats.
    n_features_in_
        Features seen by `fit`.
    history_
        One `emdist.interfaces.Record` per iteration of the best start.

    Examples
    --------
    >>> from emdist import GaussianMixture
    >>> X = [[0.0], [0.1], [0.2], [9.0], [9.1], [9.2]]
    >>> sorted(GaussianMixture(2, random_state=0).fit(X).means_.ravel().round(1).tolist())
    [0.1, 9.1]
    """

    def __init__(
        self,
        n_components: int = 1,
        *,
        covariance_type: str = "full",
        tol: float = 1e-3,
        reg_covar: float = 1e-6,
        max_iter: int = 100,
        n_init: int = 1,
        init_params: str = "kmeans",
        weights_init: Any = None,
        means_init: Any = None,
        precisions_init: Any = None,
        random_state: Any = None,
        warm_start: bool = False,
        verbose: int = 0,
        verbose_interval: int = 10,
        on_collapse: str = "regularise",
        schedule: str = "batch",
        schedule_options: Any = None,
        precision: str = "auto",
        engine: Any = None,
        block_size: str | None = None,
        missing_chunks: str = "raise",
        non_finite: str = "raise",
    ) -> None:
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.tol = tol
        self.reg_covar = reg_covar
        self.max_iter = max_iter
        self.n_init = n_init
        self.init_params = init_params
        self.weights_init = weights_init
        self.means_init = means_init
        self.precisions_init = precisions_init
        self.random_state = random_state
        self.warm_start = warm_start
        self.verbose = verbose
        self.verbose_interval = verbose_interval
        self.on_collapse = on_collapse
        self.schedule = schedule
        self.schedule_options = schedule_options
        self.precision = precision
        self.engine = engine
        self.block_size = block_size
        self.missing_chunks = missing_chunks
        self.non_finite = non_finite

    def _sections(self, n_features: int) -> tuple[ModelSection, FitSection, Given]:
        kind = self.covariance_type
        if not isinstance(kind, str) or kind not in _FAMILY:
            raise ConfigError(f"covariance_type={kind!r}; wanted one of {', '.join(_FAMILY)}.")
        model = self._model_section(_FAMILY[kind], {"reg_covar": self.reg_covar})
        return model, self._fit_section(), self._given(model, n_features)

    def _given(self, model: ModelSection, d: int) -> Given:
        if self._is_warm(model, d):
            return Given(self.means_, self.weights_, {self._scale: self.covariances_})
        k = model.n_components
        shapes = {"full": (k, d, d), "tied": (d, d), "diag": (k, d), "spherical": (k,)}
        means, weights, precisions = (
            None if value is None else as_floats(value, name, shape)
            for value, name, shape in (
                (self.means_init, "means_init", (k, d)),
                (self.weights_init, "weights_init", (k,)),
                (self.precisions_init, "precisions_init", shapes[self.covariance_type]),
            )
        )
        scales = {} if precisions is None else {self._scale: self._inverted(precisions)}
        return Given(means, weights, scales)

    @property
    def _scale(self) -> str:
        return _SCALE[self.covariance_type]

    def _inverted(self, precisions: Floats) -> Floats:
        if self.covariance_type in ("diag", "spherical"):
            if not (precisions > 0).all():
                raise StartError("precisions_init holds values <= 0; wanted positive precisions.")
            return 1.0 / precisions
        if not np.allclose(precisions, np.swapaxes(precisions, -1, -2)):
            raise StartError("precisions_init is not symmetric; wanted precision matrices.")
        try:
            np.linalg.cholesky(precisions)
            return np.asarray(np.linalg.inv(precisions), np.float64)
        except np.linalg.LinAlgError as error:
            raise StartError(f"precisions_init is not positive definite: {error}.") from None

    def _publish(self, fitted: Fitted, section: ModelSection) -> None:
        components = fitted.params.components
        self._publish_mixture(fitted)
        self.means_ = components.means + fitted.spread.origin
        self.covariances_ = getattr(components, self._scale)
        self.precisions_cholesky_ = self._cholesky_of_precisions()
        self.precisions_ = self._precisions()

    def _cholesky_of_precisions(self) -> Floats:
        if self.covariance_type in ("diag", "spherical"):
            return np.asarray(1.0 / np.sqrt(self.covariances_), np.float64)
        if self.covariance_type == "tied":
            return np.asarray(factors(self.covariances_[None])[0][0], np.float64)
        return factors(self.covariances_)[0]

    def _precisions(self) -> Floats:
        root = self.precisions_cholesky_
        if self.covariance_type in ("diag", "spherical"):
            return np.asarray(root * root, np.float64)
        return np.asarray(root @ np.swapaxes(root, -1, -2), np.float64)
