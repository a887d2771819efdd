"""A sweep's job: many models in one read, scored, the best labelled, all of them saved."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from emdist.build.compose import ahead_source, make_engine, make_plan, make_source
from emdist.build.room import check_room
from emdist.build.sweep_config import SweepConfig
from emdist.errors import StartError
from emdist.fit.events import Began, Listener, Progress, Warned, unheard
from emdist.fit.fitted import Fitted
from emdist.fit.start import Given
from emdist.fit.together.sweep import SweepState
from emdist.fit.together.sweep_run import Entry, SweepRun
from emdist.fit.unchanged import untouched
from emdist.interfaces import Source
from emdist.jobs.extend import check_extending, former_identities
from emdist.jobs.label_target import labels_location, labels_stand
from emdist.jobs.records import record, save_fitted, versions
from emdist.jobs.run import (
    bring_data,
    finished_summary,
    releasing,
    sealed,
    tell_moved,
)
from emdist.quality.doubts import Doubt, doubts_of
from emdist.quality.ranking import Naming, Row, best_of, doubts_about, rows_of, shown_criteria
from emdist.report.opening import sweep_opening
from emdist.report.sweep import SweepSummary, criterion_figure
from emdist.runtime.extras import advice, installed
from emdist.store.labels.creation import label_writer
from emdist.store.labels.place import are_labels_of
from emdist.store.places.location import Location
from emdist.store.runs.checkpoints import RunFolder
from emdist.store.runs.run_record import digest

#: Folder of the models, and file of the figure, within the run's.
MODELS, FIGURE = "models", "criterion.png"
#: What the settings are called in configurations.
_NAMES = Naming("sweep.n_components", "sweep.allow_degenerate", "fit.max_iter", "fit.tol")


class SweepJob:
    """The stages of one sweep. Make one with `open_sweep`; it measures the time that each takes."""

    def __init__(
        self,
        config: SweepConfig,
        source: Source,
        run: SweepRun,
        target: Location,
        identity: Mapping[str, Any],
        listen: Listener,
        replaces: bool = False,
    ) -> None:
        self.config = config
        self.source = source
        self.run = run
        self.target = target
        self.identity = identity
        self.replaces = replaces
        self.candidates = config.candidates()
        self.criterion = config.criterion()
        self.seconds: dict[str, float] = {}
        self.rows: tuple[Row, ...] = ()
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

    def segment(self) -> SweepState:
        """Passes until a checkpoint is due or all fits have finished."""
        with self._stage("fit"):
            return self.run.advance()

    def finish(self) -> tuple[Row, ...]:
        """One more read that scores all models; each is stored, and the best as the run's own."""
        with self._stage("score"):
            scores = self.run.scores(self.criterion == "icl" and not self._minimises)
        found = self.run.fitted()
        names = [one.name for one in self.candidates]
        sections = [one.model for one in self.candidates]
        wanted = shown_criteria(self.criterion, sections)
        moments = self.run.survey().moments
        self.rows = tuple(rows_of(names, sections, found, scores, wanted, moments))
        self.run.check_data()
        folder = self.run.folder
        folder.check_owner(self.run.epoch)
        extra = {"reading": self.config.data.reading()}
        saved = {}
        for name, section, fitted in zip(names, sections, found, strict=True):
            place = folder.location.child(MODELS).child(name)
            saved[f"{MODELS}/{name}"] = save_fitted(place, section, fitted, extra)
        best, place = self.best, folder.location.child("final")
        saved["final"] = save_fitted(place, sections[best], found[best], extra)
        folder.vouch(saved, self.run.epoch)
        return self.rows

    @property
    def best(self) -> int:
        """Index of the best model, once finished."""
        return best_of(self.rows, self.criterion, self.config.sweep.allow_degenerate)

    @property
    def doubts(self) -> tuple[Doubt, ...]:
        """What a careful statistician would doubt of the choice, once finished."""
        families = [row.family for row in self.rows]
        own = doubts_of(self.candidates[self.best].model, self.run.fitted()[self.best])
        return (
            *doubts_about(self.rows, self.best, self.criterion, _NAMES, families),
            *(doubt for doubt in own if doubt.kind != "floor" or self.rows[self.best].degenerate),
        )

    @property
    def _minimises(self) -> bool:
        return any(entry.plan.model.minimises for entry in self.run.entries)

    def label(self) -> None:
        """The label pass of the best model, if the configuration says so."""
        labels, fitted = self.config.labels, self.run.fitted()[self.best]
        if not labels.write:
            return
        with self._stage("label"):
            self.run.folder.check_owner(self.run.epoch)
            writer = label_writer(
                self.target,
                tuple(labels.outputs),
                self.source.bounds,
                fitted.n_columns,
                self.identity,
                overwrite=labels.overwrite or self.replaces,
                noise=self.config.model.noise is not None,
            )
            self._labelled(fitted, writer)
            self.run.check_data()
            writer.finish()

    def _labelled(self, fitted: Fitted, writer: Any) -> None:
        plan, total = self.run.entries[self.best].plan, len(self.source)
        self._listen(Progress("label", 0, total))
        fitted.label(
            plan.model,
            self.source,
            plan.engine,
            writer,
            lambda done: self._listen(Progress("label", done, total)),
        )

    def summarise(self) -> SweepSummary:
        """Write the figure, summary.json and summary.md: the last things that a run does."""
        self.run.folder.check_owner(self.run.epoch)
        folder, best = self.run.folder.folder, self.rows[self.best].name
        figure = None
        if installed("matplotlib"):
            folder.write(FIGURE, criterion_figure(self.rows, self.criterion, best))
            figure = str(self.run.folder.location.child(FIGURE))
        else:
            self._listen(
                Warned(
                    f"{FIGURE} is not drawn: that needs the package matplotlib, which is not "
                    f"installed. {advice('report')}"
                )
            )
        for doubt in self.doubts:
            self._listen(Warned(doubt.message))
        rows, features = self.source.shape
        summary = SweepSummary(
            str(self.run.folder.location),
            {
                "array": str(Location(self.config.data.path)),
                "rows": rows,
                "features": features,
                "dtype": str(self.source.dtype),
                "blocks": len(self.source),
                "bytes": rows * features * self.source.dtype.itemsize,
            },
            self.criterion,
            best,
            self.rows,
            "inertia" if self._minimises else "log-likelihood per row",
            str(self.target) if self.config.labels.write else None,
            figure,
            {stage: round(value, 3) for stage, value in self.seconds.items()},
            versions(),
            tuple(asdict(doubt) for doubt in self.doubts),
            self.config.sweep.criterion is None,
        )
        folder.write("summary.md", summary.to_page().to_markdown().encode())
        folder.write("summary.json", sealed(summary.to_json(), self.identity))
        return summary

    def complete(self) -> SweepSummary:
        """All stages in order: what `emdist sweep` does."""
        self.survey()
        while not self.segment().finished:
            pass
        self.finish()
        self.label()
        return self.summarise()


