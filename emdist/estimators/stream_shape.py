"""Check that `partial_fit` does not continue with parameters that change the model's shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from emdist import composition, families
from emdist.errors import ConfigError
from emdist.inputs.quoting import shown

if TYPE_CHECKING:
    from emdist.settings.config import ModelSection

#: The estimator parameters that decide the shape of the arrays of a family, and for each of them
#: the name of the attribute of the family.
_OPTIONS: Mapping[str, str] = {"n_categories": "categories", "n_trials": "trials"}

_WEIGHTS: Mapping[str, str] = {
    "variational_process": "dirichlet_process",
    "variational_dirichlet": "dirichlet_distribution",
}


def check_shape(
    before: ModelSection, now: ModelSection, estimator: str, number: str, streaming: bool
) -> None:
    """Raise ConfigError if a fit of `before` cannot continue as `now`, which has another shape.

    Parameters
    ----------
    before, now
        The section of the model fitted so far, and the section that the parameters describe now.
    estimator
        Name of the estimator's class, for the message.
    number
        Name of its parameter for the number of components, for the message.
    streaming
        Whether sums have been accumulated already. Their shape depends on `non_finite`.
    """
    old, new = (_shape(one, number, streaming) for one in (before, now))
    for name, value in new.items():
        if name in old and not _same(old[name], value):
            raise ConfigError(
                f"{name} is {shown(value)}, but the model that {estimator}.partial_fit "
                f"continues has {shown(old[name])}. It decides the shape of the model, so it "
                f"cannot change between calls. Set it back, make a new {estimator}, or call fit "
                "to start from scratch."
            )


def _shape(section: ModelSection, number: str, streaming: bool) -> dict[str, Any]:
    """Map each estimator parameter that decides the shape to its value in `section`."""
    kind = section.name.removeprefix("variational_").replace("diagonal", "diag")
    found: dict[str, Any] = {number: section.n_components, "covariance_type": kind}
    found["noise"] = True if section.noise is not None else None
    if streaming:
        found["non_finite"] = "missing" if section.missing else "raise or drop"
    if section.weights_name in _WEIGHTS:
        found["weight_concentration_prior_type"] = _WEIGHTS[section.weights_name]
    if section.name not in composition.model.CENTRES:
        family = composition.model.make_family(section)
        found |= _options(family)
        if isinstance(family, families.product.Product):
            found["groups"] = [_group(columns, part) for columns, part in family.parts]
            found["ignored"] = family.ignored
    return found


def _group(columns: Any, family: Any) -> str:
    own = "".join(f" ({key}={shown(value)})" for key, value in _options(family).items())
    return f"{type(family).__name__}{own} of {columns.tolist()}"


def _options(family: Any) -> dict[str, Any]:
    return {name: getattr(family, key) for name, key in _OPTIONS.items() if hasattr(family, key)}


def _same(a: Any, b: Any) -> bool:
    """Compare two values; one number for all features equals a list that repeats it."""
    if a == b:
        return True
    numbers = all(isinstance(one, int | tuple) for one in (a, b))
    return numbers and a != () and b != () and np.unique(np.hstack([a, b])).size == 1
