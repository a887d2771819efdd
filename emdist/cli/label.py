"""``emdist label``: labels new rows with a saved model or a finished run."""

from __future__ import annotations

from dataclasses import replace
from shlex import quote
from typing import Annotated, Any, get_args

import typer

from emdist.cli.options import (
    OUTPUTS_HELP,
    ChosenComponents,
    Json,
    Overwrite,
    Quiet,
    Scheduler,
    Workers,
    cluster_settings,
    completed,
    laid_over,
)
from emdist.cli.rows import (
    Append,
    NewFeatures,
    NewNonFinite,
    NewSamples,
    NewSelect,
    NewVariables,
    NewWhere,
    rows_settings,
)
from emdist.cli.sequences import Lengths, NewTime, SequenceIds, sequence_settings
from emdist.parameters.choices import OutputName
from emdist.report.answer import RESUMES, mode_of, print_result, reported
from emdist.report.display import display


def label(
    model: Annotated[str, typer.Argument(help="A saved model, or the folder of a finished run.")],
    data: Annotated[
        str,
        typer.Argument(help="Path or URL of a Zarr array or group with the features of the model."),
    ],
    out: Annotated[str, typer.Argument(help="Path or URL of the labels to write.")],
    outputs: Annotated[
        list[str] | None,
        typer.Option(
            "--output",
            "-o",
            metavar="NAME",
            help=OUTPUTS_HELP,
            autocompletion=completed(*get_args(OutputName)),
        ),
    ] = None,
    components: Annotated[list[int] | None, ChosenComponents] = None,
    variables: NewVariables = None,
    samples: NewSamples = None,
    features: NewFeatures = None,
    select: NewSelect = None,
    where: NewWhere = None,
    non_finite: NewNonFinite = None,
    lengths: Lengths = None,
    sequences: SequenceIds = None,
    time: NewTime = None,
    workers: Workers = None,
    scheduler: Scheduler = None,
    overwrite: Annotated[bool, Overwrite] = False,
    append: Annotated[bool, Append] = False,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Set a key of the sections data and cluster, as in data.decode=none. Repeatable.",
        ),
    ] = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Label the rows of new data with a fitted model.

    An interrupted labelling continues where it stopped if you start the same command again.

    Examples:
      emdist label runs/profiles new.zarr new-labels.zarr
      emdist label runs/profiles new.zarr scores.zarr -o labels -o score
      emdist label runs/profiles growing.zarr labels.zarr --append
      emdist label runs/ocean new.zarr maps.zarr -o probability --component 3
    """
    mode = mode_of(quiet, as_json)
    with reported(as_json, RESUMES, settings) as layer:
        from emdist.jobs.label import label_data
        from emdist.settings.config import LabellingConfig, make_section
        from emdist.settings.file import overridden
        from emdist.store.places.location import Location

        rows = rows_settings(variables, samples, features, select, where, non_finite)
        told = sequence_settings(lengths, sequences, time)
        given = {**rows, **told, **cluster_settings(workers, scheduler)}
        values = laid_over({"data": {"path": data}}, given)
        values = overridden(values, settings or [])
        checked = make_section(LabellingConfig, values, "the command line")
        with display(mode, layer) as listen:
            summary = label_data(
                Location(model),
                checked.data,
                Location(out),
                checked.cluster,
                outputs,
                overwrite,
                listen,
                components,
                append,
            )
        print_result(summary, _page(summary), summary["labels"], mode, layer)


def _page(summary: dict[str, Any]) -> Any:
    """Return the page of a labelling, with the command that checks the labels."""
    from emdist.report.summary import page_of_labelling

    page = page_of_labelling(summary)
    following = ("next", f"emdist inspect {quote(summary['labels'])} --verify")
    return replace(page, facts=[*page.facts, following])
