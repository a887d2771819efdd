"""Groups of features as a configuration names them, for products of families."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdist.components import Family
from emdist.errors import ConfigError
from emdist.plugins import plugin
from emdist.validation import checked_options

Columns = NDArray[np.int64]


@dataclass(frozen=True)
class Group:
    """Features of one family.

    Attributes
    ----------
    columns
        Their indices, or a range as text: "3:40" for 3..39.
    family
        By its name.
    options
        Of the family.
    """

    columns: tuple[int, ...] | str
    family: str
    options: dict[str, Any] = field(default_factory=dict)


def indices_of(columns: tuple[int, ...] | str, where: str) -> Columns:
    """The columns of a group, a range written out."""
    if not isinstance(columns, str):
        if not columns or min(columns) < 0:
            raise ConfigError(f"{where}={list(columns)}; wanted at least one index, all >= 0.")
        return np.array(columns, np.int64)
    first, colon, end = columns.partition(":")
    if not (colon and first.strip().isdecimal() and end.strip().isdecimal()):
        raise ConfigError(f"{where}={columns!r}; wanted a list of indices, or a range as '3:40'.")
    found = np.arange(int(first), int(end))
    if len(found) == 0:
        raise ConfigError(
            f"{where}={columns!r} is an empty range; wanted 'first:end', end > first."
        )
    return found


def family_of(group: Group, i: int) -> Family[Any]:
    """The family of group number `i`, its options checked."""
    if group.family == "product":
        raise ConfigError(
            f"groups[{i}] is a product itself; a product of products is one product: name its "
            "groups here."
        )
    # Found, not imported: any file of this package can be a part.
    try:
        cls = plugin(__package__ or "emdist.families", "family", group.family)
    except ConfigError as error:
        raise ConfigError(f"groups[{i}].family: {error}") from None
    family: Family[Any] = checked_options(cls, group.options, f"groups[{i}].options")
    return family


def check_columns(columns: Columns) -> None:
    """ConfigError unless these are 0..d-1, each once."""
    known, times = np.unique(columns, return_counts=True)
    twice = known[times > 1].tolist()
    left_out = np.setdiff1d(np.arange(int(columns.max()) + 1), known).tolist()
    faults = [
        *([f"{twice} more than once"] if twice else []),
        *([f"{left_out} never"] if left_out else []),
    ]
    if faults:
        raise ConfigError(
            f"The groups name feature(s) {' and '.join(faults)}. Put every feature into exactly "
            "one group, or among 'ignored'."
        )


def check_width(family: Family[Any], columns: Columns) -> None:
    """ConfigError if options that are given feature by feature are not for so many."""
    high = () if family.domain is None else np.shape(family.domain.high)
    if high and high[0] != len(columns):
        raise ConfigError(
            f"A group of {len(columns)} feature(s) has options for {high[0]}. Give one number "
            "for all, or one for each."
        )
