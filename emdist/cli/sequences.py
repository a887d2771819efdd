"""Options of hidden Markov models: families of states, and sequences of rows."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from emdist.cli.options import completed
from emdist.parameters.configuration import CONFIGURATION, help_of

_PANEL = "Hidden Markov models"
_FAMILIES = [one for one in CONFIGURATION["model.name"].choices if not one.startswith(("k", "hmm"))]


def _option(name: str, metavar: str, text: str) -> Any:
    return typer.Option(name, metavar=metavar, rich_help_panel=_PANEL, help=text)


Emission = Annotated[
    str | None,
    typer.Option(
        "--emission",
        metavar="FAMILY",
        rich_help_panel=_PANEL,
        help=help_of("model.emission"),
        autocompletion=completed(*_FAMILIES),
    ),
]
Lengths = Annotated[str | None, _option("--lengths", "N,N,... or PATH", help_of("data.lengths"))]
SequenceIds = Annotated[str | None, _option("--sequences", "PATH", help_of("data.sequences"))]
Time = Annotated[str | None, _option("--time", "DIM", help_of("data.time"))]
NewTime = Annotated[
    str | None,
    _option("--time", "DIM", f"{help_of('data.time').partition(' (')[0]} (default: as in the fit)"),
]


def sequence_settings(
    lengths: str | None, sequences: str | None, time: str | None, emission: str | None = None
) -> dict[str, Any]:
    """Return the settings that these options stand for, by key; None for those not given."""
    numbers = [] if lengths is None else lengths.split(",")
    whole = numbers and all(one.strip().isdecimal() for one in numbers)
    return {
        "data.lengths": [int(one) for one in numbers] if whole else lengths,
        "data.sequences": sequences,
        "data.time": time,
        "model.emission": emission,
    }
