"""``emdist flow``: runs the jobs as Prefect flows."""

from __future__ import annotations

from typing import Annotated, Any, NoReturn

import typer

from emdist.cli.flow_options import (
    ConfigFile,
    Deployment,
    Key,
    Scheduled,
    Settings,
    Storage,
    calling,
    leave,
)
from emdist.cli.flow_service import setup, worker
from emdist.cli.options import (
    EPILOG,
    OUTPUTS_HELP,
    ChosenComponents,
    Command,
    Overwrite,
    command_group,
    help_text,
)
from emdist.cli.rows import Append
from emdist.parameters.configuration import help_of
from emdist.report.answer import REPEAT, ending, reported
from emdist.report.lines import keep_lines_whole
from emdist.report.signals import SIGNALS, heed_signals, not_swallowed

app = command_group()


def _flow() -> None:
    """Run a job as a Prefect flow.

    Prefect shows and logs the run. If PREFECT_API_URL is not set, the command starts a Prefect
    server and stops it at the end.

    Examples:
      emdist flow cluster config.yaml --key monday
      emdist flow sweep sweep.yaml --key monday
      emdist flow daily daily.yaml
      emdist flow label runs/monday new.zarr new-labels.zarr
      emdist flow ingest measurements.parquet measurements.zarr
    """


def cluster(
    config: ConfigFile,
    settings: Settings = None,
    key: Key = None,
    deployment: Deployment = None,
    scheduled: Scheduled = None,
) -> None:
    """Fit one model and label the rows, as a Prefect flow.

    The result is the same as that of `emdist fit -f CONFIG.yaml`. To continue an interrupted run,
    start the command again with the same --key.

    Examples:
      emdist flow cluster config.yaml --key monday
      emdist flow cluster config.yaml --set fit.seed=7 --key other-seed
      emdist flow cluster config.yaml --key mine --deployment cluster/emdist
      emdist flow cluster daily.yaml --scheduled 2026-11-30
    """
    with calling():
        from emdist.flows.cluster import run

        code = run(config, settings or (), key, deployment, scheduled)
    leave(code)


def sweep(
    config: ConfigFile,
    settings: Settings = None,
    key: Key = None,
    deployment: Deployment = None,
    scheduled: Scheduled = None,
) -> None:
    """Fit several models and label with the best, as a Prefect flow.

    The result is the same as that of `emdist sweep -f CONFIG.yaml`. To continue an interrupted
    run, start the command again with the same --key.

    Examples:
      emdist flow sweep sweep.yaml --key monday
      emdist flow sweep sweep.yaml --set sweep.criterion=aic
      emdist flow sweep sweep.yaml --key mine --deployment sweep/emdist
    """
    with calling():
        from emdist.flows.sweep import run

        code = run(config, settings or (), key, deployment, scheduled)
    leave(code)


def daily(
    config: ConfigFile,
    settings: Settings = None,
    deployment: Deployment = None,
    scheduled: Scheduled = None,
) -> None:
    """Label new rows, fit again if that is due, and publish, as a Prefect flow.

    For data that grow. The first call fits a model. Each later call labels the rows that have come
    with the accepted model, and fits again, starting from it, as the section daily says. A new
    model is published with its labels if its drift is within the limits of the section drift.

    Start the same command again, by the clock or by hand: what is done is not done twice, and what
    was interrupted continues.

    Examples:
      emdist flow daily daily.yaml
      emdist flow daily daily.yaml --set daily.refit_every=7d
      emdist flow daily daily.yaml --deployment daily/emdist
    """
    with calling():
        from emdist.flows.daily import run

        code = run(config, settings or (), deployment, scheduled)
    leave(code)


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
        ),
    ] = None,
    components: Annotated[list[int] | None, ChosenComponents] = None,
    overwrite: Annotated[bool, Overwrite] = False,
    append: Annotated[bool, Append] = False,
    settings: Settings = None,
    storage: Storage = None,
    scheduled: Scheduled = None,
) -> None:
    """Label the rows of new data with a fitted model, as a Prefect flow.

    The result is the same as that of `emdist label`. To continue an interrupted labelling, start
    the same command again.

    Examples:
      emdist flow label runs/monday new.zarr new-labels.zarr
      emdist flow label runs/monday new.zarr scores.zarr -o labels -o score
      emdist flow label runs/monday growing.zarr labels.zarr --append
    """
    values: dict[str, Any] = {"model": model, "data": {"path": data}, "out": out}
    values |= {"overwrite": overwrite, "append": append}
    with calling():
        from emdist.flows.label import run

        values |= {"outputs": outputs, "components": components}
        code = run(values, settings or (), storage, scheduled)
    leave(code)


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
    dtype: Annotated[str, typer.Option(metavar="TYPE", help=help_of("ingest.dtype"))] = "auto",
    rows_per_chunk: Annotated[
        int | None, typer.Option(metavar="N", min=1, help=help_of("ingest.rows_per_chunk"))
    ] = None,
    overwrite: Annotated[bool, Overwrite] = False,
    storage: Storage = None,
) -> None:
    """Copy files into one Zarr array of rows and features, as a Prefect flow.

    The result is the same as that of `emdist ingest`.

    Examples:
      emdist flow ingest sklearn:china.jpg pixels.zarr
      emdist flow ingest ocean.parquet ocean.zarr -c temp -c salinity
    """
    values = {
        "source": source,
        "target": target,
        "columns": columns,
        "weight_column": weight_column,
        "dtype": dtype,
        "rows_per_chunk": rows_per_chunk,
        "overwrite": overwrite,
    }
    with calling():
        from emdist.flows.ingest import run

        code = run(values, storage)
    leave(code)


def check(
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE.yaml",
            help="A file of deployments such as deploy/prefect.yaml, or a configuration.",
        ),
    ],
) -> None:
    """Check deployments or a configuration before `prefect deploy`: settings, templates, schedules.

    Nothing is run, and no data are read. Exit code 2 means that something is wrong.

    Examples:
      emdist flow check deploy/prefect.yaml
      emdist flow check daily.yaml
    """
    with calling():
        from emdist.flows.check import run

        run(file)


app.callback(help=help_text(_flow))(_flow)
for _command in (cluster, sweep, daily, label, ingest, check, worker, setup):
    app.command(cls=Command, epilog=EPILOG, help=help_text(_command))(_command)


def script(name: str) -> NoReturn:
    """Run the command `name` as ``python -m flows.NAME``, its entry point in a clone."""
    heed_signals()
    keep_lines_whole()
    command = typer.main.get_group(app).commands[name]
    called = f"python -m flows.{name}"
    command.help = (command.help or "").replace(f"emdist flow {name} ", f"{called} ")
    with not_swallowed(SIGNALS), ending(), reported(False, REPEAT):
        command.main(prog_name=called, help_option_names=["-h", "--help"])
    raise AssertionError("a command ends with SystemExit")
