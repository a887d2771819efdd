"""A dissimilarity by its name and options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from emdist.dissimilarities.base import Dissimilarity
from emdist.dissimilarities.own import OwnPair
from emdist.errors import ConfigError
from emdist.inputs.plugins import plugin
from emdist.inputs.validation import checked_options

DISSIMILARITIES = "emdist.dissimilarities"

#: That of K-means.
DEFAULT = "squared_euclidean"

#: Names of the L1 distance, whose centre is no mean of anything.
_MEDIANS = ("manhattan", "l1", "cityblock")


def checked_name(value: Any) -> Any:
    """`value` if it names a dissimilarity or is a pair of the user's own; ConfigError otherwise."""
    if value is None or isinstance(value, OwnPair):
        return value
    if str(value).lower() in _MEDIANS:
        raise ConfigError(
            f"{value!r} is K-medians: its centre is the median of each feature, which no sum over "
            "rows gives. Take the model kmedians, or emdist.KMedians."
        )
    plugin(DISSIMILARITIES, "dissimilarity", str(value))
    return str(value)


def choose(named: str | OwnPair | None, options: Mapping[str, Any]) -> Dissimilarity[Any]:
    """The dissimilarity called `named`, or a pair as it is; None is the default.

    Raises
    ------
    ConfigError
        If there is none of that name, or it does not have these options.
    """
    if isinstance(named, OwnPair):
        if options:
            raise ConfigError(
                f"model.options {sorted(options)}: a dissimilarity of your own has none. Make "
                "them part of its function, for example with functools.partial."
            )
        return named
    cls = plugin(DISSIMILARITIES, "dissimilarity", named or DEFAULT)
    found: Dissimilarity[Any] = checked_options(cls, options, "model.options")
    return found
