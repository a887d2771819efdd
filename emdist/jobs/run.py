"""A job: from a configuration to labels and a summary, in the stages that are shown to users.

The command line and the Prefect flow call the same stages in the same order; the flow makes
each of them a task.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from emdist.build.compose import (
    checked_start,
    kept_source,
    make_engine,
    make_run,
    make_source,
    run_location,
)
from emdist.build.model import make_schedule
from emdist.build.room import check_room
from emdist.errors import CheckpointError, NewerFormatError, NotFoundError
from emdist.fit.events import Began, Listener, Warned, unheard
from emdist.fit.fitted import Fitted
from emdist.fit.run import Run
from emdist.fit.state import FitState
from emdist.fit.unchanged import untouched
from emdist.ingest import IngestSummary, ingest
from emdist.interfaces import Source
from emdist.jobs.extend import check_extending, former_identities
from emdist.jobs.label_target import labels_location, labels_stand
from emdist.jobs.records import moved, record, save_fitted, versions
from emdist.quality.doubts import Doubt, doubts_of, unfinished
from emdist.report.opening import fit_opening
from emdist.report.summary import Summary, summarise
from emdist.settings.config import Config, IngestSection
from emdist.store.labels.creation import label_writer
from emdist.store.labels.place import are_labels_of
from emdist.store.labels.writer import LabelWriter
from emdist.store.places.files import open_folder
from emdist.store.places.location import Location
from emdist.store.runs.checkpoints import RunFolder
from emdist.store.runs.run_record import digest
from emdist.store.runs.sealed import MANIFEST_LIMIT

_SUMMARY = "summary.json"
#: Key of the digest in it.
_DIGEST = "sha256"


class Job:
    """The stages of one run. Make one with `open_job`; it measures the time that each takes."""

    def __init__(
        self,
        config: Config,
        source: Source,
        run: Run,
        target: Location,
        identity: Mapping[str, Any],
        listen: Listener,
        replaces: bool = False,
    ) -> None:
        self.config = config
        self.identity = identity
        self.replaces = replaces
        self.source = source
        self.run = run
        self.target = target
        self.seconds: dict[str, float] = {}
        self._listen = listen

    @contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        if name not in self.seconds:
            self._listen(Began(name))
        began = time.monotonic()
        try:
            yield
        finally:
            spent = time.monotonic() - began
            self.seconds[name] = self.seconds.get(name, 0.0) + spent

    def survey(self) -> int:
        """One pass that learns where the data lie; the number of rows that count."""
        with self._stage("survey"):
            return self.run.survey().rows

    def segment(self) -> FitState:
        """Iterations until a checkpoint is due or the fit has finished."""
        with self._stage("fit"):
            return self.run.advance()

    def finish(self) -> Fitted:
        """Store the model."""
        fitted = self.run.fitted()
        self.run.check_data()
        self.run.folder.check_owner(self.run.epoch)
        extra = {"reading": self.config.data.reading()}
        place = self.run.folder.location.child("final")
        sha256 = save_fitted(place, self.config.model, fitted, extra)
        self.run.folder.vouch({"final": sha256}, self.run.epoch)
        return fitted

    def label(self) -> Any:
        """The label pass, with labels written if the configuration says so."""
        with self._stage("label"):
            writer = self._writer() if self.config.labels.write else None
            found = self.run.label(writer)
            self.run.check_data()
            if writer is not None:
                writer.finish()
            return found

    def _writer(self) -> LabelWriter:
        labels = self.config.labels
        return label_writer(
            self.target,
            tuple(labels.outputs),
            self.source.bounds,
            self.run.fitted().n_columns,
            self.identity,
            overwrite=labels.overwrite or self.replaces,
            noise=self.config.model.noise is not None,
        )

    @property
    def doubts(self) -> tuple[Doubt, ...]:
        """What a careful statistician would doubt of the result, once finished."""
        fitted = self.run.fitted()
        cut = unfinished(fitted, "fit.max_iter", "fit.tol")
        return (*cut, *doubts_of(self.config.model, fitted))

    def summarise(self, labelled: Any) -> Summary:
        """Write summary.json and summary.md: the last thing that a run does."""
        model, fitted = self.run.plan.model, self.run.fitted()
        moved = model.translate(fitted.params, fitted.spread.origin)
        summary = summarise(
            str(self.run.folder.location),
            str(Location(self.config.data.path)),
            self.source,
            self.config.model.name,
            model.minimises,
            fitted,
            model.locations(moved),
            labelled,
            self.run.survey().masked,
            str(self.target) if self.config.labels.write else None,
            self.seconds,
            versions(),
            self.doubts,
        )
        for doubt in self.doubts:
            self._listen(Warned(doubt.message))
        self.run.folder.check_owner(self.run.epoch)
        folder = self.run.folder.folder
        folder.write("summary.md", summary.to_markdown().encode())
        folder.write(_SUMMARY, sealed(summary.to_json(), self.identity))
        return summary

    def complete(self) -> Summary:
        """All stages in order: what `emdist fit` does."""
        self.survey()
        while not self.segment().finished:
            pass
        self.finish()
        return self.summarise(self.label())


def bring_data(config: Config, listen: Listener = unheard) -> IngestSummary | None:
    """Ingest what the configuration names, if ``data.path`` does not exist yet."""
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


def finished_summary(
    location: Location,
    identity: Mapping[str, Any],
    is_whole: Callable[[Mapping[str, Any]], bool] | None = None,
) -> dict[str, Any] | None:
    """The summary of a run that is done, or None: what a second start shows.

    Parameters
    ----------
    location, identity
        Of the run.
    is_whole
        Whether a summary has all that is shown of it; by default of a fit's.
    """
    folder = open_folder(location)
    try:
        summary = unsealed(folder.read(_SUMMARY, MANIFEST_LIMIT), identity)
        if summary is None or not (is_whole or _is_whole)(summary):
            return None
        # Both are made again from the last checkpoint where they are torn or damaged.
        return None if RunFolder(location).read_final() is None else summary
    except NewerFormatError:
        raise
    except (NotFoundError, CheckpointError):
        return None


def _is_whole(summary: Mapping[str, Any]) -> bool:
    result = summary.get("result")
    wanted = {"status", "iterations", "objective"}
    shown = isinstance(result, dict) and result.keys() >= wanted
    return shown and summary.keys() >= {"run", "labels"}


def sealed(summary: bytes, identity: Mapping[str, Any]) -> bytes:
    """A summary with a digest of itself and of the run's `identity`."""
    values = json.loads(summary)
    return (
        json.dumps({**values, _DIGEST: digest([values, dict(identity)])}, indent=2) + "\n"
    ).encode()


