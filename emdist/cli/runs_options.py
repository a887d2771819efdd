"""Options and arguments of ``emdist runs``, and what they stand for."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from emdist.cli.options import completed
from emdist.errors import ConfigError

#: The states of a run, in the order in which a person thinks of them.
STATES = ("running", "unclear", "interrupted", "failed", "collapsed", "finished", "max_iter",
          "deleting", "damaged", "unreadable")  # fmt: skip

Run = Annotated[str, typer.Argument(metavar="RUN", help="Folder or URL of a run.")]
Runs = Annotated[
    list[str] | None, typer.Argument(metavar="RUN...", help="Folders or URLs of runs.")
]
Storage = Annotated[
    list[str] | None,
    typer.Option(
        "--storage-option",
        metavar="NAME=VALUE",
        help="Option of the object store, as in region=eu-west-1. Repeatable. Put credentials into "
        "environment variables.",
    ),
]
State = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME",
        help=f"Only runs in this state: {', '.join(STATES)}. Repeatable.",
        autocompletion=completed(*STATES),
    ),
]
Older = Annotated[
    str | None,
    typer.Option(
        "--older-than",
        metavar="TIME",
        help="Only runs of which no file was written for this long, as in 30d, 12h or 2w.",
    ),
]
Model = Annotated[
    str | None,
    typer.Option(
        "--model", "-m", metavar="NAME", help="Only runs of this model; a pattern such as 'var*'."
    ),
]


def wanted_runs(state: list[str] | None, older: str | None, model: str | None) -> Any:
    """Return the conditions that options state; ConfigError if one is not valid."""
    from emdist.inputs.durations import parse_duration
    from emdist.jobs.runs.listing import RunFilter

    try:
        seconds = None if older is None else parse_duration(older)
    except ValueError as error:
        raise ConfigError(f"--older-than: {error}.") from None
    return RunFilter(tuple(state or ()), seconds, model or "")


def location(path: str, storage: list[str] | None) -> Any:
    """Return the location of a path or URL, with the options of the object store."""
    from emdist.store.places.location import Location

    options = {}
    for text in storage or ():
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise ConfigError(
                f"--storage-option {name.strip()[:40]!r} has no value; expected NAME=VALUE, as in "
                "region=eu-west-1."
            )
        options[name.strip()] = value.strip()
    return Location(path, options)
