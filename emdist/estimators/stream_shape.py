"""What must stay as it is while a model goes on: the parameters that decide its shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from emdist.composition.model import CENTRES, make_family
from emdist.errors import ConfigError
from emdist.families.product import Product
from emdist.inputs.quoting import shown
from emdist.settings.config import ModelSection

#: Options of a family that decide what its parameters are, by the parameter of an estimator.
_OPTIONS: Mapping[str, str] = {"n_categories": "categories", "n_trials": "trials"}

_WEIGHTS: Mapping[str, str] = {
    "variational_process": "dirichlet_process",
    "variational_dirichlet": "dirichlet_distribution",
}


def check_shape(
    before: ModelSection, now: ModelSection, estimator: str, number: str, streaming: bool
) -> None:
    """ConfigError if `now` is of another shape than `before`, which is to go on.

    Parameters
    ----------
    before, now
        What was fitted so far, and what the parameters amount to.
    estimator
        Its class, for the message.
    number
        What it calls the number of components.
    streaming
        Whether sums are folded already, whose shape follows from what is missing.
    """
    old, new = (_shape(one, number, streaming) for one in (before, now))
    for name, value in new.items():
        if name in old and not _same(old[name], value):
            raise ConfigError(
                f"{name} is {shown(value)}, and what {estimator}.partial_fit goes on from has "
                f"{shown(old[name])}. It decides the shape of the model and cannot change on the "
                f"way: set it back, make a new {estimator}, or call fit to start anew."
            )


def _shape(section: ModelSection, number: str, streaming: bool) -> dict[str, Any]:
    """What decides the shape, by the parameter of an estimator that says it."""
    kind = section.name.removeprefix("variational_").replace("diagonal", "diag")
    found: dict[str, Any] = {number: section.n_components, "covariance_type": kind}
    found["noise"] = True if section.noise is not None else None
    if streaming:
        found["non_finite"] = "missing" if section.missing else "raise or drop"
    if section.weights_name in _WEIGHTS:
        found["weight_concentration_prior_type"] = _WEIGHTS[section.weights_name]
    if section.name not in CENTRES:
        family = make_family(section)
        found |= _options(family)
        if isinstance(family, Product):
            found["groups"] = [_group(columns, part) for columns, part in family.parts]
            found["ignored"] = family.ignored
    return found


def _group(columns: Any, family: Any) -> str:
    own = "".join(f" ({key}={shown(value)})" for key, value in _options(family).items())
    return f"{type(family).__name__}{own} of {columns.tolist()}"


def _options(family: Any) -> dict[str, Any]:
    return {name: getattr(family, key) for name, key in _OPTIONS.items() if hasattr(family, key)}


def _same(a: Any, b: Any) -> bool:
    """Whether two values say the same; one number for all features is as good as a list of it."""
    if a == b:
        return True
    numbers = all(isinstance(one, int | tuple) for one in (a, b))
    return numbers and a != () and b != () and np.unique(np.hstack([a, b])).size == 1