def unsealed(data: bytes, identity: Mapping[str, Any]) -> dict[str, Any] | None:
    """A summary, or None if it is damaged or another run's."""
    try:
        values: dict[str, Any] = json.loads(data)
        if not isinstance(values, dict):
            return None
        told = values.pop(_DIGEST, None)
        return values if told == digest([values, dict(identity)]) else None
    except (ValueError, RecursionError):
        return None


@contextmanager
def open_job(
    config: Config, key: str | None = None, listen: Listener = unheard
) -> Iterator[Job | dict[str, Any]]:
    """The job of `config`, or the summary of its run if that is done.

    Everything that can be refused is refused before a cluster starts: the data, the run's
    folder, the place for the labels.

    Parameters
    ----------
    config
        Checked.
    key
        Of the run where the configuration names none.
    listen
        Told what happens.
    """
    bring_data(config, listen)
    source = make_source(config.data)
    location = run_location(config, key)
    target = labels_location(config, location)
    given = checked_start(config, source)
    needs = check_room(
        [config.model],
        config.fit,
        source,
        cluster=config.cluster,
        outputs=config.labels.outputs if config.labels.write else (),
    )
    make_schedule(config.fit, config.model)
    # Once: it lists the chunks of the array, which takes time in an object store.
    found = record(config, source, given)
    identity = {"config": digest(found["config"]), "data": digest(found["data"])}
    folder = RunFolder(location)
    if config.run.extend:
        check_extending(folder, found, [config])
    folder.create_or_check(found, config.run.extend)
    replaces = are_labels_of(target, former_identities(folder, identity))
    labelled = not config.labels.write or labels_stand(config, target, identity, replaces)
    done = finished_summary(location, identity)
    if done is not None and labelled and untouched(source, folder):
        yield done
        return
    listen(Began("open", fit_opening(config, source)))
    tell_moved(folder, listen)
    with (
        make_engine(config.cluster, source, needs) as engine,
        kept_source(config.cluster, source, engine) as kept,
    ):
        run = make_run(config, kept, engine, given, folder, found, listen)
        with releasing(run.folder, run.epoch):
            yield Job(config, kept, run, target, identity, listen, replaces)


def tell_moved(folder: RunFolder, listen: Listener) -> None:
    """Warn where a run that has computed something goes on with another CPU or other packages."""
    if (told := moved(folder.record())) is not None and folder.load("survey") is not None:
        listen(Warned(told))


@contextmanager
def releasing(folder: RunFolder, epoch: int) -> Iterator[None]:
    """Have a run that fails in here before its first checkpoint leave its folder to another."""
    try:
        yield
    except BaseException:
        folder.release(epoch)
        raise
