"""Store a model's arrays in the units of the data, beside the values relative to the origin.

emdist computes with parameters relative to an origin, and must read back exactly these bits. Other
tools that open `model.safetensors` find values in the units of the data under the plain names. The
exact values are beside them, under names that say so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from emdist.fit.fitted import Fitted
from emdist.interfaces import Array, Model
from emdist.store.runs.codec import encode

#: Ending of the name of an array whose values are relative to ``spread/origin``.
RELATIVE = "_relative_to_origin"

#: Explanation that is stored in a model's file.
ABOUT = {
    "about": "A model fitted by emdist. Arrays are in the units of the data. Those whose names end "
    f"with {RELATIVE} hold the same less spread/origin: emdist computes with them.",
    "tensors": {
        "params/weights": "mixture weights of the components; of clusters without meaning",
        "params/components/*": "parameters of the components, such as means (k, d)",
        f"*{RELATIVE}": "the array of this name without the ending, less spread/origin",
        "spread/origin": "where emdist's own zero lies, for each feature",
        "spread/*": "where the training data lie: mean, variance, low, high for each feature",
        "objective": "inertia, or log-likelihood per row (nats), of the best start",
        "history/*": "one value for each iteration",
    },
}


def with_units(arrays: Mapping[str, Array], model: Model[Any], fitted: Fitted) -> dict[str, Array]:
    """Return the encoded `arrays` of `fitted`; those relative to the origin get both forms."""
    origin, spread = fitted.spread.origin, fitted.spread
    moved = replace(
        fitted,
        params=model.translate(fitted.params, origin),
        spread=replace(
            spread, mean=spread.mean + origin, low=spread.low + origin, high=spread.high + origin
        ),
    )
    found = dict(arrays)
    for name, value in encode(moved)[0].items():
        if not np.array_equal(value, arrays[name], equal_nan=True):
            found[name], found[name + RELATIVE] = value, arrays[name]
    return found


def without_units(arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Return the arrays as encoded, which `with_units` was given; older files have only these."""
    found = {name: value for name, value in arrays.items() if not name.endswith(RELATIVE)}
    for name, value in arrays.items():
        if name.endswith(RELATIVE):
            found[name.removesuffix(RELATIVE)] = value
    return found
