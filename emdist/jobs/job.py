"""A job: the stages of a run in order, whether it fits one model or chooses among several.

The command line and the Prefect flows call the same stages in the same order; a flow makes each
of them a task.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from emdist.composition.recipe import Recipe
from emdist.fit.events import Began, Listener, Warned
from emdist.fit.fitted import Fitted
from emdist.fit.plan import Plan
from emdist.fit.run import Run
from emdist.fit.together.sweep import SweepState
from emdist.interfaces import Source
from emdist.jobs.finished import SUMMARY, sealed
from emdist.jobs.records import save_fitted
from emdist.quality.doubts import Doubt
from emdist.report.page import Page
from emdist.settings.config import Config
from emdist.store.labels.creation import label_writer
from emdist.store.labels.writer import LabelWriter
from emdist.store.places.location import Location


class Told(Protocol):
    """The summary of a run."""

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""

    def to_json(self) -> bytes:
        """UTF-8, readable."""

    def to_page(self) -> Page:
        """For people."""


C = TypeVar("C", bound=Config)
T = TypeVar("T", bound=Told)


class Job(ABC, Generic[C, T]):
    """The stages of one run. `open_job` makes one; it measures the time that each takes.

    Parameters
    ----------
    config
        Checked.
    recipes
        What it fits.
    source
        Their rows.
    run
        Of them.
    target
        Where labels go.
    identity
        Digests of configuration and data, which labels and summary are held to.
    listen
        Told what happens.
    replaces
        Whether labels at `target` are the run's own, of before it was extended.
    """

    #: What such a run keeps in its folder, besides what every run does.
    own: ClassVar[tuple[str, ...]] = ()
    #: Whether the label pass is made where no labels are written, for what the summary counts.
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
    ) -> None:
        self.config = config
        self.recipes = recipes
        self.source = source
        self.run = run
        self.target = target
        self.identity = identity
        self.replaces = replaces
        self.seconds: dict[str, float] = {}
        self._listen = listen

    @staticmethod
    @abstractmethod
    def opening(config: Any, recipes: Sequence[Recipe], source: Source) -> str:
        """The first line that is shown."""

    @staticmethod
    @abstractmethod
    def is_whole(summary: Mapping[str, Any]) -> bool:
        """Whether a summary that was read back has all that is shown of it."""

    @property
    @abstractmethod
    def chosen(self) -> int:
        """Index of the model that is the result, once finished."""

    @property
    @abstractmethod
    def doubts(self) -> tuple[Doubt, ...]:
        """What a careful statistician would doubt of the result, once finished."""

    @abstractmethod
    def finish(self) -> None:
        """Store the models."""

    @abstractmethod
    def summary(self, labelled: Any) -> T:
        """What is told of the run, of which `label` came to `labelled`."""

    @property
    def plan(self) -> Plan:
        """What the chosen fit does."""
        return self.run.plans[self.chosen]

    @property
    def fitted(self) -> Fitted:
        """The chosen model."""
        return self.run.fitted()[self.chosen]

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
        """Iterations until a checkpoint is due or all fits have finished."""
        with self._stage("fit"):
            return self.run.advance()

    def _save(self, models: Mapping[str, int]) -> None:
        """Store models, each at its place in the run's folder, by index."""
        found = self.run.fitted()
        self.run.check_data()
        folder = self.run.folder
        folder.check_owner(self.run.epoch)
        extra = {"reading": self.config.data.reading()}
        saved = {
            name: save_fitted(
                folder.location.child(name), self.recipes[index].section, found[index], extra
            )
            for name, index in models.items()
        }
        folder.vouch(saved, self.run.epoch)

    def label(self) -> Any:
        """The label pass of the chosen model, with labels written if the configuration says so."""
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
        )

    def summarise(self, labelled: Any) -> T:
        """Write summary.json and summary.md: the last thing that a run does."""
        self.run.folder.check_owner(self.run.epoch)
        summary = self.summary(labelled)
        for doubt in self.doubts:
            self._listen(Warned(doubt.message))
        folder = self.run.folder.folder
        folder.write("summary.md", summary.to_page().to_markdown().encode())
        folder.write(SUMMARY, sealed(summary.to_json(), self.identity))
        return summary

    def complete(self) -> T:
        """All stages in order: what the commands do."""
        self.survey()
        while not self.segment().finished:
            pass
        self.finish()
        return self.summarise(self.label())
