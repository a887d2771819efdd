"""``emdist describe``: says what the clusters of a run are."""

from __future__ import annotations

from typing import Annotated

import typer

from emdist.cli.options import Json, Quiet, Scheduler, Workers, cluster_settings
from emdist.report.answer import REPEAT, mode_of, print_result, reported
from emdist.report.display import display


def describe(
    run: Annotated[str, typer.Argument(help="The folder of a finished run, or a saved model.")],
    data: Annotated[
        str | None,
        typer.Option(
            metavar="PATH", show_default=False, help="The data. (default: those of the run)"
        ),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(
            "--out",
            "-o",
            metavar="FILE",
            show_default=False,
            help="Also write the profile to a file: .md (all of it), .json (all of it) or "
            ".parquet (the features of each cluster).",
        ),
    ] = None,
    workers: Workers = None,
    scheduler: Scheduler = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Say what the clusters of a run are: sizes, typical values, and what sets them apart.

    One pass over the rows gives moments, quantiles, shares, entropies and representative rows of
    each cluster, in the units of the data. The profile is stored with the run, as profile.json.

    Examples:
      emdist describe runs/profiles
      emdist describe runs/profiles -o profiles.md
      emdist describe models/profiles --data new.zarr
    """
    mode = mode_of(quiet, as_json)
    with reported(as_json, REPEAT) as layer:
        from emdist.jobs.describe import describe_run
        from emdist.report.profile import check_file, write_profile
        from emdist.settings.config import ClusterSection, NewDataSection, make_section
        from emdist.store.places.location import Location

        if out is not None:
            check_file(out)
        given = cluster_settings(workers, scheduler).get("cluster", {})
        cluster = make_section(ClusterSection, given, "the command line")
        with display(mode, layer) as listen:
            found = describe_run(
                Location(run), None if data is None else NewDataSection(path=data), cluster, listen
            )
        facts = [("run", run)]
        if out is not None:
            write_profile(found, out)
            facts.append(("written to", out))
        print_result({"run": run, **found.to_dict()}, found.page(facts), run, mode, layer)
