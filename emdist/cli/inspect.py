"""``emdist inspect``: describes the run, model, labels or array at a path."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

from emdist.cli.options import Json
from emdist.report.answer import REPEAT, reported
from emdist.report.lines import say
from emdist.report.page import show


def inspect(
    path: Annotated[
        str, typer.Argument(help="Path or URL of a run, a model, labels or a Zarr array.")
    ],
    array: Annotated[
        str,
        typer.Option(
            metavar="PATH", show_default=False, help="Path of the array inside a Zarr group."
        ),
    ] = "",
    verify: Annotated[
        bool,
        typer.Option(
            "--verify",
            metavar="",
            help="Read all labels and check them. The exit code is 1 if labels are missing or "
            "damaged.",
        ),
    ] = False,
    full: Annotated[
        bool,
        typer.Option("--full", metavar="", help="Also show all settings, versions and hashes."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Show a run, a model, labels or a Zarr array.

    For a run, emdist shows its progress and its result.

    Examples:
      emdist inspect runs/profiles
      emdist inspect runs/profiles/labels.zarr --verify
      emdist inspect pixels.zarr
    """
    with reported(as_json, REPEAT):
        from emdist.jobs.inspect import faults
        from emdist.jobs.inspect import inspect as look
        from emdist.report.inspection import page_of_inspection
        from emdist.store.places.location import Location

        found = look(Location(path), array, verify)
        if as_json:
            say(json.dumps(found))
        else:
            show(page_of_inspection(found, full))
        if verify and (wrong := faults(found)):
            for line in () if as_json else wrong:
                say(f"emdist: {line}", sys.stderr)
            raise typer.Exit(1)
