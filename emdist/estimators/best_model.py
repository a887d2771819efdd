"""What a sweep does by its best model: predict, transform, score."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, MetaEstimatorMixin
from sklearn.utils import get_tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from emdist.estimators.base import Estimator
from emdist.estimators.fitted_attributes import Learned, Learning
from emdist.interfaces import Array


def _has(name: str) -> Callable[[BestModel], bool]:
    return lambda self: hasattr(self.estimator, name)


class BestModel(Learning, MetaEstimatorMixin, BaseEstimator):  # type: ignore[misc]
    """Base of `Sweep`: every method of the estimator, done by the best model of those fitted."""

    results_ = Learned[dict[str, Any]]()
    estimators_ = Learned[list[Estimator]]()
    best_index_ = Learned[int]()
    best_params_ = Learned[dict[str, Any]]()
    best_estimator_ = Learned[Any]()
    best_score_ = Learned[float]()
    criterion_ = Learned[str]()
    n_features_in_ = Learned[int]()
    feature_names_in_ = Learned[Any]()

    # Set by the subclass's __init__, as scikit-learn wants it.
    estimator: Any

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Fit every model to the rows of `X`."""
        raise NotImplementedError

    def __sklearn_is_fitted__(self) -> bool:
        return "best_estimator_" in self.__dict__

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        if isinstance(self.estimator, Estimator):
            own = get_tags(self.estimator)
            tags.estimator_type = own.estimator_type
            tags.input_tags = deepcopy(own.input_tags)
            tags.transformer_tags = deepcopy(own.transformer_tags)
        return tags

    def _remedy(self) -> str:
        return "To use another of the models, take it from estimators_."

    def _best(self) -> Any:
        check_is_fitted(self)
        return self.best_estimator_

    def predict(self, X: Any) -> NDArray[np.int32]:
        """The best model's labels: (n,) int32."""
        found: NDArray[np.int32] = self._best().predict(X)
        return found

    def fit_predict(self, X: Any, y: Any = None, sample_weight: Any = None) -> NDArray[np.int32]:
        """`fit`, then the best model's labels of the same rows."""
        found: NDArray[np.int32] = self.fit(X, y, sample_weight).predict(X)
        return found

    @available_if(_has("predict_proba"))  # type: ignore[untyped-decorator]
    def predict_proba(self, X: Any) -> Array:
        """The best model's responsibilities: (n, k)."""
        found: Array = self._best().predict_proba(X)
        return found

    @available_if(_has("score_samples"))  # type: ignore[untyped-decorator]
    def score_samples(self, X: Any) -> Array:
        """The best model's log-likelihood of each row: (n,) nats."""
        found: Array = self._best().score_samples(X)
        return found

    @available_if(_has("transform"))  # type: ignore[untyped-decorator]
    def transform(self, X: Any) -> Any:
        """Of `X` to the best model's centres: (n, k), or as `set_output` says."""
        return self._best().transform(X)

    @available_if(_has("fit_transform"))  # type: ignore[untyped-decorator]
    def fit_transform(self, X: Any, y: Any = None, sample_weight: Any = None) -> Any:
        """`fit`, then `transform` of the same rows."""
        return self.fit(X, y, sample_weight).transform(X)

    @available_if(_has("get_feature_names_out"))  # type: ignore[untyped-decorator]
    def get_feature_names_out(self, input_features: Any = None) -> Array:
        """Names of the columns that `transform` gives: one for each centre of the best model."""
        found: Array = self._best().get_feature_names_out(input_features)
        return found

    @available_if(_has("set_output"))  # type: ignore[untyped-decorator]
    def set_output(self, *, transform: Any = None) -> Self:
        """Whether `transform` gives arrays ("default") or data frames ("pandas", "polars")."""
        for one in (self.estimator, *self.__dict__.get("estimators_", ())):
            one.set_output(transform=transform)
        return self

    @available_if(_has("bic"))  # type: ignore[untyped-decorator]
    def bic(self, X: Any) -> float:
        """The best model's Bayesian information criterion on `X`."""
        return float(self._best().bic(X))

    @available_if(_has("aic"))  # type: ignore[untyped-decorator]
    def aic(self, X: Any) -> float:
        """The best model's Akaike information criterion on `X`."""
        return float(self._best().aic(X))

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """The best model's score of `X`: the higher the better."""
        return float(self._best().score(X, y, sample_weight))

    def to_sklearn(self) -> Any:
        """The best model as a fitted estimator of scikit-learn; see the estimator's own."""
        return self._best().to_sklearn()
