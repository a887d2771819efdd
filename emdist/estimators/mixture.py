"""What the mixtures share: starts, responsibilities, log-likelihoods, criteria, draws."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import DensityMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from emdist.build import make_family, make_model, make_schedule
from emdist.config import FitSection, ModelSection
from emdist.errors import ConfigError, StartError
from emdist.estimators.inputs import make_engine
from emdist.estimators.streams import Streaming
from emdist.fit.fitted import Fitted
from emdist.fit.online import Fold
from emdist.fit.schedules.stepwise import Averaged, Stepwise
from emdist.fit.state import Status
from emdist.interfaces import Array, Floats

#: scikit-learn's names of starts, and ours.
_INIT = {"random_from_data": "random"}


class MixtureEstimator(DensityMixin, Streaming):  # type: ignore[misc]
    """Base of the mixtures. It has state as every scikit-learn estimator has."""

    # Set by every subclass's __init__, as scikit-learn wants them.
    n_components: Any
    tol: Any
    max_iter: Any
    n_init: Any
    init_params: Any
    warm_start: Any
    on_collapse: Any

    def _model_section(
        self, family: str, options: Mapping[str, Any], uniform: bool = False
    ) -> ModelSection:
        return self._checked(
            ModelSection,
            {},
            name=family,
            n_components=self.n_components,
            precision=self.precision,
            uniform_weights=uniform,
            options=dict(options),
        )

    def _fit_section(self) -> FitSection:
        init = self.init_params
        return self._checked(
            FitSection,
            {"seed": "random_state", "init": "init_params"},
            seed=self._seed(),
            init=_INIT.get(init, init) if isinstance(init, str) else init,
            n_init=self.n_init,
            max_iter=self.max_iter,
            tol=self.tol,
            on_collapse=self.on_collapse,
            **self._schedule(),
        )

    def _fold(self, model: ModelSection, section: FitSection) -> Callable[[float], Fold]:
        schedule = make_schedule(section, model)
        alpha = schedule.alpha if isinstance(schedule, Stepwise) else Stepwise().alpha
        return partial(Averaged, alpha=alpha)

    def _is_warm(self, model: ModelSection, d: int) -> bool:
        """Whether to start from the previous fit; StartError if that was of another shape."""
        if not (self.warm_start and hasattr(self, "_fitted")):
            return False
        before = (self._section.name, self._fitted.n_components, self._fitted.n_features)
        now = (model.name, model.n_components, d)
        if before != now:
            raise StartError(
                f"warm_start: the previous fit was {before[0]} with {before[1]} components and "
                f"{before[2]} features, this one is {now[0]} with {now[1]} and {now[2]}. Set "
                "warm_start=False to start anew."
            )
        return True

    def _publish_mixture(self, fitted: Fitted) -> None:
        self.weights_ = fitted.params.weights
        self.converged_ = fitted.status not in (Status.MAX_ITER, Status.RUNNING)
        self.lower_bound_ = fitted.objective
        self.lower_bounds_ = [r.objective for r in fitted.history if not r.rejected]

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
        k, d = len(self.weights_), self._fitted.n_features
        weights = 0 if self._section.uniform_weights else k - 1
        return int(make_family(self._section).free_parameters(k, d) + weights)

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
