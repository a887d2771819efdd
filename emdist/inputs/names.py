"""Feature names: where a source has them, and whether the names of data match those of a model."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import Enum
from typing import Any, Protocol, TypeAlias

import numpy as np

from emdist.errors import EmdistError
from emdist.inputs.quoting import listed
from emdist.inputs.spelling import respelled, spellings

#: The names of the features in their order, or None if they have none.
Names: TypeAlias = tuple[str, ...] | None

#: How many names a message shows, and how many characters of each.
_SHOWN, _LONGEST = 5, 24


class Named(Protocol):
    """A `Source` with names of its features. The driver alone reads them.

    Columns that are no features (weights, an index) are left out.
    """

    @property
    def feature_names(self) -> Names:
        """The name of each feature, in the order of the columns of `Block.x`."""


def names_of(source: object) -> Names:
    """Return the names of a source's features, if it has any."""
    found: Names = getattr(source, "feature_names", None)
    return found


@contextmanager
def naming(source: Any) -> Iterator[None]:
    """Let errors that are raised inside the context name the features of `source`."""
    try:
        yield
    except EmdistError as error:
        names = names_of(source)
        # Rows that are prepared may have other features than the data.
        if error.features is None and names is not None and len(names) == source.shape[1]:
            error.features = names
        raise


class Match(Enum):
    """How the names of data compare with those of a model."""

    SAME = "the same, or neither has any"
    DATA_UNNAMED = "the model has names, the data has none"
    MODEL_UNNAMED = "the data has names, the model has none"
    NUMBERED = "one has real names, the other has names that ingest gives to unnamed columns"
    OTHER_ORDER = "the same names in another order"
    OTHER = "other names"

    @property
    def refused(self) -> bool:
        """Whether the data must be refused, because their columns are not the model's features."""
        return self in (Match.OTHER_ORDER, Match.OTHER)


def match(known: Names, found: Names) -> Match:
    """Compare the names of a model, `known`, with those of data, `found`.

    `emdist ingest` names columns without names x0, x1, ... Such names match any others, but not the
    same names in another order. Numbers in names are compared as they are spelled today.
    """
    if known is not None and found is not None and known != found:
        # Equal values may have been spelled in another way by the version that made the model.
        known, found = tuple(map(respelled, known)), tuple(map(respelled, found))
    if known == found:
        return Match.SAME
    if found is None or known is None:
        if _numbered(known or found or ()):
            return Match.SAME
        return Match.DATA_UNNAMED if found is None else Match.MODEL_UNNAMED
    if _numbered(known) != _numbered(found):
        return Match.NUMBERED
    return Match.OTHER_ORDER if sorted(known) == sorted(found) else Match.OTHER


def _numbered(names: Sequence[str]) -> bool:
    return all(re.fullmatch(r"x\d+", name) for name in names)


def both(known: Names, found: Names, model: str = "The model", data: str = "the data") -> str:
    """Return both lists for a message, from where they differ.

    `model` and `data` name the owners.
    """
    known, found = known or (), found or ()
    pairs = itertools.zip_longest(known, found)
    first = next((i for i, (a, b) in enumerate(pairs) if a != b), 0)
    at = f", from feature {first} on," if first >= _SHOWN else ""
    start = first if at else 0
    return f"{model}{at} has {listing(known[start:])}; {data}{at} has {listing(found[start:])}."


def listing(names: Sequence[str]) -> str:
    """Return names for a message: the first few, and how many more there are."""
    return listed(names, _SHOWN, brief) or "none"


def brief(name: str) -> str:
    """Return a name for a message, on one line, and shortened if it is long."""
    name = name if name.isprintable() else repr(name)
    return name if len(name) <= _LONGEST else f"{name[:_LONGEST]}..."


def coordinate_names(dim: str, values: Any) -> Names:
    """Return names from a coordinate's values: texts unchanged, others as ``dim=value``."""
    found = np.asarray(values)
    texts = (isinstance(one, str | bytes) for one in found.tolist())
    return tuple(
        text if unchanged else f"{dim}={text}"
        for text, unchanged in zip(spellings(found), texts, strict=True)
    )
