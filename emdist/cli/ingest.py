"""``emdist ingest``: copies files into a Zarr array."""

from __future__ import annotations

import sys
from shlex import quote
from typing import Annotated

import typer
from rich.filesize import decimal

from emdist.cli.options import Json, Overwrite, Quiet
from emdist.inputs.renamed import told_of_name
from emdist.parameters.configuration import help_of
from emdist.report.answer import REPEAT, mode_of, print_result, reported
from emdist.report.page import Page


def ingest(
    source: Annotated[
        str,
        typer.Argument(
            help="File, folder or glob of NPY, NPZ, CSV, Parquet or image files; or "
            "sklearn:china.jpg, sklearn:flower.jpg."
        ),
    ],
    target: Annotated[str, typer.Argument(help="Path or URL of the Zarr array to write.")],
    columns: Annotated[
        list[str] | None,
        typer.Option(
            "--column",
            "-c",
            metavar="NAME",
            help="Column to use as a feature. Repeatable. (default: all columns)",
        ),
    ] = None,
    weight_column: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Column with sample weights. emdist writes it to a second array next to the "
            "target. (default: none)",
        ),
    ] = None,
    weights: Annotated[str | None, typer.Option(hidden=True)] = None,
    dtype: Annotated[str, typer.Option(metavar="TYPE", help=help_of("ingest.dtype"))] = "auto",
    rows_per_chunk: Annotated[
        int | None, typer.Option(metavar="N", min=1, help=help_of("ingest.rows_per_chunk"))
    ] = None,
    overwrite: Annotated[bool, Overwrite] = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Copy files into one Zarr array of rows and features.

    The array has chunks with checksums. Other commands read it.

    Examples:
      emdist ingest sklearn:china.jpg pixels.zarr
      emdist ingest measurements.parquet measurements.zarr -c temp -c salinity
    """
    mode = mode_of(quiet, as_json)
    with reported(as_json, REPEAT) as layer:
        from emdist.ingest import ingest as run

        def tell(rows: int, total: int) -> None:
            if mode == "auto" and sys.stderr.isatty():
                of = f" of {total:,}" if total else ""
                # A carriage return at the end, so that the next line overwrites this one.
                print(f"{rows:,}{of} rows", end="\r", file=sys.stderr, flush=True)

        found = run(
            source,
            target,
            columns=columns,
            weight_column=_one_of(weight_column, weights),
            dtype=dtype,
            rows_per_chunk=rows_per_chunk,
            overwrite=overwrite,
            done=tell,
        )
        facts = [
            ("array", str(found.target)),
            ("shape", f"{found.rows:,} rows x {found.features} {found.dtype}"),
            ("chunks", f"{found.chunks:,}"),
            ("read", decimal(found.bytes_read)),
            ("stored", decimal(found.bytes_stored)),
        ]
        facts += [("weights", str(found.weights))] if found.weights else []
        facts += [("note", note) for note in found.notes]
        weighted = f" --weights {quote(str(found.weights))}" if found.weights else ""
        facts.append(("next", f"emdist fit {quote(str(found.target))} -k 8{weighted}"))
        print_result(found.to_dict(), Page(facts), str(found.target), mode, layer)


def _one_of(weight_column: str | None, weights: str | None) -> str | None:
    """Return the column of sample weights, from its option or from the old name of the option."""
    if weights is None:
        return weight_column
    told_of_name("--weights", "--weight-column", weight_column is not None)
    return weights
