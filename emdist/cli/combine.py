"""``emdist combine``: combines components of a run that overlap into clusters."""

from __future__ import annotations

from typing import Annotated

import typer

from emdist.cli.options import Json, Quiet, Scheduler, Workers, cluster_settings
from emdist.report.answer import REPEAT, mode_of, print_result, reported
from emdist.report.display import display


def combine(
    run: Annotated[str, typer.Argument(help="The folder of a finished run, or a saved model.")],
    data: Annotated[
        str | None,
        typer.Option(
            metavar="PATH", show_default=False, help="The data. (default: those of the run)"
        ),
    ] = None,
    workers: Workers = None,
    scheduler: Scheduler = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Combine components of a mixture that overlap into clusters, by the entropy of labels.

    A cluster that is not of the shape of one component takes several. Each step combines the two
    that are hardest to tell apart, until one is left. That takes a pass for each component but one.
    The tree is stored with the run, as combined.json.

    Examples:
      emdist combine runs/profiles
      emdist combine models/profiles --data new.zarr
    """
    mode = mode_of(quiet, as_json)
    with reported(as_json, REPEAT) as layer:
        from emdist.jobs.combine import combine_run
        from emdist.settings.config import ClusterSection, NewDataSection, make_section
        from emdist.store.places.location import Location

        given = cluster_settings(workers, scheduler).get("cluster", {})
        cluster = make_section(ClusterSection, given, "the command line")
        with display(mode, layer) as listen:
            found = combine_run(
                Location(run), None if data is None else NewDataSection(path=data), cluster, listen
            )
        print_result({"run": run, **found.to_dict()}, found.page([("run", run)]), run, mode, layer)
