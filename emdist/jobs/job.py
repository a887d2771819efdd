"""`Job`, base class of a run's work: its stages in order, for one model or several.

The command line and the Prefect flows call the same stages in the same order. A flow makes each
stage a task.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from emdist.composition.forecast import compared
from emdist.composition.recipe import Recipe
from emdist.fit.events import Began, Listener, Warned
from emdist.fit.fitted import Fitted
from emdist.fit.plan import Plan
from emdist.fit.run import Run
from emdist.fit.together.sweep import SweepState
from emdist.inputs.names import naming
from emdist.interfaces import FORMAT_VERSION, Source
from emdist.jobs.finished import SUMMARY, sealed
from emdist.jobs.label_target import coordinates_to_store
from emdist.jobs.records import save_fitted
from emdist.quality.doubts import Doubt
from emdist.quality.drift import Reference
from emdist.report.page import Page
from emdist.settings.config import Config
from emdist.store.labels.creation import label_writer
from emdist.store.labels.writer import LabelWriter
from emdist.store.places.location import Location
from emdist.store.runs.run_folder import PLAN
from emdist.store.runs.sealed import document

#: Bytes of decoded data from which ``run.plan: auto`` makes a trial.
_LARGE = 1 << 30


class Told(Protocol):
    """The interface of a run's summary."""

    def to_dict(self) -> dict[str, Any]:
        """Return the summary as JSON values."""

    def to_json(self) -> bytes:
        """Return the summary as readable JSON, in UTF-8."""

    def to_page(self) -> Page:
        """Return the summary as a page of text and tables."""


C = TypeVar("C", bound=Config)
T = TypeVar("T", bound=Told)


