"""``emdist report``: the report of a run as one HTML page, for colleagues who were not there."""

from __future__ import annotations

from typing import Annotated

import typer

from emdist.cli.options import Json, Quiet, Scheduler, Workers, cluster_settings
from emdist.report.answer import REPEAT, mode_of, print_result, reported
from emdist.report.display import display


def report(
    run: Annotated[str, typer.Argument(help="The folder of a finished run.")],
    out: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            show_default=False,
            help="Path or URL of the page. (default: report.html in the folder of the run)",
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="PATH", show_default=False, help="The data. (default: those of the run)"
        ),
    ] = None,
    sample: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            show_default=False,
            help="Number of rows to draw at random for figures. (default: 4,000)",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Random seed of the sample.")] = 0,
    workers: Workers = None,
    scheduler: Scheduler = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Write a report of a run as one HTML page.

    The page says how many clusters there are, which of them overlap, which features tell them
    apart, how sure this is, and how to repeat the run. It needs no network. emdist reads at most 64
    blocks of the data. It also writes model_card.md into the folder of the run.

    Examples:
      emdist report runs/profiles
      emdist report runs/profiles -o profiles.html
    """
    mode = mode_of(quiet, as_json)
    with reported(as_json, REPEAT) as layer:
        from emdist.jobs.report import report_run
        from emdist.report.page import Page
        from emdist.settings.config import ClusterSection, NewDataSection, make_section
        from emdist.store.places.location import Location

        given = cluster_settings(workers, scheduler).get("cluster", {})
        cluster = make_section(ClusterSection, given, "the command line")
        with display(mode, layer) as listen:
            found = report_run(
                Location(run),
                None if out is None else Location(out),
                None if data is None else NewDataSection(path=data),
                cluster,
                sample,
                seed,
                listen,
            )
        rows = f"{found['rows']:,} drawn at random" if found["rows"] else found["unread"]
        facts = [("report", found["report"]), ("model card", found["model_card"]), ("rows", rows)]
        print_result(found, Page(facts), found["report"], mode, layer)
