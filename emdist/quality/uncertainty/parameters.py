"""The parameters of a fitted model in the units of its rows, by name and component."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from emdist.composition.model import make_family
from emdist.families.product import Product
from emdist.fit.fitted import Fitted
from emdist.interfaces import Floats, Model
from emdist.models.arrays import arrays_of
from emdist.settings.config import ModelSection

#: The name of the array of a family that all components share.
_POOLED = "covariance"


@dataclass(frozen=True, eq=False)
class ParameterArray:
    """One array of parameters.

    Attributes
    ----------
    name
        Its name, such as ``means``, or ``parts.0.means`` of a product.
    values
        The values, with one row for each component unless all components share it.
    columns
        The features of the rows that it is about; empty if it is about none.
    """

    name: str
    values: Floats
    columns: tuple[int, ...] = ()

    @property
    def shared(self) -> bool:
        """Whether all components have the same values."""
        return self.name.rpartition(".")[2] == _POOLED

    def places(self, names: Sequence[str], labels: Sequence[int]) -> Iterator[Place]:
        """Yield what each value is about, in the order of the values.

        `names` are those of the features of the rows, and `labels` those of the components, to
        which noise belongs as the last.
        """
        own = [names[j] for j in self.columns]
        matrices = self.name.rpartition(".")[2] in ("covariances", "covariance")
        for index in np.ndindex(self.values.shape):
            component = None if self.shared else labels[index[0]]
            rest = index if self.shared else index[1:]
            first = own[rest[0]] if rest else ""
            second = ""
            if len(rest) == 2:
                second = own[rest[1]] if matrices else str(rest[1])
            yield Place(self.name, component, first, second)


@dataclass(frozen=True)
class Place:
    """What one number of a model is about.

    Attributes
    ----------
    parameter
        The name of the array of parameters.
    component
        The label of the component; None if all share it.
    feature, other
        The feature, and the second feature of a covariance or the category; "" for none.
    """

    parameter: str
    component: int | None
    feature: str
    other: str


@dataclass(frozen=True, eq=False)
class Estimate:
    """Parameters with their standard errors and intervals.

    Attributes
    ----------
    parameter
        The parameters.
    errors
        Their standard errors; NaN where they are not known.
    low, high
        The ends of their confidence intervals.
    """

    parameter: ParameterArray
    errors: Floats
    low: Floats
    high: Floats


def parameters_of(section: ModelSection, model: Model[Any], fitted: Fitted) -> list[ParameterArray]:
    """Return the parameters of a fitted model, in the units of the rows that it was fitted to."""
    params: Any = model.translate(fitted.params, fitted.spread.origin)
    features = tuple(range(fitted.n_features))
    found, family = [], None
    if not model.minimises:
        family = make_family(section)
        found.append(ParameterArray("weights", np.asarray(params.shares, np.float64)))
    for name, values in arrays_of(params.components).items():
        columns: tuple[int, ...] = ()
        if values.ndim > 1:
            columns = features
            if isinstance(family, Product) and name.startswith("parts."):
                columns = tuple(family.parts[int(name.split(".")[1])][0].tolist())
        found.append(ParameterArray(name, np.asarray(values, np.float64), columns))
    return found
