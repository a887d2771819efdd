"""``emdist export``: write a model in the format of another program."""

from __future__ import annotations

from typing import Annotated

import typer

from emdist.cli.options import Json, Quiet
from emdist.report.answer import REPEAT, mode_of, print_result, reported


def export(
    model: Annotated[str, typer.Argument(help="A saved model, or the folder of a finished run.")],
    out: Annotated[
        str,
        typer.Argument(
            help="The file to write. Its ending is the format: .onnx, .npz, .parquet or .faiss."
        ),
    ],
    overwrite: Annotated[
        bool, typer.Option("--overwrite", metavar="", help="Replace the file if it exists.")
    ] = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Write a model as a file for other programs.

    ONNX runtimes label rows with it, NumPy, pandas, R and Spark read its parameters, and faiss
    searches its centres.

    Examples:
      emdist export runs/profiles profiles.onnx
      emdist export runs/profiles parameters.parquet
      emdist export model centres.npz
    """
    mode = mode_of(quiet, as_json)
    with reported(as_json, REPEAT) as layer:
        from emdist.exports.export import export as write
        from emdist.report.page import Page
        from emdist.store.places.location import Location

        place = Location(out)
        write(model, str(place), overwrite=overwrite)
        found = {"model": str(Location(model)), "file": str(place)}
        print_result(found, Page(tuple(found.items())), str(place), mode, layer)
