"""``emdist evaluate``: figures of the clusters of a run, and agreement with other labels."""

from __future__ import annotations

from typing import Annotated

import typer

from emdist.cli.options import Json, Quiet, Scheduler, Workers, cluster_settings
from emdist.report.answer import REPEAT, mode_of, print_result, reported
from emdist.report.display import display


def evaluate(
    run: Annotated[str, typer.Argument(help="The folder of a finished run.")],
    truth: Annotated[
        str | None,
        typer.Option(
            metavar="PATH",
            show_default=False,
            help="Other labels of the same rows, such as known classes: a Zarr array, a group of "
            "labels or another run.",
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="PATH", show_default=False, help="The data. (default: those of the run)"
        ),
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(
            metavar="PATH", show_default=False, help="The labels. (default: those of the run)"
        ),
    ] = None,
    workers: Workers = None,
    scheduler: Scheduler = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Say how compact and how separate the clusters of a run are.

    Two passes over the rows give silhouettes for squared Euclidean distances, the Davies-Bouldin
    and the Calinski-Harabasz index, exactly and for any number of rows. With --truth, emdist also
    compares the labels with others of the same rows.

    Examples:
      emdist evaluate runs/profiles
      emdist evaluate runs/profiles --truth classes.zarr
      emdist evaluate runs/profiles --truth runs/other
    """
    mode = mode_of(quiet, as_json)
    with reported(as_json, REPEAT) as layer:
        from emdist.jobs.evaluate import evaluate_run
        from emdist.report.evaluation import page_of_evaluation
        from emdist.settings.config import ClusterSection, NewDataSection, make_section
        from emdist.store.places.location import Location

        given = cluster_settings(workers, scheduler).get("cluster", {})
        cluster = make_section(ClusterSection, given, "the command line")
        with display(mode, layer) as listen:
            found = evaluate_run(
                Location(run),
                None if data is None else NewDataSection(path=data),
                None if labels is None else Location(labels),
                None if truth is None else Location(truth),
                cluster,
                listen,
            )
        page = page_of_evaluation(found)
        print_result(found, page, f"{found['silhouette']:.10g}", mode, layer)
