"""A run: one fit with its folder, advanced in segments that a checkpoint closes."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from emdist.errors import CheckpointError, EmdistError
from emdist.fit.events import Iterated, Listener, Planned, Progress, Saved, Warned, unheard
from emdist.fit.extend import reopened
from emdist.fit.fit import Fit
from emdist.fit.fitted import Fitted, result
from emdist.fit.loop import iterate
from emdist.fit.soundness import check_state, check_survey
from emdist.fit.state import FitState
from emdist.fit.survey import Survey, SurveyTask
from emdist.fit.unchanged import Watch, stamps
from emdist.inputs.names import names_of
from emdist.interfaces import Engine, Model, Source
from emdist.store.labels.writer import LabelWriter
from emdist.store.runs.checkpoints import RunFolder
from emdist.store.runs.codec import decode, encode
from emdist.store.runs.run_record import former
from emdist.sums import Sums

log = logging.getLogger(__name__)

_CHECKPOINT = "ckpt"
_SURVEY = "survey"


@dataclass(frozen=True)
class Cadence:
    """How often to checkpoint, and how many to keep.

    Attributes
    ----------
    seconds, iterations
        A segment ends at whichever comes first; `iterations` None for no such limit.
    keep_last, keep_every
        Retention: the last so many, and every so many-th (0 for none). The best is always kept.
    """

    seconds: float = 60.0
    iterations: int | None = None
    keep_last: int = 3
    keep_every: int = 0


@dataclass(frozen=True)
class Plan:
    """What a run does, as `build` puts it together.

    Attributes
    ----------
    source, engine, model
        What is read, where, and what is fitted.
    setup
        Makes the `Fit` once the survey is there.
    survey
        The survey's task.
    n_components
        For the checks of the survey.
    types
        Of the state's open fields, for decoding: see `codec.decode`.
    seed
        Of the fit.
    cadence
        Of checkpoints.
    listen
        Told what happens.
    """

    source: Source
    engine: Engine
    model: Model[Any]
    setup: Callable[[Survey], Fit]
    survey: SurveyTask
    n_components: int
    types: Mapping[str, Any]
    seed: int
    cadence: Cadence = Cadence()
    listen: Listener = unheard


class Run:
    """Advances one fit and keeps its folder up to date.

    It has state, the survey, the newest `FitState` and how it goes on, only to spare doing again
    what it has just done, and the `Fit`, whose schedule may remember what spares work: a new
    `Run` of the same folder goes on with the same bits.
    """

    def __init__(
        self, folder: RunFolder, plan: Plan, record: Mapping[str, Any], extend: bool = False
    ) -> None:
        self.folder = folder
        self.plan = plan
        for warning in folder.create_or_check(record, extend):
            plan.listen(Warned(warning))
        self.epoch = folder.claim()
        if extend:
            folder.extend(record, newest_checkpoint(folder), self.epoch)
        else:
            folder.take_over(record, self.epoch)
        self._survey: Survey | None = None
        self._state: FitState | None = None
        self._fit: Fit | None = None
        self._states: Iterator[FitState] | None = None

    def survey(self) -> Survey:
        """Where the data lie: from the folder, or by one pass over all rows."""
        if self._survey is not None:
            return self._survey
        saved = self.folder.load(_SURVEY)
        if saved is not None:
            survey = decode(Survey, saved.arrays, saved.meta)
            check_survey(survey, self.plan.source.shape[1])
            self._watch().check(survey)
        else:
            found = stamps(self.plan.source)
            survey = self._read_survey()
            survey.check()
            # What the survey refuses leaves nothing behind: the corrected command starts anew.
            self._fit = self.plan.setup(survey)
            self.folder.save(_SURVEY, 0, *encode(survey), self.epoch)
            self.folder.accept(found, self.epoch)
        if survey.masked:
            self.plan.listen(
                Warned(f"{survey.masked} of {survey.masked + survey.rows} rows are left out.")
            )
        if survey.gaps:
            cells = survey.rows * self.plan.source.shape[1]
            self.plan.listen(
                Warned(f"{survey.gaps} of {cells} values are NaN, taken as missing at random.")
            )
        self._survey = survey
        return survey

    def _read_survey(self) -> Survey:
        plan = self.plan
        blocks = range(len(plan.source))
        plan.listen(Progress("survey", 0, len(blocks)))
        return plan.engine.map_reduce(
            plan.survey, blocks, lambda done: plan.listen(Progress("survey", done, len(blocks)))
        )

    def check_data(self) -> None:
        """RunMismatchError if the data is no longer what was surveyed; see `Watch.check`."""
        self._watch().check(self.survey())

    def _watch(self) -> Watch:
        plan = self.plan
        return Watch(plan.source, self.folder, self.epoch, self._read_survey, plan.listen)

    def state(self) -> FitState:
        """The newest state: this process's, the folder's, or the beginning."""
        if self._state is None:
            saved = self.folder.load(_CHECKPOINT)
            if saved is None:
                self._state = FitState(self.plan.seed)
            else:
                state = decode(FitState, saved.arrays, saved.meta, self.plan.types)
                check_state(self.plan.model, state, self.plan.source.shape[1])
                if former(self.folder.record()):
                    # It may have been saved under the stop rules that the run had before.
                    state = reopened(self._prepared().stop, state)
                self._state = state
        return self._state

    def _prepared(self) -> Fit:
        if self._fit is None:
            self._fit = self.plan.setup(self.survey())
        return self._fit

    def advance(self) -> FitState:
        """One segment: iterations until the cadence says so or the fit ends, then a checkpoint.

        Whatever ends it early (Ctrl-C, an orchestrator's signal, a cluster that is lost) saves
        what is done and is raised again.
        """
        state = self.state()
        if state.finished:
            return state
        fit = self._prepared()
        if self._states is None:
            self._states = iterate(fit, state)
        self.plan.listen(Planned(fit.stop.on, fit.stop.tol, fit.stop.max_iter, state.iteration))
        began = before = time.monotonic()
        first = len(state.history)
        try:
            for state in self._states:
                now = time.monotonic()
                self._tell(state, now - before)
                before = now
                self._state = state
                if self._is_due(len(state.history) - first, now - began):
                    break
        except BaseException:  # orchestrators raise signals that are no Exception
            self._states = None
            self._rescue(first)
            raise
        self._save(state)
        return state

    def _rescue(self, first: int) -> None:
        """Save what was done since `first` iterations, without hiding what ended the segment."""
        if self._state is None or len(self._state.history) <= first:
            return
        try:
            self._save(self._state)
        except EmdistError as error:
            log.warning("the iterations since the last checkpoint were not saved: %s", error)

    def _is_due(self, iterations: int, seconds: float) -> bool:
        limit = self.plan.cadence.iterations
        return seconds >= self.plan.cadence.seconds or (limit is not None and iterations >= limit)

    def _tell(self, state: FitState, seconds: float) -> None:
        rows, features = self.plan.source.shape
        nbytes = rows * features * self.plan.source.dtype.itemsize
        told = 0 if self._state is None else len(self._state.history)
        for record in state.history[told:]:  # one of each start that advances abreast
            self.plan.listen(Iterated(record, seconds, rows, nbytes))

    def _save(self, state: FitState) -> None:
        cadence = self.plan.cadence
        number = _sequence(state)
        self.folder.save(_CHECKPOINT, number, *encode(state), self.epoch)
        self.folder.retain(
            _CHECKPOINT, cadence.keep_last, cadence.keep_every, None, epoch=self.epoch
        )
        self.plan.listen(Saved(len(state.history), str(self.folder.location)))

    def fitted(self) -> Fitted:
        """The result; CheckpointError while the fit has not finished."""
        state = self.state()
        if state.best is None or not state.finished:
            raise CheckpointError(
                f"The run in {self.folder.location} has not finished: {state.status.value}"
            )
        names = names_of(self.plan.source)
        return result(state.best, self.survey().spread, state.history, names)

    def label(self, writer: LabelWriter | None) -> Sums:
        """The label pass: ``count`` (k,), ``score`` and ``weight``; resumes where it was cut."""
        plan = self.plan
        total = len(plan.source)
        self.folder.check_owner(self.epoch)
        plan.listen(Progress("label", 0, total))
        return self.fitted().label(
            plan.model,
            plan.source,
            plan.engine,
            writer,
            lambda done: plan.listen(Progress("label", done, total)),
        )


def newest_checkpoint(folder: RunFolder) -> int:
    """Number of the newest checkpoint of a run; 0 if there is none."""
    saved = folder.load(_CHECKPOINT)
    return 0 if saved is None else saved.sequence


def _sequence(state: FitState) -> int:
    """A number that grows with every state that `iterate` yields."""
    return len(state.history) + state.restart + int(state.finished)
