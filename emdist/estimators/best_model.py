"""`BestModel`, the base class of `Sweep`: passes every method call to the best fitted model."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, MetaEstimatorMixin
from sklearn.utils import get_tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from emdist import plot
from emdist.estimators.base import Estimator
from emdist.estimators.fitted_attributes import Learned, Learning
from emdist.interfaces import Array

if TYPE_CHECKING:
    from emdist.quality.ranking import Row


def _has(name: str) -> Callable[[BestModel], bool]:
    return lambda self: hasattr(self.estimator, name)


class BestModel(Learning, MetaEstimatorMixin, BaseEstimator):  # type: ignore[misc]
    """Base class of `Sweep`: the best of the fitted models carries out every method."""

    results_ = Learned[dict[str, Any]]()
    estimators_ = Learned[list[Estimator]]()
    best_index_ = Learned[int]()
    best_params_ = Learned[dict[str, Any]]()
    best_estimator_ = Learned[Any]()
    best_score_ = Learned[float]()
    criterion_ = Learned[str]()
    n_features_in_ = Learned[int]()
    feature_names_in_ = Learned[Any]()

    # Set by the subclass's __init__, as scikit-learn requires.
    estimator: Any
    #: The fitted models side by side, in the order of `results_`.
    _rows: tuple[Row, ...]

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
        """Predict the cluster or component of each row by the best model.

        Parameters
        ----------
        X
            The data, as in `fit`.

        Returns
        -------
        labels : ndarray of shape (n_samples,), int32
            Index of the cluster or component of each row, as the estimator's own `predict`.
        """
        found: NDArray[np.int32] = self._best().predict(X)
        return found

    def label(self, X: Any, out: Any, **kwargs: Any) -> dict[str, Any]:
        """Write labels of all rows of `X` by the best model to a Zarr group.

        Parameters
        ----------
        {X as fitted}
        out : str or path-like
            A path or URL of the group.
        **kwargs
            As in the method `label` of the best model.

        Returns
        -------
        summary : dict
            What was written.
        """
        found: dict[str, Any] = self._best().label(X, out, **kwargs)
        return found

    def fit_predict(self, X: Any, y: Any = None, sample_weight: Any = None) -> NDArray[np.int32]:
        """Fit every model, and return the best model's labels of the same rows.

        Parameters
        ----------
        X, y, sample_weight
            As in `fit`.

        Returns
        -------
        labels : ndarray of shape (n_samples,), int32
            Index of the cluster or component of each row.
        """
        found: NDArray[np.int32] = self.fit(X, y, sample_weight).predict(X)
        return found

    @available_if(_has("predict_proba"))  # type: ignore[untyped-decorator]
    def predict_proba(self, X: Any) -> Array:
        """Compute the responsibilities of the best model's components for each row.

        Parameters
        ----------
        X
            The data, as in `fit`.

        Returns
        -------
        resp : ndarray of shape (n_samples, n_components)
            Responsibilities, as the estimator's own `predict_proba`.
        """
        found: Array = self._best().predict_proba(X)
        return found

    @available_if(_has("score_samples"))  # type: ignore[untyped-decorator]
    def score_samples(self, X: Any) -> Array:
        """Compute the log-likelihood of each row under the best model.

        Parameters
        ----------
        X
            The data, as in `fit`.

        Returns
        -------
        log_likelihood : ndarray of shape (n_samples,), float64
            Log-likelihoods in nats.
        """
        found: Array = self._best().score_samples(X)
        return found

    @available_if(_has("transform"))  # type: ignore[untyped-decorator]
    def transform(self, X: Any) -> Any:
        """Compute how far each row is from each centre of the best model.

        Parameters
        ----------
        X
            The data, as in `fit`.

        Returns
        -------
        ndarray or data frame of shape (n_samples, n_clusters)
            Distances or dissimilarities, in the container that `set_output` chose.
        """
        return self._best().transform(X)

    @available_if(_has("fit_transform"))  # type: ignore[untyped-decorator]
    def fit_transform(self, X: Any, y: Any = None, sample_weight: Any = None) -> Any:
        """Fit every model, and return `transform` of the same rows.

        Parameters
        ----------
        X, y, sample_weight
            As in `fit`.

        Returns
        -------
        ndarray or data frame of shape (n_samples, n_clusters)
            As in `transform`.
        """
        return self.fit(X, y, sample_weight).transform(X)

    @available_if(_has("get_feature_names_out"))  # type: ignore[untyped-decorator]
    def get_feature_names_out(self, input_features: Any = None) -> Array:
        """Return the names of the columns of `transform`: one for each centre of the best model.

        Parameters
        ----------
        input_features
            As in scikit-learn's transformers.

        Returns
        -------
        names : ndarray of str
            The names.
        """
        found: Array = self._best().get_feature_names_out(input_features)
        return found

    @available_if(_has("set_output"))  # type: ignore[untyped-decorator]
    def set_output(self, *, transform: Any = None) -> Self:
        """Choose the container in which `transform` returns its result.

        Parameters
        ----------
        transform : {'default', 'pandas', 'polars'} or None, default=None
            'default' gives arrays, the others data frames. None changes nothing.

        Returns
        -------
        self : Sweep
            The sweep itself.
        """
        for one in (self.estimator, *self.__dict__.get("estimators_", ())):
            one.set_output(transform=transform)
        return self

    @available_if(_has("bic"))  # type: ignore[untyped-decorator]
    def bic(self, X: Any, sample_weight: Any = None) -> float:
        """Compute the best model's Bayesian information criterion (BIC) on `X`.

        Parameters
        ----------
        X
            The data, as in `fit`.
        sample_weight
            Sample weights, as in `fit`. None gives every row the weight 1, also if the fit had
            weights: pass them again for the value that chose the model.

        Returns
        -------
        bic : float
            The criterion. Lower is better.
        """
        return float(self._best().bic(X, sample_weight))

    @available_if(_has("aic"))  # type: ignore[untyped-decorator]
    def aic(self, X: Any, sample_weight: Any = None) -> float:
        """Compute the best model's Akaike information criterion (AIC) on `X`.

        Parameters
        ----------
        X
            The data, as in `fit`.
        sample_weight
            Sample weights, as in `fit`. None gives every row the weight 1, also if the fit had
            weights: pass them again for the value that chose the model.

        Returns
        -------
        aic : float
            The criterion. Lower is better.
        """
        return float(self._best().aic(X, sample_weight))

    def plot(self, kind: str = "criterion", X: Any = None, **options: Any) -> Any:
        """Draw a figure of the sweep, or of its best model, by matplotlib.

        Parameters
        ----------
        kind : str, default='criterion'
            'criterion': The criterion for each number of components, with models on the variance
            floor and those that have not converged marked. ``criterion=`` chooses another one of
            `results_`. Other figures are those of the best model.
        X
            Rows, as in `fit`, for figures that need them.
        **options
            As in the method `plot` of the best model.

        Returns
        -------
        ax : matplotlib axes
            The axes.
        """
        best = self._best()
        if kind != "criterion":
            return best.plot(kind, X, **options)
        findings = plot.findings.Findings(
            best._told(),
            best._fitted,
            models=self._rows,
            criterion=self.criterion_,
            best=self._rows[self.best_index_].name,
        )
        return plot.chart.plot(findings, kind, options.pop("ax", None), **options)

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Compute the best model's score of `X`.

        Parameters
        ----------
        X, y, sample_weight
            As in `fit`.

        Returns
        -------
        score : float
            The score, as the estimator's own `score`. Higher is better.
        """
        return float(self._best().score(X, y, sample_weight))

    def to_sklearn(self) -> Any:
        """Convert the best model to a fitted estimator of scikit-learn.

        Returns
        -------
        estimator
            The fitted estimator of scikit-learn, as the estimator's own `to_sklearn` makes it.
        """
        return self._best().to_sklearn()
