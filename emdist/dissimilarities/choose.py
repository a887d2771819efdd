"""A dissimilarity by its name and options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from emdist.dissimilarities.own import OwnPair
from emdist.errors import ConfigError
from emdist.interfaces import Dissimilarity
from emdist.plugins import plugin
from emdist.validation import checked_options

DISSIMILARITIES = "emdist.dissimilarities"

#: That of K-means.
DEFAULT = "squared_euclidean"


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
