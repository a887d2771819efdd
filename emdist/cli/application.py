"""The application `emdist`, which joins the commands: ingest, fit, sweep, label and others."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from emdist.cli import flow, runs
from emdist.cli.combine import combine
from emdist.cli.completion import completion
from emdist.cli.compress import compress
from emdist.cli.configurations import config as configuration
from emdist.cli.describe import describe
from emdist.cli.evaluate import evaluate
from emdist.cli.export import export
from emdist.cli.fit import fit
from emdist.cli.ingest import ingest
from emdist.cli.inspect import inspect
from emdist.cli.label import label
from emdist.cli.options import EPILOG, Command, command_group, help_text
from emdist.cli.plan import plan
from emdist.cli.report import report
from emdist.cli.sweep import sweep
from emdist.cli.uncertainty import uncertainty
from emdist.cli.warmup import warmup
from emdist.report.answer import REPEAT, ending, reported
from emdist.report.lines import keep_lines_whole
from emdist.report.signals import SIGNALS, heed_signals, not_swallowed

app = command_group(completion=True)


def _show_version(wanted: bool) -> None:
    if wanted:
        from emdist.jobs.records import versions

        found = versions()
        others = ", ".join(f"{name} {found[name]}" for name in found if name != "emdist")
        print(f"emdist {found['emdist']} ({others})")
        raise typer.Exit


def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            is_eager=True,
            callback=_show_version,
            metavar="",
            help="Show the versions of emdist and its packages, and exit.",
        ),
    ] = False,
) -> None:
    """Cluster the rows of Zarr arrays larger than memory, by EM.

    Results are exact and reproducible, and interrupted runs continue where they stopped.

    Examples:
      emdist ingest sklearn:china.jpg pixels.zarr
      emdist fit pixels.zarr -k 16 --run runs/pixels
      emdist inspect runs/pixels
      emdist label runs/pixels new.zarr labels.zarr
      emdist runs ls
    """


app.callback(help=help_text(_options))(_options)
for command in (
    ingest, plan, fit, label, describe, evaluate, uncertainty, combine, report, inspect, export,
    compress, sweep, warmup,
):  # fmt: skip
    app.command(cls=Command, epilog=EPILOG, help=help_text(command))(command)
app.command("config", help=help_text(configuration))(configuration)
app.command("completion", help=help_text(completion))(completion)
app.add_typer(runs.app, name="runs")
app.add_typer(flow.app, name="flow")


def main() -> None:
    """Run the command `emdist`."""
    heed_signals()
    keep_lines_whole()
    with not_swallowed(SIGNALS), ending(), reported("--json" in sys.argv, REPEAT):
        app(prog_name="emdist")
