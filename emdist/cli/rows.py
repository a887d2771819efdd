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

#: The default of options of `emdist label`.
_AS_FITTED = "as in the fit"


def _option(name: str, metavar: str, text: str, default: str) -> Any:
    """Return an option whose help ends with its default."""
    return typer.Option(
        name, metavar=metavar, rich_help_panel=ROWS, help=f"{text} (default: {default})"
    )


def _variables(default: str) -> Any:
    text = "Variables of a Zarr group that become features, as in TEMP,PSAL or 'B*'."
    return _option("--variables", "NAMES", text, default)


def _samples(default: str) -> Any:
    text = "Dimensions that make up the rows, as in time,lat,lon."
    return _option("--samples", "DIMS", text, default)


def _features(default: str) -> Any:
    text = "Dimensions that make up the features, as in depth."
    return _option("--features", "DIMS", text, default)


def _select(default: str, more: str = "") -> Any:
    text = (
        "Read a range of a dimension by its coordinate, as in depth=0:500; one value, as in "
        "depth=10; several, as in depth=values:10,500; or positions, as in depth=index:0:10."
        f"{more} Repeatable."
    )
    return _option("--select", "DIM=LOW:HIGH", text, default)


def _where(default: str) -> Any:
    text = (
        "Leave out rows that do not meet a condition on a variable, as in landmask=0, "
        "'quality>=2' or 'bottom < 500'. Repeatable."
    )
    return _option("--where", "CONDITION", text, default)


def _non_finite(default: str) -> Any:
    return typer.Option(
        "--non-finite",
        metavar="POLICY",
        rich_help_panel=ROWS,
        help=f"{help_of('data.non_finite')} (default: {default})",
        autocompletion=choices_of("data.non_finite"),
    )


Variables = Annotated[list[str] | None, _variables("the only one")]
Samples = Annotated[list[str] | None, _samples("all others")]
Features = Annotated[list[str] | None, _features("all others")]
Select = Annotated[list[str] | None, _select("everything")]
Where = Annotated[list[str] | None, _where("no condition")]

SelectRows = Annotated[
    str | None,
    typer.Option(
        "--select-rows",
        metavar="FIRST:LAST",
        rich_help_panel=ROWS,
        help=help_of("data.select_rows"),
    ),
]
Append = typer.Option(
    "--append", metavar="", help="Label only rows behind those that have labels at OUT."
)
NonFinite = Annotated[str | None, _non_finite("raise")]

#: The same options of `emdist label`, for new data.
NewVariables = Annotated[list[str] | None, _variables(_AS_FITTED)]
NewSamples = Annotated[list[str] | None, _samples(_AS_FITTED)]
NewFeatures = Annotated[list[str] | None, _features(_AS_FITTED)]
NewSelect = Annotated[
    list[str] | None,
    _select(_AS_FITTED, " All of a dimension of which the fit read a part: depth=:."),
]
NewWhere = Annotated[list[str] | None, _where(_AS_FITTED)]
NewNonFinite = Annotated[str | None, _non_finite(_AS_FITTED)]


def rows_settings(
    variables: Sequence[str] | None,
    samples: Sequence[str] | None,
    features: Sequence[str] | None,
    select: Sequence[str] | None,
    where: Sequence[str] | None,
    non_finite: str | None,
    select_rows: str | None = None,
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
        "data.select_rows": select_rows,
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
