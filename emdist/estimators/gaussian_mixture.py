"""GaussianMixture with scikit-learn's parameters and attributes, for data of any size."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import DensityMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from emdist.build import make_family, make_model
from emdist.config import FitSection, ModelSection
from emdist.errors import ConfigError, StartError
from emdist.estimators.base import Estimator, as_floats
from emdist.estimators.inputs import make_engine
from emdist.families.gaussian import factors
from emdist.fit.fitted import Fitted
from emdist.fit.start import Given
from emdist.interfaces import Array, Floats, Status

_FAMILY = {"full": "full", "tied": "tied", "diag": "diagonal", "spherical": "spherical"}
_SCALE = {
    "full": "covariances",
    "tied": "covariance",
    "diag": "variances",
    "spherical": "variances",
}
#: scikit-learn's names of starts, and ours.
_INIT = {"random_from_data": "random"}


class GaussianMixture(DensityMixin, Estimator):  # type: ignore[misc]
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
        self.precision = precision
        self.engine = engine
        self.block_size = block_size
        self.missing_chunks = missing_chunks
        self.non_finite = non_finite

    def _sections(self, n_features: int) -> tuple[ModelSection, FitSection, Given]:
        kind = self.covariance_type
        if not isinstance(kind, str) or kind not in _FAMILY:
            raise ConfigError(f"covariance_type={kind!r}; wanted one of {', '.join(_FAMILY)}.")
        names = {"seed": "random_state", "init": "init_params"}
        model = self._checked(
            ModelSection,
            names,
            name=_FAMILY[self.covariance_type],
            n_components=self.n_components,
            precision=self.precision,
            options={"reg_covar": self.reg_covar},
        )
        init = self.init_params
        fit = self._checked(
            FitSection,
            names,
            seed=self._seed(),
            init=_INIT.get(init, init) if isinstance(init, str) else init,
            n_init=self.n_init,
            max_iter=self.max_iter,
            tol=self.tol,
            on_collapse=self.on_collapse,
        )
        return model, fit, self._given(model, n_features)

    def _given(self, model: ModelSection, d: int) -> Given:
        if self.warm_start and hasattr(self, "_fitted"):
            self._check_warm(model, d)
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

    def _check_warm(self, model: ModelSection, d: int) -> None:
        before = (self._section.name, self._fitted.n_components, self._fitted.n_features)
        now = (model.name, model.n_components, d)
        if before != now:
            raise StartError(
                f"warm_start: the previous fit was {before[0]} with {before[1]} components and "
                f"{before[2]} features, this one is {now[0]} with {now[1]} and {now[2]}. Set "
                "warm_start=False to start anew."
            )

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
        self.weights_ = fitted.params.weights
        self.means_ = components.means + fitted.spread.origin
        self.covariances_ = getattr(components, self._scale)
        self.precisions_cholesky_ = self._cholesky_of_precisions()
        self.precisions_ = self._precisions()
        self.converged_ = fitted.status is not Status.MAX_ITER
        self.lower_bound_ = fitted.objective
        self.lower_bounds_ = [r.objective for r in fitted.history]

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

    def predict_proba(self, X: Any) -> Array:
        """Responsibilities: (n, k), in memory."""
        resp = self._collect(X, resp=True).resp
        assert resp is not None
        return resp

    def score_samples(self, X: Any) -> Floats:
        """Log-likelihood of each row: (n,) nats."""
        return self._collect(X).score

    def _total(self, X: Any, sample_weight: Any) -> tuple[float, float]:
        check_is_fitted(self)
        engine = make_engine(self.engine)
        source = self._known(X, sample_weight, engine)
        sums = self._fitted.label(make_model(self._section), source, engine)
        return float(sums["score"]), float(sums["weight"])

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Log-likelihood per unit of weight: nats. Never holds a value per row."""
        total, weight = self._total(X, sample_weight)
        return total / weight

    def fit_predict(self, X: Any, y: Any = None, sample_weight: Any = None) -> NDArray[np.int32]:
        """`fit`, then the labels of the same rows."""
        return self.fit(X, y, sample_weight).predict(X)

    def _free(self) -> int:
        k, d = self.means_.shape
        return int(make_family(self._section).free_parameters(k, d) + k - 1)

    def bic(self, X: Any) -> float:
        """Bayesian information criterion on `X`: the lower the better."""
        total, weight = self._total(X, None)
        return -2 * total + self._free() * float(np.log(weight))

    def aic(self, X: Any) -> float:
        """Akaike information criterion on `X`: the lower the better."""
        total, _ = self._total(X, None)
        return -2 * total + 2 * self._free()

    def sample(self, n_samples: int = 1) -> tuple[Floats, NDArray[np.int64]]:
        """`n_samples` draws (n, d) and their components (n,), ordered by component."""
        check_is_fitted(self)
        if n_samples < 1:
            raise ConfigError(f"n_samples={n_samples}; wanted at least 1.")
        seed = check_random_state(self.random_state).randint(2**31 - 1)
        rng = np.random.default_rng(seed)
        counts = rng.multinomial(n_samples, self.weights_ / self.weights_.sum())
        family = make_family(self._section)
        components = self._fitted.params.components
        drawn = [family.sample(components, k, int(n), rng) for k, n in enumerate(counts)]
        rows = np.concatenate(drawn) + self._fitted.spread.origin
        return rows, np.repeat(np.arange(len(counts)), counts)
