"""Groups of features of a product, as options of a configuration, and their checks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, BeforeValidator, ConfigDict
from pydantic_core import PydanticCustomError

from emdist.components import Family
from emdist.errors import ConfigError
from emdist.inputs.plugins import family_name, plugin
from emdist.inputs.validation import checked_options

Columns = NDArray[np.int64]

#: The largest number of features that groups can name. Ranges are expanded before the number of
#: features of the data is known, so they need a limit.
MOST = 1 << 20


def _numbers(value: Any) -> Any:
    """Return `value` unless it contains a boolean: a mask is not a list of indices."""
    if isinstance(value, list | tuple | np.ndarray):
        for one in value:
            if isinstance(one, bool | np.bool_):
                told = f"expected indices of features in place of {bool(one)}"
                raise PydanticCustomError("wrong_kind", "{told}", {"told": told})
    return value


Named = Annotated[tuple[int, ...] | str, BeforeValidator(_numbers)]


@dataclass(frozen=True)
class Group:
    """A group of features that have one family.

    Attributes
    ----------
    columns
        The indices of the features, or a range as text: "3:40" for 3..39.
    family
        The name of the family.
    options
        The options of the family.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    columns: Named
    family: Annotated[str, AfterValidator(family_name)]
    options: dict[str, Any] = field(default_factory=dict)


def indices_of(columns: tuple[int, ...] | str, where: str) -> Columns:
    """Return the indices of `columns`, which may be a range; ConfigError if they are invalid."""
    if not isinstance(columns, str):
        if not columns or min(columns) < 0:
            raise ConfigError(f"{where}={list(columns)}; expected at least one index, all >= 0.")
        if max(columns) >= MOST:
            raise _too_far(f"{where} names feature {max(columns)}")
        return np.array(columns, np.int64)
    first, colon, end = columns.partition(":")
    if not (colon and first.strip().isdecimal() and end.strip().isdecimal()):
        raise ConfigError(f"{where}={columns!r}; expected a list of indices, or a range as '3:40'.")
    # Check the number of digits first: Python does not convert texts with thousands of digits.
    if len(end.strip()) > 18 or len(first.strip()) > 18 or int(end) > MOST:
        raise _too_far(f"{where}={columns!r:.60}")
    found = np.arange(int(first), int(end))
    if len(found) == 0:
        raise ConfigError(
            f"{where}={columns!r} is an empty range; expected 'first:end', end > first."
        )
    return found


def _too_far(what: str) -> ConfigError:
    return ConfigError(f"{what}; expected features of the data, {MOST:,} at most.")


def check_features(
    groups: Sequence[Group], ignored: tuple[int, ...] | str, named: int, d: int
) -> None:
    """Raise a ConfigError if groups name features that data of `d` features do not have.

    The groups name the features 0 to `named` - 1.
    """
    places = [(f"groups[{i}].columns", group.columns) for i, group in enumerate(groups)]
    for where, columns in [*places, ("ignored", ignored)]:
        last = int(indices_of(columns, where).max()) if columns else -1
        if last >= d:
            given = columns if isinstance(columns, str) else list(columns)
            raise ConfigError(
                f"{where}={given!r} names feature {last}, but the groups of the model name "
                f"{named} feature(s) and the data have {d}. Name each of these once, in a group "
                "or among 'ignored'."
            )


def family_of(group: Group, i: int) -> Family[Any]:
    """Return the family of `group`, which has the number `i`, with checked options."""
    if group.family == "product":
        raise ConfigError(
            f"groups[{i}] is a product itself. List the groups of that product here instead."
        )
    # The family is looked up by name, because any module of the package can be a part.
    try:
        cls = plugin("emdist.families", "family", group.family)
    except ConfigError as error:
        raise ConfigError(f"groups[{i}].family: {error}") from None
    family: Family[Any] = checked_options(cls, group.options, f"groups[{i}].options")
    return family


def parts_of(groups: Sequence[Group]) -> tuple[tuple[Columns, Family[Any]], ...]:
    """Return the columns and the family of each group, after checking them."""
    parts = tuple(
        (indices_of(group.columns, f"groups[{i}].columns"), family_of(group, i))
        for i, group in enumerate(groups)
    )
    for i, (columns, family) in enumerate(parts):
        check_width(family, columns, f"groups[{i}]")
    return parts


def check_columns(columns: Columns) -> None:
    """Raise a ConfigError unless `columns` are 0..d-1, each exactly once."""
    times = np.bincount(columns)
    twice, left_out = (np.flatnonzero(fault).tolist() for fault in (times > 1, times == 0))
    faults = [
        *([f"{twice} more than once"] if twice else []),
        *([f"{left_out} never"] if left_out else []),
    ]
    if faults:
        raise ConfigError(
            f"groups name feature(s) {' and '.join(faults)}. Put every feature into exactly one "
            "group, or among 'ignored'."
        )


def check_width(family: Family[Any], columns: Columns, where: str) -> None:
    """Raise a ConfigError if options have one value per feature, but for another number of them.

    It names the group as `where`.
    """
    high = () if family.domain is None else np.shape(family.domain.high)
    if high and high[0] != len(columns):
        raise ConfigError(
            f"{where} has {len(columns)} feature(s), but its options have values for {high[0]}. "
            "Give one number for all features, or one for each."
        )