class Job(ABC, Generic[C, T]):
    """The stages of one run. `open_job` makes a job, which measures how long each stage takes.

    Parameters
    ----------
    config
        The checked configuration.
    recipes
        The models and fits of the run.
    source
        The rows to which they are fitted.
    run
        The run, which computes and saves them.
    target
        Location of the labels.
    identity
        Digests of configuration and data. Labels and summary of the run must agree with them.
    listen
        Called with each event.
    replaces
        Whether labels at `target` are this run's own, from before it was extended. The run may
        replace them.
    reference
        What the earlier model that the run starts from had on its own data; None without one.
    """

    #: The Prefect flow that does the same: ``emdist flow NAME``.
    flow: ClassVar[str] = "cluster"
    #: Names in the run's folder that such a run uses, besides those that every run uses.
    own: ClassVar[tuple[str, ...]] = ()
    #: Whether to make the label pass even if no labels are written, for the summary's counts.
    counts: ClassVar[bool] = True

    def __init__(
        self,
        config: C,
        recipes: tuple[Recipe, ...],
        source: Source,
        run: Run,
        target: Location,
        identity: Mapping[str, Any],
        listen: Listener,
        replaces: bool = False,
        reference: Reference | None = None,
    ) -> None:
        self.config = config
        self.recipes = recipes
        self.source = source
        self.run = run
        self.target = target
        self.identity = identity
        self.replaces = replaces
        self.reference = reference
        self.seconds: dict[str, float] = {}
        self._listen = listen
        #: Predicts what the run needs; set by `open_job`.
        self.forecast: Callable[[], dict[str, Any]] | None = None
        self._foreseen: dict[str, Any] | None = None

    @staticmethod
    @abstractmethod
    def opening(config: Any, recipes: Sequence[Recipe], source: Source) -> str:
        """Return the first line that is shown."""

    @staticmethod
    @abstractmethod
    def is_whole(summary: Mapping[str, Any]) -> bool:
        """Return whether a stored summary has all values that are shown."""

    @property
    @abstractmethod
    def chosen(self) -> int:
        """Index of the model that is the result. Defined once the fits have finished."""

    @property
    @abstractmethod
    def doubts(self) -> tuple[Doubt, ...]:
        """Reasons why the result may be misleading. Defined once the fits have finished."""

    @abstractmethod
    def finish(self) -> None:
        """Store the models in the run's folder."""

    @abstractmethod
    def summary(self, labelled: Any) -> T:
        """Make the summary of the run from the result `labelled` of `label`."""

    @property
    def plan(self) -> Plan:
        """The plan of the chosen fit."""
        return self.run.plans[self.chosen]

    @property
    def fitted(self) -> Fitted:
        """The chosen model, fitted."""
        return self.run.fitted()[self.chosen]

    @contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        if name not in self.seconds:
            self._listen(Began(name))
        began = time.monotonic()
        try:
            with naming(self.source):
                yield
        finally:
            spent = time.monotonic() - began
            self.seconds[name] = self.seconds.get(name, 0.0) + spent

    def is_foreseeable(self, auto: bool = False) -> bool:
        """Return whether a trial is asked for, and the run has not begun.

        `auto` says that ``run.plan: auto`` asks for it, if the data are not small.
        """
        wanted, (rows, features) = self.config.run.plan, self.source.shape
        large = rows * features * self.source.dtype.itemsize >= _LARGE
        asked = wanted == "always" or (wanted == "auto" and auto and large)
        return asked and self.forecast is not None and self.run.folder.load("survey") is None

    def foresee(self) -> dict[str, Any]:
        """Predict how long the run takes, by a trial, and store it with the run."""
        assert self.forecast is not None
        with self._stage("plan"):
            found = self.forecast()
        if found["problem"]:
            self._listen(Warned(f"The trial of run.plan failed. {found['problem']}"))
        folder = self.run.folder
        folder.check_owner(self.run.epoch)
        folder.folder.write(PLAN, document({"format": FORMAT_VERSION, **found}))
        self._foreseen = found
        return found

    def planned(self) -> dict[str, Any] | None:
        """Return what was predicted and what it took; None unless this process did all of it."""
        if self._foreseen is None or self._foreseen["seconds"] is None:
            return None
        # Restarts and models iterate side by side.
        each = Counter(
            (index, record.restart)
            for index, state in enumerate(self.run.state().fits)
            for record in state.history
        )
        iterations = max(each.values(), default=0)
        return compared(self._foreseen, self.seconds, iterations)

    def survey(self) -> int:
        """Make the survey pass, and return the number of rows that are not left out."""
        with self._stage("survey"):
            return self.run.survey().rows

    def segment(self) -> SweepState:
        """Iterate until a checkpoint is due or all fits have finished."""
        with self._stage("fit"):
            return self.run.advance()

    def _save(self, models: Mapping[str, int]) -> None:
        """Store models, given as name in the run's folder -> index of the model."""
        found = self.run.fitted()
        self.run.check_data()
        folder = self.run.folder
        folder.check_owner(self.run.epoch)
        extra, streams = {"reading": self.config.data.reading()}, self.run.streams()
        saved = {
            name: save_fitted(
                folder.location.child(name),
                self.recipes[index].section,
                found[index],
                extra,
                streams[index],
            )
            for name, index in models.items()
        }
        folder.vouch(saved, self.run.epoch)

    def label(self) -> Any:
        """Make the label pass of the chosen model, and write labels if the configuration asks."""
        if not (self.config.labels.write or self.counts):
            return None
        with self._stage("label"):
            writer = self._writer() if self.config.labels.write else None
            found = self.run.label(self.chosen, writer)
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
            self.fitted.n_columns,
            self.identity,
            overwrite=labels.overwrite or self.replaces,
            noise=self.config.model.noise is not None,
            components=labels.components,
            coordinates=coordinates_to_store(self.source, self._listen),
        )

    def summarise(self, labelled: Any) -> T:
        """Write summary.json and summary.md, which completes the run, and return the summary."""
        self.run.folder.check_owner(self.run.epoch)
        summary = self.summary(labelled)
        for doubt in self.doubts:
            self._listen(Warned(doubt.message))
        folder = self.run.folder.folder
        folder.write("summary.md", summary.to_page().to_markdown().encode())
        folder.write(SUMMARY, sealed(summary.to_json(), self.identity))
        return summary

    def complete(self) -> T:
        """Do all stages in order, as the commands do, and return the summary."""
        if self.is_foreseeable():
            self.foresee()
        self.survey()
        while not self.segment().finished:
            pass
        self.finish()
        return self.summarise(self.label())
