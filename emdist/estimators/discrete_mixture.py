"""`DiscreteMixture`, the base class of the mixtures of binary data, counts and categories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from emdist import composition, fit
from emdist.errors import StartError
from emdist.estimators.from_parameters import (
    Parameters,
    array,
    check_shares,
    names_for,
    weights_of,
    with_number,
)
from emdist.estimators.mixture import Criteria
from emdist.estimators.parameters import parameters
from emdist.estimators.settings import as_floats
from emdist.interfaces import Floats

if TYPE_CHECKING:
    from emdist.fit.fitted import Fitted
    from emdist.fit.start import Given
    from emdist.settings.config import FitSection, ModelSection


@parameters()
class DiscreteMixture(Criteria):
    """Base class of the mixtures of binary data, counts and categories.

    A subclass names its family, the parameters that are options of the family, and the parameter
    that gives starting values.
    """

    family: ClassVar[str]
    #: Option of the family -> the parameter that sets it.
    _options: ClassVar[Mapping[str, str]] = {"smoothing": "smoothing"}
    _option_names: ClassVar[Mapping[str, str]] = _options
    #: The parameter that gives starting values, their largest allowed value, whether they sum to 1
    #: along the last axis, and the family's array that they set.
    _given_name: ClassVar[str] = "probabilities_init"
    _highest: ClassVar[float] = 1.0
    _sums_to_one: ClassVar[bool] = False
    _array: ClassVar[str] = "means"
    #: The fitted attribute that shows this array.
    _shown: ClassVar[str] = "probabilities_"

    _: KW_ONLY
    smoothing: float = 0.0

    def _is_positive(self) -> bool:
        return True

    @classmethod
    def _fits(cls, section: ModelSection) -> bool:
        return section.name == cls.family

    @classmethod
    def _from_section(cls, section: ModelSection) -> Self:
        known = {cls._options[k]: v for k, v in section.options.items() if k in cls._options}
        return cls(
            section.n_components,
            precision=section.precision,
            uniform_weights=section.weights_name == "uniform",
            **known,
        )

    def _sections(self, n_features: int) -> tuple[ModelSection, FitSection, Given]:
        options = {option: getattr(self, name) for option, name in self._options.items()}
        model = self._model_section(*self._named(options), self.uniform_weights)
        composition.model.make_family(
            model
        )  # Checks the options before starting values, whose shape they decide.
        return model, self._fit_section(), self._start(model, n_features)

    def _named(self, options: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Return the name of the family and its options."""
        return self.family, options

    def _start(self, model: ModelSection, d: int) -> Given:
        if self._is_warm(model, d):
            values = getattr(self._fitted.params.components, self._array)
            return self._as_start(values, self.weights_)
        k = model.n_components
        weights = self.weights_init
        weights = None if weights is None else as_floats(weights, "weights_init", (k,))
        start = getattr(self, self._given_name)
        if start is None:
            return fit.start.Given(None, weights)
        found = as_floats(start, self._given_name, self._shape(k, d))
        self._check_start(found, self._given_name)
        return self._as_start(self._scaled(found), weights)

    def _as_start(self, values: Floats, weights: Floats | None = None) -> Given:
        if self._array == "means":
            return fit.start.Given(values, weights)
        return fit.start.Given(None, weights, {self._array: values})

    def _check_start(self, start: Floats, name: str) -> None:
        if (start < 0).any() or (start > self._highest).any():
            wanted = "numbers >= 0" if np.isinf(self._highest) else "probabilities in [0, 1]"
            raise StartError(
                f"{name} ranges from {start.min():g} to {start.max():g}; expected {wanted}."
            )
        sums = start.sum(axis=-1)
        if self._sums_to_one and not np.allclose(sums, 1.0, atol=1e-6):
            worst = float(sums.flat[int(np.argmax(np.abs(sums - 1)))])
            raise StartError(
                f"{name} sums to {worst:g} along its last axis; expected 1. Divide it by its sums."
            )

    def _shape(self, k: int, d: int) -> tuple[int, ...]:
        """Return the shape of starting values."""
        return (k, d)

    def _scaled(self, start: Floats) -> Floats:
        """Convert starting values to the family's units."""
        return start

    def _attributes(self, fitted: Fitted, section: ModelSection) -> dict[str, Any]:
        values = getattr(fitted.params.components, self._array)
        own = {self._shown: self._told_as(values, section)}
        return {**super()._attributes(fitted, section), **own}

    def _told_as(self, values: Floats, section: ModelSection) -> Floats:
        """Convert the family's array to the form of the fitted attribute."""
        return values

    @classmethod
    def from_parameters(
        cls,
        *,
        weights: Any,
        probabilities: Any,
        feature_names: Sequence[str] | None = None,
        **params: Any,
    ) -> Self:
        """Make a fitted estimator from known parameters, without data.

        It can predict, score, draw, save and label as if it had been fitted.

        Parameters
        ----------
        weights : array-like of shape (n_components,)
            Mixture weights >= 0 that sum to 1.
        probabilities : array-like
            Probabilities, in the shape of `probabilities_`. The columns of a data frame name the
            features.
        feature_names : sequence of str or None, default=None
            Names of the features, if they have any.
        **params
            Parameters of the constructor. `n_components` follows from the weights.

        Returns
        -------
        estimator
            A fitted estimator with these parameters.

        Raises
        ------
        ConfigError
            If such a mixture cannot have these parameters.
        """
        return cls._of_array(weights, probabilities, "probabilities", feature_names, params)

    @classmethod
    def _of_array(
        cls,
        weights: Any,
        given: Any,
        name: str,
        feature_names: Sequence[str] | None,
        params: Mapping[str, Any],
    ) -> Self:
        k = len(array(weights, "weights", ("n_components",)))
        params = with_number(params, "n_components", k)
        own, bare = weights_of(weights, k, params), cls(**params)
        shape = bare._shape(k, 1)
        values = array(given, name, (k, "n_features", *shape[2:]))
        bare._check_start(values, name)
        scaled = bare._scaled(values)
        if cls._sums_to_one:
            scaled = check_shares(scaled, name)
        d = scaled.shape[1]
        return cls._made(
            Parameters(
                np.zeros((k, d)), {cls._array: scaled}, own, names_for(feature_names, given, d)
            ),
            **params,
        )