@contextmanager
def open_sweep(
    config: SweepConfig, key: str | None = None, listen: Listener = unheard
) -> Iterator[SweepJob | dict[str, Any]]:
    """The job of `config`, or the summary of its run if that is done.

    Everything that can be refused is refused before a cluster starts, as in `jobs.run.open_job`.
    """
    config.criterion()
    bring_data(config, listen)
    source = make_source(config.data)
    candidates = config.candidates()
    most = max(one.model.n_components for one in candidates)
    if most > source.shape[0]:
        raise StartError(
            f"{most} components for {source.shape[0]} rows; wanted at least one row for each. "
            "Leave the larger numbers out of sweep.n_components."
        )
    models = [one.model for one in candidates]
    outputs = config.labels.outputs if config.labels.write else ()
    needs = check_room(models, config.fit, source, cluster=config.cluster, outputs=outputs)
    location = config.location(key)
    target = labels_location(config, location, (MODELS, FIGURE))
    found = record(config, source, Given())
    identity = {"config": digest(found["config"]), "data": digest(found["data"])}
    folder = RunFolder(location)
    if config.run.extend:
        check_extending(folder, found, candidates)
    folder.create_or_check(found, config.run.extend)
    replaces = are_labels_of(target, former_identities(folder, identity))
    labelled = not config.labels.write or labels_stand(config, target, identity, replaces)
    done = finished_summary(location, identity, _is_whole)
    if done is not None and labelled and untouched(source, folder):
        yield done
        return
    listen(Began("open", sweep_opening(config, source)))
    tell_moved(folder, listen)
    with make_engine(config.cluster, source, needs) as engine:
        source = ahead_source(source, engine, config.cluster.memory)
        entries = [
            Entry(one.name, make_plan(one.config, source, engine, Given(), listen))
            for one in candidates
        ]
        run = SweepRun(folder, entries, found, config.sweep.budget, config.run.extend)
        with releasing(run.folder, run.epoch):
            yield SweepJob(config, source, run, target, identity, listen, replaces)


def _is_whole(summary: Mapping[str, Any]) -> bool:
    wanted = {"run", "best", "criterion", "labels"}
    return isinstance(summary.get("models"), list) and summary.keys() >= wanted
