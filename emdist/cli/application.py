"""The application `emdist`, which joins the commands: ingest, fit, sweep, label and others."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from emdist.cli import flow
from emdist.cli.completion import completion
from emdist.cli.compress import compress
from emdist.cli.configurations import config as configuration
from emdist.cli.fit import fit
from emdist.cli.ingest import ingest
from emdist.cli.inspect import inspect
from emdist.cli.label import label
from emdist.cli.options import EPILOG, command_group
from emdist.cli.sweep import sweep
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


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", is_eager=True, callback=_show_version, help="Show versions and exit."
        ),
    ] = False,
) -> None:
    """EM clustering of Zarr arrays larger than memory: exact, restartable, reproducible."""


for command in (ingest, fit, label, inspect, compress, sweep):
    app.command(epilog=EPILOG)(command)
app.command("config")(configuration)
app.command("completion")(completion)
app.add_typer(flow.app, name="flow")


def main() -> None:
    """Entry point of `emdist`."""
    heed_signals()
    keep_lines_whole()
    with not_swallowed(SIGNALS), ending(), reported("--json" in sys.argv, REPEAT):
        app(prog_name="emdist")
