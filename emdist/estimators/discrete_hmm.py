"""`DiscreteHMM`, base class of hidden Markov models that emit bits, counts or categories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from emdist.errors import StartError
from emdist.estimators.from_parameters import array, check_shares
from emdist.estimators.hidden_markov import HiddenMarkovEstimator
from emdist.estimators.parameters import parameters
from emdist.estimators.settings import as_floats
from emdist.interfaces import Floats

if TYPE_CHECKING:
    from emdist.fit.fitted import Fitted
    from emdist.settings.config import ModelSection


@parameters()
class DiscreteHMM(HiddenMarkovEstimator):
    """Base class of hidden Markov models that emit bits, counts or categories.

    A subclass names its family, the fitted attribute that shows the family's array, and the
    parameter that gives starting values.
    """

    family: ClassVar[str]
    #: Option of the family -> the parameter that sets it.
    _options: ClassVar[Mapping[str, str]] = {"smoothing": "smoothing"}
    _option_names: ClassVar[Mapping[str, str]] = _options
    #: The parameter that gives starting values, their largest value, the family's array, and the
    #: attribute that shows it.
    _given_name: ClassVar[str]
    _highest: ClassVar[float] = 1.0
    _array: ClassVar[str] = "means"
    _shown: ClassVar[str]

    _: KW_ONLY
    smoothing: float = 0.0

    def _is_positive(self) -> bool:
        return True

    def _emission(self) -> tuple[str, dict[str, Any]]:
        return self.family, {option: getattr(self, name) for option, name in self._options.items()}

    def _emission_start(self, k: int, d: int) -> dict[str, Floats]:
        given = getattr(self, self._given_name)
        if given is None:
            return {}
        found = as_floats(given, self._given_name, self._shape(k, d))
        if (found < 0).any() or (found > self._highest).any():
            wanted = "numbers >= 0" if np.isinf(self._highest) else "probabilities in [0, 1]"
            raise StartError(
                f"{self._given_name} ranges from {found.min():g} to {found.max():g}; expected "
                f"{wanted}."
            )
        return {self._array: self._stored(found)}

    def _shape(self, k: int, d: int) -> tuple[int, ...]:
        """Return the shape of starting values."""
        return (k, d)

    def _stored(self, values: Floats) -> Floats:
        """Return starting values in the shape of the family's array."""
        return values

    @classmethod
    def _fits(cls, section: ModelSection) -> bool:
        return section.chain is not None and section.name == cls.family

    @classmethod
    def _from_section(cls, section: ModelSection) -> Self:
        known = {cls._options[k]: v for k, v in section.options.items() if k in cls._options}
        return cls._of_section(section, **known)

    def _attributes(self, fitted: Fitted, section: ModelSection) -> dict[str, Any]:
        values = getattr(fitted.params.components, self._array)
        return {**super()._attributes(fitted, section), self._shown: self._told_as(values)}

    def _told_as(self, values: Floats) -> Floats:
        """Return the family's array in the shape of the fitted attribute."""
        return values

    @classmethod
    def _of_array(
        cls,
        startprob: Any,
        transmat: Any,
        given: Any,
        name: str,
        names: Sequence[str] | None,
        params: Mapping[str, Any],
    ) -> Self:
        """Make a fitted estimator from the family's array, which the user gave as `name`."""
        sizes = ("n_components", "n_features", "n_categories")
        values = array(given, name, sizes[: np.ndim(given)])
        if cls._array != "means":
            values = check_shares(cls(**params)._stored(values), name)
        k, d = values.shape[:2]
        locations = values if cls._array == "means" else np.zeros((k, d))
        return cls._of_parameters(
            startprob, transmat, locations, {cls._array: values}, (given, names), params
        )
