"""``emdist fit``: fits one model and labels its rows."""

from __future__ import annotations

from emdist.cli.operating import IfRunning, operated
from emdist.cli.options import (
    Components,
    ConfigFile,
    Data,
    Extend,
    Init,
    Json,
    LabelsPath,
    MaxIter,
    ModelName,
    NoLabels,
    Origin,
    Prepare,
    Quiet,
    Repeat,
    RunFolder,
    Scheduler,
    Seed,
    Set,
    Starts,
    Tol,
    Weights,
    Workers,
    check_data,
    cluster_settings,
    laid_over,
    named,
    run_settings,
    with_steps,
)
from emdist.cli.repeat import repeat_run
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
from emdist.cli.sequences import Emission, Lengths, SequenceIds, Time, sequence_settings
from emdist.errors import ConfigError
from emdist.report.answer import RESUMES, mode_of, reported

_NOTHING = (
    "There is no data to fit. Name a Zarr array, as in `emdist fit pixels.zarr -k 16`, or pass a "
    "configuration with --config."
)


def fit(
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
    model: ModelName = None,
    emission: Emission = None,
    k: Components = None,
    init: Init = None,
    seed: Seed = None,
    n_init: Starts = None,
    max_iter: MaxIter = None,
    tol: Tol = None,
    origin: Origin = None,
    weights: Weights = None,
    run: RunFolder = None,
    labels: LabelsPath = None,
    no_labels: NoLabels = False,
    prepare: Prepare = None,
    repeat: Repeat = None,
    workers: Workers = None,
    scheduler: Scheduler = None,
    extend: Extend = False,
    if_running: IfRunning = None,
    settings: Set = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Fit a model to a Zarr array and label its rows.

    An interrupted fit continues where it stopped if you start the same command again.

    Examples:
      emdist fit pixels.zarr -k 16
      emdist fit profiles.zarr -m full -k 8 --run runs/profiles --workers 4
      emdist fit ocean.zarr --variables TEMP,PSAL --features depth -m full -k 8
      emdist fit ticks.zarr -m hmm --emission full -k 4 --sequences days.zarr
      emdist fit spectra.zarr -k 8 --prepare standardise --prepare pca=10
      emdist fit pixels.zarr -k 16 --run runs/week-2 --from runs/week-1
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
            **rows_settings(variables, samples, features, select, where, non_finite, select_rows),
            **sequence_settings(lengths, sequences, time, emission),
            "data.weights": weights,
            "model.name": model,
            "model.n_components": k,
            "fit.init": init,
            "fit.seed": seed,
            "fit.n_init": n_init,
            "fit.max_iter": max_iter,
            "fit.tol": tol,
            "fit.from": origin,
            "labels.path": labels,
            "labels.write": False if no_labels else None,
            **run_settings(run),
            **operated(extend, if_running),
            **cluster_settings(workers, scheduler),
        }
        values = laid_over(read_values(config) if config is not None else {}, given)
        values = overridden(with_steps(values, prepare), settings or [])
        if repeat is not None:
            repeat_run(repeat, values, mode, layer)
            return
        if config is None and data is None:
            raise ConfigError(_NOTHING)
        checked = make_config(values, str(config or "the command line"), named(given, settings))
        run_job(checked, mode, layer)
