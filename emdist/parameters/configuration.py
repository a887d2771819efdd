"""Parameters of the configuration, by section and key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from emdist.parameters.chains import CHAIN_KEYS
from emdist.parameters.entry import Parameter
from emdist.parameters.fitting import FITTING
from emdist.parameters.models import MODELS
from emdist.parameters.reading import LAYOUT, PLACES, PREPARE, READING
from emdist.parameters.running import RUNNING

#: By "section.key".
CONFIGURATION: Mapping[str, Parameter] = {
    **PLACES,
    **LAYOUT,
    **PREPARE,
    **{f"data.{name}": one for name, one in READING.items()},
    "data.non_finite": replace(
        READING["non_finite"],
        when="The models kmedians, multinomial and variational_* refuse missing values.",
    ),
    **{f"model.{name}": one for name, one in MODELS.items()},
    "model.noise.weight": Parameter("float", "Share of the rows that is noise at the start."),
    "model.noise.volume": Parameter(
        "float", "Volume of the noise.", default="The bounding box of the data."
    ),
    **{f"model.chain.{name}": one for name, one in CHAIN_KEYS.items()},
    "model.dissimilarity_options": Parameter(
        "dict",
        "Another name of model.options for kcentroids, as in Python: matrix or covariance for "
        "mahalanobis. Give only one of the two.",
    ),
    **{f"fit.{name}": one for name, one in FITTING.items()},
    **RUNNING,
}


def help_of(key: str) -> str:
    """What an option of the command line says of itself: meaning, choices and default."""
    known = CONFIGURATION[key]
    told = [known.meaning.partition(". ")[0].rstrip(".") + "."]
    if known.choices:
        told.append(f"One of {', '.join(known.choices)}.")
    if known.default:
        told.append(f"(default: {known.default.rstrip('.')})")
    return " ".join(told)
