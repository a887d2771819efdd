"""What a format writes: a fitted model in the units of its rows, with names."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from emdist import composition
from emdist.components import Density
from emdist.estimators.base import Estimator
from emdist.interfaces import Floats, Numerics

if TYPE_CHECKING:
    from emdist.fit.fitted import Fitted

#: Arithmetic that is accurate for any data: exact differences to the means, in float64.
EXACT = Numerics("float64", centred=True)


@dataclass(frozen=True)
class ExportedModel:
    """A fitted model for formats of other programs.

    Attributes
    ----------
    estimator
        The fitted estimator.
    """

    estimator: Estimator

    @property
    def fitted(self) -> Fitted:
        """The fitted model as a value."""
        return self.estimator._fitted

    @property
    def kind(self) -> str:
        """The name of the estimator's class."""
        return type(self.estimator).__name__

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names of the features that the model sees: prepared, if it prepares rows."""
        known = self.fitted.prepared_names
        return known or tuple(f"x{j}" for j in range(self.fitted.n_features))

    @cached_property
    def names_in(self) -> tuple[str, ...]:
        """The names of the features of the data."""
        return self.fitted.feature_names or tuple(f"x{j}" for j in range(self.fitted.n_features_in))

    @property
    def is_mixture(self) -> bool:
        """Whether the model has mixture weights, and so probabilities."""
        return hasattr(self.estimator, "weights_")

    @property
    def has_noise(self) -> bool:
        """Whether the model is a mixture with noise, whose label is -1."""
        return self.fitted.n_columns > self.fitted.n_components

    @cached_property
    def components(self) -> Any:
        """The components without noise, for complete rows; None for K-medians."""
        model: Any = composition.model.make_model(
            self.estimator._section.model_copy(update={"missing": False})
        )
        family = getattr(getattr(model, "mixture", model), "family", None)
        return family.family if family is not None and self.has_noise else family

    @cached_property
    def density(self) -> Density | None:
        """The components as a density of rows minus `origin`."""
        if self.components is None:
            return None
        # Distributions are centred, and so free of cancellation. Dissimilarities that are not
        # squares have no such form of which operators are known.
        numerics = EXACT if self.is_mixture else Numerics("float64")
        found: Density = self.components.density(self.fitted.params.components, numerics)
        return found

    @property
    def log_weights(self) -> Floats:
        """The logarithms of the mixture weights, in the order of the columns: (k,) or (k + 1,)."""
        model: Any = self.estimator._model()
        if self.has_noise:
            whole, weights = model.joined(self.fitted.params), model.mixture.weights
        else:
            whole, weights = self.fitted.params, model.weights
        found: Floats = weights.logarithms(whole)
        return found

    @property
    def origin(self) -> Floats:
        """What is subtracted from rows before the density sees them: (d,)."""
        return self.fitted.spread.origin

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the fitted parameters as named arrays, as the attributes of the estimator."""
        found = {}
        for name in PARAMETERS:
            value = getattr(self.estimator, name, None)
            if value is None or callable(value):
                continue
            if isinstance(value, int | float | np.ndarray):
                found[name.rstrip("_")] = np.asarray(value)
        for at, part in enumerate(getattr(self.estimator, "parts_", ())):
            for name, value in part.items():
                if isinstance(value, int | float | np.ndarray):
                    found[f"part{at}_{name}"] = np.asarray(value)
        return found


#: Attributes of estimators that are parameters of their models.
PARAMETERS = ("weights_", "cluster_centers_", "means_", "covariances_", "probabilities_", "rates_",
              "totals_", "noise_weight_", "noise_box_", "weight_concentration_", "mean_precision_",
              "degrees_of_freedom_")  # fmt: skip
