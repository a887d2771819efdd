"""``emdist flow``: runs the jobs as Prefect flows."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, NoReturn

import typer

from emdist.cli.options import EPILOG, Overwrite, command_group
from emdist.report.answer import REPEAT, ending, reported
from emdist.report.lines import keep_lines_whole
from emdist.report.signals import SIGNALS, heed_signals, not_swallowed
from emdist.runtime.extras import need

app = command_group()

ConfigFile = Annotated[
    str,
    typer.Argument(
        metavar="CONFIG.yaml", help="Configuration. `emdist config quickstart` prints an example."
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="section.key=value",
        help="Setting that replaces one of the configuration. Repeat for more.",
    ),
]
Key = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="Name of the run. The same key resumes it (default: a new run)."
    ),
]
Storage = Annotated[
    str | None,
    typer.Option(
        metavar="FILE.yaml",
        help="Storage options, one section for each place. Prefect does not see them.",
    ),
]


@app.callback()
def _flow() -> None:
    """Run a job as a Prefect flow, which Prefect shows, logs and schedules.

    Without PREFECT_API_URL the command starts a Prefect server and stops it at the end.
    """


@app.command(epilog=EPILOG)
def cluster(
    config: ConfigFile,
    settings: Settings = None,
    key: Key = None,
    deployment: Annotated[
        str | None,
        typer.Option(
            metavar="FLOW/NAME",
            help="Submit the configuration to this deployment, and do not run it here.",
        ),
    ] = None,
) -> None:
    """Fit one model to a Zarr array and label its rows, as `emdist fit` does.

    Example: emdist flow cluster config.yaml --key monday
    """
    with _prefect():
        from emdist.flows.cluster import run

        code = run(config, settings or (), key, deployment)
    _leave(code)


@app.command(epilog=EPILOG)
def sweep(config: ConfigFile, settings: Settings = None, key: Key = None) -> None:
    """Fit many models in the same reads and label with the best, as `emdist sweep` does.

    Example: emdist flow sweep sweep.yaml --key monday
    """
    with _prefect():
        from emdist.flows.sweep import run

        code = run(config, settings or (), key)
    _leave(code)


@app.command(epilog=EPILOG)
def label(
    model: Annotated[str, typer.Argument(help="A saved model, or the folder of a finished run.")],
    data: Annotated[str, typer.Argument(help="Path or URL of a Zarr array.")],
    out: Annotated[str, typer.Argument(help="Path or URL of the labels to write.")],
    outputs: Annotated[
        list[str] | None,
        typer.Option(
            "--output",
            "-o",
            metavar="NAME",
            help="labels, score or responsibilities (default labels). Repeat for more.",
        ),
    ] = None,
    overwrite: Annotated[bool, Overwrite] = False,
    settings: Settings = None,
    storage: Storage = None,
) -> None:
    """Label an array with a fitted model, as `emdist label` does.

    Example: emdist flow label runs/monday new.zarr new-labels.zarr -o labels -o score
    """
    values = {"model": model, "data": {"path": data}, "out": out, "overwrite": overwrite}
    with _prefect():
        from emdist.flows.label import run

        code = run(values | {"outputs": outputs or ["labels"]}, settings or (), storage)
    _leave(code)


@app.command(epilog=EPILOG)
def ingest(
    source: Annotated[
        str, typer.Argument(help="File, folder or glob, or sklearn:china.jpg, sklearn:flower.jpg.")
    ],
    target: Annotated[str, typer.Argument(help="Path or URL of the Zarr array to write.")],
    columns: Annotated[
        list[str] | None,
        typer.Option("--column", "-c", metavar="NAME", help="Feature to take. Repeat for more."),
    ] = None,
    weight_column: Annotated[
        str | None, typer.Option(metavar="NAME", help="Column of sample weights.")
    ] = None,
    dtype: Annotated[str, typer.Option(help="Of the array; auto keeps the source's.")] = "auto",
    rows_per_chunk: Annotated[
        int | None, typer.Option(min=1, help="Rows of a chunk (default: by their size).")
    ] = None,
    overwrite: Annotated[bool, Overwrite] = False,
    storage: Storage = None,
) -> None:
    """Write the rows of files to one Zarr array, as `emdist ingest` does.

    Example: emdist flow ingest measurements.parquet measurements.zarr -c temp -c salinity
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
    with _prefect():
        from emdist.flows.ingest import run

        code = run(values, storage)
    _leave(code)


@contextmanager
def _prefect() -> Iterator[None]:
    """A place where Prefect may be imported and a flow be called, which gives an exit code."""
    with reported(False, REPEAT):
        need("prefect", "emdist flow")
        # Prefect catches interrupts, reports them and raises them again. None may be sent twice.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        yield


def _leave(code: int) -> NoReturn:
    """End the process with the exit code of a flow."""
    from emdist.flows.script import leave

    leave(code)


def script(name: str) -> NoReturn:
    """The command `name` as ``python -m flows.NAME``, its entry point in a clone."""
    heed_signals()
    keep_lines_whole()
    command = typer.main.get_group(app).commands[name]
    with not_swallowed(SIGNALS), ending(), reported(False, REPEAT):
        command.main(prog_name=f"python -m flows.{name}")
    raise AssertionError("a command ends with SystemExit")
