"""``emdist sweep``: fits many models with shared reads of the data."""

from __future__ import annotations

from typing import Annotated

import typer

from emdist.cli.operating import IfRunning, operated
from emdist.cli.options import (
    FITTING,
    ConfigFile,
    Data,
    Extend,
    Init,
    Json,
    MaxIter,
    NoLabels,
    Prepare,
    Quiet,
    RunFolder,
    Scheduler,
    Seed,
    Set,
    Tol,
    Weights,
    Workers,
    check_data,
    choices_of,
    cluster_settings,
    laid_over,
    named,
    run_settings,
    with_steps,
)
from emdist.cli.rows import (
    Features,
    NonFinite,
    Samples,
    Select,
    SelectRows,
    Variables,
    Where,
    rows_settings,
)
from emdist.cli.running import run_job
from emdist.cli.sequences import Lengths, SequenceIds, Time, sequence_settings
from emdist.errors import ConfigError
from emdist.parameters.configuration import help_of
from emdist.report.answer import RESUMES, mode_of, reported

Models = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        "-m",
        metavar="NAME",
        rich_help_panel=FITTING,
        help="Model to fit, as in `emdist fit`. Repeat it to compare several. (default: kmeans)",
    ),
]
Criterion = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        rich_help_panel=FITTING,
        help=help_of("sweep.criterion"),
        autocompletion=choices_of("sweep.criterion"),
    ),
]
Numbers = Annotated[
    str | None,
    typer.Option(
        "-k",
        metavar="LIST",
        rich_help_panel=FITTING,
        help="Numbers of components to compare, as in 2,4,8 or 2..16 or 2..30..4.",
    ),
]
Restarts = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        rich_help_panel=FITTING,
        help="Number of restarts of each model. (default: 1)",
    ),
]
AllowDegenerate = Annotated[
    bool,
    typer.Option(
        "--allow-degenerate",
        metavar="",
        rich_help_panel=FITTING,
        help="Allow a model with components on the variance floor to be the best.",
    ),
]


def sweep(
    data: Data = None,
    config: ConfigFile = None,
    variables: Variables = None,
    samples: Samples = None,
    features: Features = None,
    select: Select = None,
    where: Where = None,
    select_rows: SelectRows = None,
    non_finite: NonFinite = None,
    lengths: Lengths = None,
    sequences: SequenceIds = None,
    time: Time = None,
    k: Numbers = None,
    models: Models = None,
    criterion: Criterion = None,
    allow_degenerate: AllowDegenerate = False,
    init: Init = None,
    seed: Seed = None,
    n_init: Restarts = None,
    max_iter: MaxIter = None,
    tol: Tol = None,
    weights: Weights = None,
    run: RunFolder = None,
    no_labels: NoLabels = False,
    prepare: Prepare = None,
    workers: Workers = None,
    scheduler: Scheduler = None,
    extend: Extend = False,
    if_running: IfRunning = None,
    settings: Set = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Fit several models to a Zarr array and choose the best.

    All models share the reads of the data. Each model is bit-identical to that of `emdist fit`
    alone, and is saved in models/ of the run folder. An interrupted sweep continues where it
    stopped if you start the same command again.

    Examples:
      emdist sweep pixels.zarr -k 2..30..2
      emdist sweep profiles.zarr -m diagonal -m full -k 2,4,8,16 --criterion bic
    """
    mode = mode_of(quiet, as_json)
    with reported(as_json, RESUMES, config or settings) as layer:
        from emdist.composition.sweep_config import make_sweep_config
        from emdist.settings.file import overridden, read_values

        check_data(data, "sweep")
        given = {
            "data.path": data,
            **rows_settings(variables, samples, features, select, where, non_finite, select_rows),
            **sequence_settings(lengths, sequences, time),
            "sweep.n_components": k,
            "sweep.families": models if models and len(models) > 1 else None,
            "sweep.criterion": criterion,
            "sweep.allow_degenerate": allow_degenerate or None,
            "model.name": models[0] if models else None,
            "fit.init": init,
            "fit.seed": seed,
            "fit.n_init": n_init,
            "fit.max_iter": max_iter,
            "fit.tol": tol,
            "data.weights": weights,
            "labels.write": False if no_labels else None,
            **run_settings(run),
            **operated(extend, if_running),
            **cluster_settings(workers, scheduler),
        }
        if config is None and (data is None or k is None):
            raise ConfigError(
                "A sweep needs data and numbers of components. Name them, as in `emdist sweep "
                "pixels.zarr -k 2..16`, or pass a configuration with --config."
            )
        values = laid_over(read_values(config) if config is not None else {}, given)
        values = overridden(with_steps(values, prepare), settings or [])
        place = str(config or "the command line")
        checked = make_sweep_config(values, place, named(given, settings))
        run_job(checked, mode, layer)
