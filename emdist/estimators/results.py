"""`Results`, a mixin: the fitted model of an estimator, its attributes, and conversions of it."""

from __future__ import annotations

import inspect
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted

from emdist import fit
from emdist.estimators.fitted_attributes import Learned, Learning
from emdist.estimators.preparing import fixed
from emdist.estimators.to_sklearn import without_equivalent

if TYPE_CHECKING:
    from emdist.estimators.from_parameters import Parameters
    from emdist.fit.fitted import Fitted
    from emdist.settings.config import ModelSection
    from emdist.store.places.location import Location

#: Fitted attributes that a model made by `from_parameters` does not have.
_OF_A_FIT = ("inertia_", "labels_", "lower_bound_", "lower_bounds_", "converged_")


class Results(Learning):
    """Mixin that holds the fitted model of an estimator and the attributes made from it."""

    n_iter_ = Learned[int]()
    converged_ = Learned[bool]()
    history_ = Learned["tuple[fit.state.Record, ...]"]()
    n_features_in_ = Learned[int]()
    feature_names_in_ = Learned[Any]()

    #: The class method that makes a fitted estimator from given parameters.
    from_parameters: Any
    #: Returns the sections that the constructor's parameters describe, given the feature count.
    _sections: Any
    prepare: Any
    _fitted: Fitted
    #: The stream that `partial_fit` continues, or None; `fit` ends it.
    _stream: Any = None
    _section: ModelSection
    #: Where the labels of this model are, if it wrote them or was loaded from a run.
    _labels_place: Location | None = None
    #: The run that this model was loaded from, or None.
    _run: Location | None = None

    def _attributes(self, fitted: Fitted, section: ModelSection) -> dict[str, Any]:
        """Return the fitted attributes that a subclass adds, by name."""
        raise NotImplementedError

    def _adopt(self, fitted: Fitted, section: ModelSection) -> None:
        """Set the fitted attributes from a fitted or given model."""
        stopped = not fitted.status.is_open
        found = {"converged_": stopped, **self._attributes(fitted, section)}
        if fitted.status is fit.state.Status.GIVEN:
            found = {name: value for name, value in found.items() if name not in _OF_A_FIT}
        if fitted.feature_names is not None:
            found["feature_names_in_"] = np.array(fitted.feature_names, object)
        self._forget()
        self._fitted = fitted
        self._labels_place = None
        self._run = None
        self._section = section
        self._learn(
            n_iter_=fitted.iterations,
            history_=fitted.history,
            n_features_in_=fitted.n_features_in,
            **found,
        )

    def _unlearned(self, name: str) -> Any:
        given = "_fitted" in self.__dict__ and self._fitted.status is fit.state.Status.GIVEN
        if given and name in _OF_A_FIT:
            raise AttributeError(
                f"{type(self).__name__} was made from given parameters and has no {name}, which "
                "only fit computes."
            )
        return super()._unlearned(name)

    def _remedy(self) -> str:
        maker: Any = self.from_parameters  # Every estimator has one, with its own arguments.
        needed = [
            f"{name}=..."
            for name, parameter in inspect.signature(maker).parameters.items()
            if parameter.kind is parameter.KEYWORD_ONLY and parameter.default is parameter.empty
        ]
        return (
            "To get a model with other parameters, use "
            f"{type(self).__name__}.from_parameters({', '.join(needed)})."
        )

    @classmethod
    def _made(cls, parameters: Parameters, **params: Any) -> Self:
        """Make a fitted estimator from `parameters` and the constructor's arguments `params`."""
        self = cls(**params)
        d = parameters.locations.shape[1]
        section: ModelSection = self._sections(d)[0]
        made = fixed(self.prepare, d, "from_parameters")
        self._adopt(replace(parameters.fitted(section), preparation=made), section)
        return self

    def to_sklearn(self) -> Any:
        """Convert the model to a fitted estimator of scikit-learn.

        Its `predict`, `score` and `predict_proba` agree with those of emdist to 1e-10, and it can
        be fitted again.

        Returns
        -------
        estimator
            The fitted estimator of scikit-learn; for a model that prepares rows, a fitted Pipeline
            of transformers and the estimator.

        Raises
        ------
        ConfigError
            If scikit-learn has no such model, or no such step.
        """
        check_is_fitted(self)
        raise without_equivalent(self, "it has no mixture or clustering of this kind")
