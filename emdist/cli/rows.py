"""Options that say how rows and features are made of the data, and which rows are left out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from emdist.cli.options import choices_of
from emdist.errors import ConfigError
from emdist.inputs.layout_texts import condition_of, selection_of
from emdist.parameters.configuration import help_of

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
        help="Read a range of a dimension by its coordinate, as in depth=0:500; one value, as in "
        "depth=10; several, as in depth=values:10,500; positions, as in depth=index:0:10; or all "
        "of it, as in depth=:, where a model was fitted to a part. "
        "Repeatable. (default: everything)",
    ),
]
Where = Annotated[
    list[str] | None,
    typer.Option(
        "--where",
        metavar="CONDITION",
        rich_help_panel=ROWS,
        help="Leave out rows that do not meet a condition on a variable, as in landmask=0, "
        "'quality>=2' or 'bottom < 500'. Repeatable. (default: no condition)",
    ),
]


NonFinite = Annotated[
    str | None,
    typer.Option(
        "--non-finite",
        metavar="POLICY",
        rich_help_panel=ROWS,
        help=f"{help_of('data.non_finite')} (default: raise; for labels, as in the fit)",
        autocompletion=choices_of("data.non_finite"),
    ),
]


def rows_settings(
    variables: Sequence[str] | None,
    samples: Sequence[str] | None,
    features: Sequence[str] | None,
    select: Sequence[str] | None,
    where: Sequence[str] | None,
    non_finite: str | None,
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
        "data.select": _selections(select) if select else None,
        "data.where": [condition_of(one) for one in where] if where else None,
        "data.non_finite": non_finite,
    }


def _names(given: Sequence[str] | None) -> list[str] | None:
    return [name for one in given for name in one.split(",") if name] if given else None


def _selections(texts: Sequence[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for dim, value in map(selection_of, texts):
        if dim in found:
            raise ConfigError(
                f"data.select names {dim} twice; expected each dimension once. Several values are "
                f"{dim}=values:10,500."
            )
        found[dim] = value
    return found
