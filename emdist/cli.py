"""The command line: ingest, fit, sweep, label, inspect, compress, config, flow."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

import typer

from emdist.commands import flow
from emdist.commands.compress import compress
from emdist.commands.configurations import config as configuration
from emdist.commands.ingest import ingest
from emdist.commands.options import (
    EPILOG,
    Components,
    ConfigFile,
    Data,
    Extend,
    Json,
    ModelName,
    Overwrite,
    Quiet,
    Repeat,
    Scheduler,
    Set,
    Workers,
    check_data,
    cluster_settings,
    command_group,
    laid_over,
    named,
    run_settings,
)
from emdist.commands.repeat import repeat_run
from emdist.commands.sweep import sweep
from emdist.errors import ConfigError
from emdist.report.answer import (
    REPEAT,
    RESUMES,
    ending,
    mode_of,
    print_result,
    reported,
)
from emdist.report.display import Mode, display
from emdist.report.lines import keep_lines_whole, say
from emdist.report.page import Page, page_of, show
from emdist.report.signals import SIGNALS, heed_signals, not_swallowed
from emdist.wording import Layer

app = command_group()
app.command(epilog=EPILOG)(ingest)


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


@app.command(epilog=EPILOG)
def fit(
    data: Data = None,
    config: ConfigFile = None,
    model: ModelName = None,
    k: Components = None,
    init: Annotated[
        str | None, typer.Option(help="k-means++, k-means||, kmeans or random.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Random seed (default 0).")] = None,
    n_init: Annotated[int | None, typer.Option(help="Starts; keep the best (default 1).")] = None,
    max_iter: Annotated[int | None, typer.Option(help="Iterations of a start at most.")] = None,
    tol: Annotated[
        float | None, typer.Option(help="Stop when the improvement falls below this.")
    ] = None,
    weights: Annotated[
        str | None, typer.Option(help="Path or URL of a 1-D Zarr array, one weight per row.")
    ] = None,
    run: Annotated[
        str | None, typer.Option(help="Folder of the run; the same folder resumes it.")
    ] = None,
    labels: Annotated[
        str | None, typer.Option(help="Where labels go; default labels.zarr in the run's folder.")
    ] = None,
    no_labels: Annotated[bool, typer.Option("--no-labels", help="Fit only.")] = False,
    repeat: Repeat = None,
    workers: Workers = None,
    scheduler: Scheduler = None,
    extend: Extend = False,
    settings: Set = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Cluster a Zarr array; interrupted, the same command goes on where it stopped.

    Examples:

      emdist fit pixels.zarr -k 16

      emdist fit profiles.zarr -m full -k 8 --run runs/profiles --workers 4

      emdist fit -f quickstart.yaml --set fit.seed=7 --run runs/other-seed

      emdist fit --repeat runs/profiles
    """
    mode = mode_of(quiet, as_json)
    with reported(as_json, RESUMES, config or settings) as layer:
        from emdist.settings.config import make_config
        from emdist.settings.file import overridden, read_values

        check_data(data, "fit")
        given = {
            "data.path": data,
            "data.weights": weights,
            "model.name": model,
            "model.n_components": k,
            "fit.init": init,
            "fit.seed": seed,
            "fit.n_init": n_init,
            "fit.max_iter": max_iter,
            "fit.tol": tol,
            "labels.path": labels,
            "labels.write": False if no_labels else None,
            "run.extend": extend or None,
            **run_settings(run),
            **cluster_settings(workers, scheduler),
        }
        values = laid_over(read_values(config) if config is not None else {}, given)
        values = overridden(values, settings or [])
        if repeat is not None:
            repeat_run(repeat, values, mode, layer)
            return
        if config is None and data is None:
            raise ConfigError("Name the data, as in `emdist fit pixels.zarr -k 16`, or a --config.")
        where = str(config or "the command line")
        checked = make_config(values, where, named(given, settings))
        _fit(checked, mode, layer)


def _fit(config: Any, mode: Mode, layer: Layer) -> None:
    from emdist.jobs.run import open_job

    with display(mode, layer) as listen, open_job(config, listen=listen) as job:
        if isinstance(job, dict):
            summary, page = job, Page([("done already, nothing to do", job["run"])])
        else:
            found = job.complete()
            summary, page = found.to_dict(), found.to_page()
    print_result(summary, page, summary["run"], mode, layer)


@app.command(epilog=EPILOG)
def label(
    model: Annotated[str, typer.Argument(help="A saved model, or the folder of a finished run.")],
    data: Annotated[
        str, typer.Argument(help="Path or URL of a Zarr array with the same features.")
    ],
    out: Annotated[str, typer.Argument(help="Path or URL of the labels to write.")],
    outputs: Annotated[
        list[str] | None,
        typer.Option("--output", "-o", help="labels, score, responsibilities; repeat for more."),
    ] = None,
    workers: Workers = None,
    scheduler: Scheduler = None,
    overwrite: Annotated[bool, Overwrite] = False,
    settings: Set = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Label data with a fitted model; interrupted, the same command goes on.

    Example: emdist label runs/profiles new.zarr new-labels.zarr -o labels -o score
    """
    mode = mode_of(quiet, as_json)
    with reported(as_json, RESUMES, settings) as layer:
        from emdist.jobs.label import label_data
        from emdist.report.summary import page_of_labelling
        from emdist.settings.config import LabellingConfig, make_section
        from emdist.settings.file import overridden
        from emdist.store.location import Location

        values = laid_over({"data": {"path": data}}, cluster_settings(workers, scheduler))
        values = overridden(values, settings or [])
        checked = make_section(LabellingConfig, values, "the command line")
        with display(mode, layer) as listen:
            summary = label_data(
                Location(model),
                checked.data,
                Location(out),
                checked.cluster,
                tuple(outputs or ["labels"]),
                overwrite,
                listen,
            )
        print_result(summary, page_of_labelling(summary), summary["labels"], mode, layer)


@app.command(epilog=EPILOG)
def inspect(
    path: Annotated[str, typer.Argument(help="A run, a model, labels, or a Zarr array.")],
    array: Annotated[str, typer.Option(help="Path of an array inside a group.")] = "",
    verify: Annotated[
        bool,
        typer.Option(
            "--verify", help="Read all labels; exit code 1 if some are missing or damaged."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Say what lies at a path: shape and blocks of an array, progress of a run, a model."""
    with reported(as_json, REPEAT):
        from emdist.jobs.inspect import faults
        from emdist.jobs.inspect import inspect as look
        from emdist.store.location import Location

        found = look(Location(path), array, verify)
        if as_json:
            say(json.dumps(found))
        else:
            show(page_of(found))
        if verify and (wrong := faults(found)):
            for line in () if as_json else wrong:
                say(f"emdist: {line}", sys.stderr)
            raise typer.Exit(1)


app.command(epilog=EPILOG)(compress)
app.command(epilog=EPILOG)(sweep)
app.command("config")(configuration)
app.add_typer(flow.app, name="flow")


def main() -> None:
    """Entry point of `emdist`."""
    heed_signals()
    keep_lines_whole()
    with not_swallowed(SIGNALS), ending(), reported("--json" in sys.argv, REPEAT):
        app(prog_name="emdist")


if __name__ == "__main__":
    main()
