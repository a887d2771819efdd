"""``emdist sweep``: fits many models with shared reads of the data."""

from __future__ import annotations

from typing import Annotated

import typer

from emdist.cli.options import (
    ConfigFile,
    Data,
    Extend,
    Init,
    Json,
    MaxIter,
    Quiet,
    RunFolder,
    Scheduler,
    Seed,
    Set,
    Tol,
    Workers,
    check_data,
    cluster_settings,
    laid_over,
    named,
    run_settings,
)
from emdist.cli.running import run_job
from emdist.errors import ConfigError
from emdist.parameters.configuration import help_of
from emdist.report.answer import RESUMES, mode_of, reported

Models = Annotated[
    list[str] | None,
    typer.Option(
        "--model", "-m", help="Model to fit, as in `emdist fit`. Repeat it to compare several."
    ),
]
Criterion = Annotated[
    str | None,
    typer.Option(help=help_of("sweep.criterion")),
]
AllowDegenerate = Annotated[
    bool,
    typer.Option(
        "--allow-degenerate",
        help="Allow a model with components on the variance floor to be the best.",
    ),
]


def sweep(
    data: Data = None,
    config: ConfigFile = None,
    k: Annotated[
        str | None,
        typer.Option("-k", help="Numbers of components to compare: 2,4,8 or 2..16 or 2..30..4."),
    ] = None,
    models: Models = None,
    criterion: Criterion = None,
    allow_degenerate: AllowDegenerate = False,
    init: Init = None,
    seed: Seed = None,
    n_init: Annotated[
        int | None, typer.Option(help="Number of restarts of each model. (default: 1)")
    ] = None,
    max_iter: MaxIter = None,
    tol: Tol = None,
    run: RunFolder = None,
    no_labels: Annotated[bool, typer.Option("--no-labels", help="Do not write labels.")] = False,
    workers: Workers = None,
    scheduler: Scheduler = None,
    extend: Extend = False,
    settings: Set = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Fit several models in the same reads of the data, and choose the best.

    If it is interrupted, the same command continues where it stopped. Each model is bit-identical
    to that of `emdist fit` alone, and is saved under models/ in the folder of the run.

    Examples:

      emdist sweep pixels.zarr -k 2..30..2

      emdist sweep profiles.zarr -m diagonal -m full -k 2,4,8,16 --criterion bic
    """
    mode = mode_of(quiet, as_json)
    with reported(as_json, RESUMES, config or settings) as layer:
        from emdist.composition.sweep_config import make_sweep_config
        from emdist.settings.file import overridden, read_values

        check_data(data, "sweep")
        several = models is not None and len(models) > 1
        given = {
            "data.path": data,
            "sweep.n_components": k,
            "sweep.families": models if several else None,
            "sweep.criterion": criterion,
            "sweep.allow_degenerate": allow_degenerate or None,
            "model.name": models[0] if models else None,
            "fit.init": init,
            "fit.seed": seed,
            "fit.n_init": n_init,
            "fit.max_iter": max_iter,
            "fit.tol": tol,
            "labels.write": False if no_labels else None,
            "run.extend": extend or None,
            **run_settings(run),
            **cluster_settings(workers, scheduler),
        }
        if config is None and (data is None or k is None):
            raise ConfigError(
                "Name the data and the numbers of components, as in `emdist sweep pixels.zarr "
                "-k 2..16`, or a --config."
            )
        values = laid_over(read_values(config) if config is not None else {}, given)
        values = overridden(values, settings or [])
        where = str(config or "the command line")
        checked = make_sweep_config(values, where, named(given, settings))
        run_job(checked, mode, layer)
