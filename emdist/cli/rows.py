"""Options that say how rows and features are made of variables with named dimensions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from emdist.errors import ConfigError

ROWS = "Rows and features"

Variables = Annotated[
    list[str] | None,
    typer.Option(
        "--variables",
        metavar="NAMES",
        rich_help_panel=ROWS,
        help="Variables of a Zarr group that become features, as in TEMP,PSAL or 'B*'. "
        "(default: the only one)",
    ),
]
Samples = Annotated[
    list[str] | None,
    typer.Option(
        "--samples",
        metavar="DIMS",
        rich_help_panel=ROWS,
        help="Dimensions that make up the rows, as in time,lat,lon. (default: all others)",
    ),
]
Features = Annotated[
    list[str] | None,
    typer.Option(
        "--features",
        metavar="DIMS",
        rich_help_panel=ROWS,
        help="Dimensions that make up the features, as in depth. (default: all others)",
    ),
]
Select = Annotated[
    list[str] | None,
    typer.Option(
        "--select",
        metavar="DIM=LOW:HIGH",
        rich_help_panel=ROWS,
        help="Read a range of a dimension by its coordinate, as in depth=0:500, or one value, as "
        "in depth=10. Repeatable. (default: everything)",
    ),
]
Where = Annotated[
    list[str] | None,
    typer.Option(
        "--where",
        metavar="CONDITION",
        rich_help_panel=ROWS,
        help="Leave out rows that do not meet a condition on a variable, as in landmask=0, "
        "'quality>=2' or 'bottom!=0'. Repeatable. (default: no condition)",
    ),
]

#: Signs of comparisons, and their names in a configuration.
_SIGNS = {"!=": "not_equals", ">=": "at_least", "<=": "at_most", "=": "equals"}


def rows_settings(
    variables: Sequence[str] | None,
    samples: Sequence[str] | None,
    features: Sequence[str] | None,
    select: Sequence[str] | None,
    where: Sequence[str] | None,
) -> dict[str, Any]:
    """Return the settings that these options stand for, by key; None for those not given.

    Raises
    ------
    ConfigError
        If an option is not of the form that its help shows.
    """
    return {
        "data.variables": _names(variables),
        "data.samples": _names(samples),
        "data.features": _names(features),
        "data.select": dict(map(_selection, select)) if select else None,
        "data.where": [_condition(one) for one in where] if where else None,
    }


def _names(given: Sequence[str] | None) -> list[str] | None:
    return [name for one in given for name in one.split(",") if name] if given else None


def _selection(text: str) -> tuple[str, Any]:
    dim, sign, value = text.partition("=")
    if not dim or not sign or not value:
        raise ConfigError(f"--select is {text!r}, expected DIM=LOW:HIGH, as in depth=0:500.")
    # Times have colons too: a range of them is written with two dots.
    ends = value.split("..") if ".." in value else value.split(":")
    if len(ends) == 2:
        return dim, [_value(end) if end else None for end in ends]
    return dim, _value(value)


def _condition(text: str) -> dict[str, Any]:
    found = re.fullmatch(r"([^=!<>]+)(!=|>=|<=|=)([^=!<>]+)", text)
    if found is None:
        raise ConfigError(
            f"--where is {text!r}, expected a variable, one of {', '.join(_SIGNS)} and a number, "
            "as in landmask=0."
        )
    name, sign, value = (part.strip() for part in found.groups())
    number = _value(value)
    if isinstance(number, str):
        raise ConfigError(f"--where is {text!r}, but {value!r} is not a number.")
    return {"variable": name, _SIGNS[sign]: number}


def _value(text: str) -> int | float | str:
    """Return a text as a number if it is one."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
