"""Open a run: make the job of a configuration, or return the summary of a finished run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any

from emdist.composition.caching import kept_source
from emdist.composition.make import (
    checked_start,
    in_sequence,
    make_engine,
    make_run,
    make_source,
    make_threads,
    run_location,
)
from emdist.composition.memory import checked_memory
from emdist.composition.recipe import Recipe
from emdist.composition.sweep_config import SweepConfig, recipes_of
from emdist.fit.data_changes import untouched
from emdist.fit.events import Began, Linked, Listener, Warned, unheard
from emdist.fit.start import Given
from emdist.ingest import IngestSummary, ingest
from emdist.interfaces import Source
from emdist.jobs.extend import check_extending, former_identities
from emdist.jobs.finished import finished_summary, identity_of
from emdist.jobs.fit import FitJob
from emdist.jobs.forecast import forecast_on
from emdist.jobs.job import Job
from emdist.jobs.label_target import check_grid, check_labels, labels_location, labels_stand
from emdist.jobs.origin import RECORD, Origin, accepted, find_origin
from emdist.jobs.records import moved, record, recorded_config
from emdist.jobs.row_ranges import ROWS, rows_of_run
from emdist.jobs.sweep import SweepJob
from emdist.jobs.turns import turn
from emdist.jobs.warming import share_kernels
from emdist.prepare.source import has_known_width, planned
from emdist.report.metrics import measured
from emdist.settings.config import Config, IngestSection
from emdist.settings.templates import refuse_templates
from emdist.store.labels.place import are_labels_of
from emdist.store.places.files import open_folder
from emdist.store.places.location import Location
from emdist.store.runs.liveness import beating
from emdist.store.runs.run_folder import RunFolder


def bring_data(config: Config, listen: Listener = unheard) -> IngestSummary | None:
    """Ingest the data that the configuration names, if ``data.path`` does not exist yet."""
    if config.ingest is None:
        return None
    target = Location(config.data.path, config.data.storage_options)
    if not open_folder(target).is_empty():
        return None
    listen(Began("ingest", f"{config.ingest.source} -> {target}"))
    return _ingest(config.ingest, target)


def _ingest(section: IngestSection, target: Location) -> IngestSummary:
    return ingest(
        section.source,
        target,
        columns=section.columns,
        weight_column=section.weight_column,
        dtype=section.dtype,
        rows_per_chunk=section.rows_per_chunk,
    )


@contextmanager
def open_job(
    config: Config, key: str | None = None, listen: Listener = unheard
) -> Iterator[Job[Any, Any] | dict[str, Any]]:
    """Make the job of `config`, or return the summary of its run if that has finished.

    Everything that can be refused is refused before a cluster starts: the data, the run's folder
    and the location of the labels.

    Parameters
    ----------
    config
        The checked configuration.
    key
        Key of the run, if the configuration has none.
    listen
        Called with each event.
    """
    config = as_begun(config, key)
    where = str(run_location(config, key))
    with (
        measured(config.run.metrics_file, where, listen) as heard,
        _opened(config, key, heard) as job,
    ):
        yield job


@contextmanager
def _opened(
    config: Config, key: str | None, listen: Listener
) -> Iterator[Job[Any, Any] | dict[str, Any]]:
    """Do what `open_job` does, without metrics."""
    kind: type[Job[Any, Any]] = SweepJob if isinstance(config, SweepConfig) else FitJob
    refuse_templates(config.model_dump(), f"emdist flow {kind.flow}")
    recipes = recipes_of(config)
    bring_data(config, listen)
    location = run_location(config, key)
    data = rows_of_run(config, location, listen)
    source = in_sequence(make_source(data), data, config.model)
    target = labels_location(config, location, kind.own)
    ready = planned(source, config.steps)
    origin = find_origin(config, location, source, listen)
    start = None if origin is None else origin.given()
    given = checked_start(recipes, ready, has_known_width(config.steps), start)
    if config.labels.write:
        _check_labels(config, recipes, source)
    needs = checked_memory(
        recipes,
        ready,
        make_threads(config.cluster),
        config.cluster.own_memory,
        config.labels.outputs if config.labels.write else (),
    )
    # Make the record once: it lists the chunks of the array, which is slow in an object store.
    found = _recorded(config, source, given, origin)
    identity = identity_of(found)
    folder = RunFolder(location)
    if config.run.extend:
        check_extending(folder, found, recipes)
    folder.create_or_check(found, config.run.extend)
    done = partial(_complete, kind, config, source, folder, target, identity)
    summary, replaces = done()
    if summary is not None:
        yield accepted(summary, config.drift, location, identity)
        return
    with turn(folder, config.run.if_running, listen) as epoch:
        if epoch is not None:
            summary, replaces = done()  # The other process may have completed the run.
            if summary is not None:
                yield accepted(summary, config.drift, location, identity)
                return
        listen(Began("open", kind.opening(_as_found(config, origin), recipes, source)))
        tell_moved(folder, listen)
        if doubt := getattr(source, "doubt", ""):
            listen(Warned(doubt))
        with (
            make_engine(config.cluster, source, needs.of_worker) as engine,
            kept_source(config.cluster, source, engine, needs.here, listen) as kept,
        ):
            if link := getattr(engine, "dashboard", ""):
                listen(Linked("Dask dashboard", link))
            share_kernels(recipes, ready, engine)
            begun = (None, None) if origin is None else (origin.fitted, origin.reference)
            run = make_run(
                config, recipes, kept, engine, given, folder, found, listen, epoch, begun[0]
            )
            owned = nullcontext() if epoch is not None else beating(folder.folder, run.epoch)
            with owned:
                if origin is not None:
                    origin.keep(run.folder)
                job = kind(config, recipes, kept, run, target, identity, listen, replaces, begun[1])
                job.forecast = partial(
                    forecast_on, engine, config, recipes, source, given, listen=listen
                )
                yield job


def _check_labels(config: Config, recipes: Sequence[Recipe], source: Source) -> None:
    """Raise ConfigError for labels that the models, or the grid of the data, cannot have."""
    columns = max(one.k for one in recipes) + (config.model.noise is not None)
    check_labels(recipes, config.labels.outputs, config.labels.components, columns)
    check_grid(source, config.labels.outputs)


def _recorded(
    config: Config, source: Source, given: Given, origin: Origin | None
) -> dict[str, Any]:
    """Return the record of the run, with the model that it starts from and the rows it reads."""
    found = record(config, source, given, None if origin is None else origin.sha256)
    if origin is not None:
        found[RECORD] = origin.record()
    if (rows := getattr(source, "selected_rows", None)) is not None:
        found[ROWS] = rows
    return found


def _as_found(config: Config, origin: Origin | None) -> Config:
    """Return `config` with the place of the model that ``fit.from`` stands for, to be shown."""
    place = None if origin is None else origin.reference.name
    return config.model_copy(update={"fit": config.fit.model_copy(update={"from": place})})


def _complete(
    kind: type[Job[Any, Any]],
    config: Config,
    source: Source,
    folder: RunFolder,
    target: Location,
    identity: Mapping[str, Any],
) -> tuple[dict[str, Any] | None, bool]:
    """Return the summary if the run is complete, and whether it may replace its labels."""
    replaces = are_labels_of(target, former_identities(folder, identity))
    labelled = not config.labels.write or labels_stand(config, target, identity, replaces, source)
    summary = finished_summary(folder.location, identity, kind.is_whole)
    whole = summary is not None and labelled and untouched(source, folder)
    return (summary if whole else None), replaces


def as_begun(config: Config, key: str | None = None) -> Config:
    """Return `config`, with the schedule 'batch' in place of 'auto' if its run began so.

    That was the default of earlier versions. Such a run goes on, and is found by its default name.
    """
    if config.fit.schedule != "auto":
        return config
    batch = config.fit.model_copy(update={"schedule": "batch"})
    earlier = config.model_copy(update={"fit": batch})
    folder = RunFolder(run_location(earlier, key))
    if not folder.folder.exists("run.json"):
        return config
    stored = recorded_config(folder.record(), folder.location)
    return earlier if stored["fit"].get("schedule") == "batch" else config


def tell_moved(folder: RunFolder, listen: Listener) -> None:
    """Warn if a run that has computed something resumes with another CPU or other packages."""
    if (told := moved(folder.record())) is not None and folder.load("survey") is not None:
        listen(Warned(told))
