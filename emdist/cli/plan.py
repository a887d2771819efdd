"""``emdist plan``: says what a fit needs and how long it takes, before it begins."""

from __future__ import annotations

from typing import Annotated

import typer

from emdist.cli.options import Json, Quiet, Scheduler, Workers, cluster_settings, laid_over
from emdist.report.answer import REPEAT, mode_of, print_result, reported
from emdist.report.display import display


def plan(
    config: Annotated[
        str,
        typer.Option(
            "--config",
            "-f",
            metavar="FILE.yaml",
            help="Configuration of a fit or a sweep.",
        ),
    ],
    workers: Workers = None,
    scheduler: Scheduler = None,
    seconds: Annotated[
        float,
        typer.Option(
            metavar="SECONDS",
            min=0.0,
            help="How long the trial on some of the blocks may take, about. With 0, only sizes and "
            "memory are told.",
        ),
    ] = 5.0,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Set any key of the configuration, as in fit.seed=7. Repeatable.",
        ),
    ] = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Say what a fit or a sweep reads, needs in memory, and how long it takes.

    The command runs a few passes over some of the blocks, on the cluster of the configuration, and
    stores nothing.

    Examples:
      emdist plan -f quickstart.yaml
      emdist plan -f quickstart.yaml --set model.n_components=64 --json
      emdist plan -f quickstart.yaml --scheduler tcp://scheduler:8786
    """
    mode = mode_of(quiet, as_json)
    with reported(as_json, REPEAT, config) as layer:
        from emdist.composition.sweep_config import make_sweep_config
        from emdist.jobs.forecast import forecast_of
        from emdist.report.forecast import page_of_forecast
        from emdist.report.outlook import duration
        from emdist.settings.config import make_config
        from emdist.settings.file import overridden, read_values

        values = laid_over(read_values(config), cluster_settings(workers, scheduler))
        values = overridden(values, settings or [])
        make = make_sweep_config if "sweep" in values else make_config
        with display(mode, layer) as listen:
            found = forecast_of(make(values, config), seconds, listen)
        known = found["seconds"]
        brief = "unknown" if known is None else duration(known["all"])
        print_result(found, page_of_forecast(found), brief, mode, layer)
        if found["problem"]:
            raise typer.Exit(found["exit_code"])
