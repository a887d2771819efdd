"""A run of many fits: one folder, advanced in segments that a checkpoint of all closes."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from emdist.errors import CheckpointError, EmdistError
from emdist.fit.events import Event, Iterated, Planned, Progress, Saved, Warned
from emdist.fit.extend import reopened
from emdist.fit.fit import Fit
from emdist.fit.fitted import Fitted, result
from emdist.fit.run import Plan, newest_checkpoint
from emdist.fit.soundness import check_state, check_survey
from emdist.fit.state import FitState
from emdist.fit.survey import Survey
from emdist.fit.together.abreast import Step
from emdist.fit.together.lockstep import BUDGET
from emdist.fit.together.sweep import (
    Score,
    SweepState,
    advanced_together,
    decode_sweep,
    encode_sweep,
    merged,
    narrowed,
    scored_together,
    surveyed_together,
)
from emdist.fit.unchanged import Watch, stamps
from emdist.inputs.names import names_of
from emdist.store.runs.checkpoints import RunFolder
from emdist.store.runs.codec import decode, encode
from emdist.store.runs.run_record import former

log = logging.getLogger(__name__)

_CHECKPOINT = "ckpt"
_SURVEY = "survey"


@dataclass(frozen=True)
class Entry:
    """One fit of a sweep: what it is called, and what it does."""

    name: str
    plan: Plan


class SweepRun:
    """Advances many fits in the same passes and keeps their folder up to date.

    It has state, the survey, the newest `SweepState` and how it goes on, only to spare doing again
    what it has just done: a new `SweepRun` of the same folder goes on with the same bits.

    Parameters
    ----------
    folder
        Of the run.
    entries
        Fits of one source, on one engine, with one seed, cadence and listener.
    record
        What run.json is held to.
    budget
        See `emdist.fit.together.lockstep.Lockstep`.
    extend
        Whether the run may go on with other stop rules.
    """

    def __init__(
        self,
        folder: RunFolder,
        entries: Sequence[Entry],
        record: Mapping[str, Any],
        budget: int = BUDGET,
        extend: bool = False,
    ) -> None:
        self.folder = folder
        self.entries = tuple(entries)
        self.plan = entries[0].plan
        self.budget = budget
        for warning in folder.create_or_check(record, extend):
            self.plan.listen(Warned(warning))
        self.epoch = folder.claim()
        if extend:
            folder.extend(record, newest_checkpoint(folder), self.epoch)
        else:
            folder.take_over(record, self.epoch)
        self._surveyed: Survey | None = None
        self._fits: tuple[Fit, ...] | None = None
        self._state: SweepState | None = None
        self._states: Iterator[tuple[SweepState, list[Step]]] | None = None

    def survey(self) -> Survey:
        """Where the data lie, for the largest model: from the folder, or by one pass."""
        if self._surveyed is not None:
            return self._surveyed
        saved = self.folder.load(_SURVEY)
        if saved is not None:
            survey = decode(Survey, saved.arrays, saved.meta)
            check_survey(survey, self.plan.source.shape[1])
            self._watch().check(survey)
        else:
            found = stamps(self.plan.source)
            survey = self._read_survey()
            survey.check()
            self.folder.save(_SURVEY, 0, *encode(survey), self.epoch)
            self.folder.accept(found, self.epoch)
        if survey.masked:
            self.plan.listen(
                Warned(f"{survey.masked} of {survey.masked + survey.rows} rows are left out.")
            )
        self._surveyed = survey
        return survey

    def _read_survey(self) -> Survey:
        plan, total = self.plan, len(self.plan.source)
        whole = merged([entry.plan.survey for entry in self.entries])
        plan.listen(Progress("survey", 0, total))
        (survey,) = surveyed_together(
            [whole], plan.engine, lambda done: plan.listen(Progress("survey", done, total))
        )
        return survey

    def check_data(self) -> None:
        """RunMismatchError if the data is no longer what was surveyed; see `Watch.check`."""
        self._watch().check(self.survey())

    def _watch(self) -> Watch:
        plan = self.plan
        return Watch(plan.source, self.folder, self.epoch, self._read_survey, plan.listen)

    def fits(self) -> tuple[Fit, ...]:
        """What each fit works with, by the survey."""
        if self._fits is None:
            survey = self.survey()
            self._fits = tuple(
                replace(one.plan.setup(narrowed(survey, one.plan.survey)), listen=self.plan.listen)
                for one in self.entries
            )
        return self._fits

    def state(self) -> SweepState:
        """The newest state: this process's, the folder's, or the beginning."""
        if self._state is None:
            saved = self.folder.load(_CHECKPOINT)
            if saved is None:
                self._state = SweepState(tuple(FitState(e.plan.seed) for e in self.entries))
            else:
                types = [entry.plan.types for entry in self.entries]
                state = decode_sweep(saved.arrays, saved.meta, types)
                for entry, one in zip(self.entries, state.fits, strict=True):
                    check_state(entry.plan.model, one, self.plan.source.shape[1])
                if former(self.folder.record()):
                    each = zip(self.fits(), state.fits, strict=True)
                    state = SweepState(tuple(reopened(fit.stop, one) for fit, one in each))
                self._state = state
        return self._state

    def advance(self) -> SweepState:
        """One segment: passes until the cadence says so or all fits end, then a checkpoint.

        Whatever ends it early saves what is done and is raised again.
        """
        state = self.state()
        if state.finished:
            return state
        fits = self.fits()
        if self._states is None:
            self._states = advanced_together(fits, state, self._heard, self._passing, self.budget)
        stop = fits[0].stop
        longest = max(fit.stop.max_iter for fit in fits)
        self.plan.listen(Planned(stop.on, stop.tol, longest, _reached(state)))
        began = before = time.monotonic()
        first, reached = state.iterations, _reached(state)
        try:
            for state, steps in self._states:
                now = time.monotonic()
                self._state = state
                self._tell(steps, now - before)
                before = now
                if self._is_due(_reached(state) - reached, now - began):
                    break
        except BaseException:  # orchestrators raise signals that are no Exception
            self._states = None
            self._rescue(first)
            raise
        self._save(state)
        return state

    def _passing(self, fits: int, done: int, total: int) -> None:
        self.plan.listen(Progress(f"pass of {fits} model(s)", done, total))

    def _heard(self, index: int, event: Event) -> None:
        if isinstance(event, Warned):
            event = Warned(f"{self.entries[index].name}: {event.message}")
        self.plan.listen(event)

    def _tell(self, steps: Sequence[Step], seconds: float) -> None:
        rows, features = self.plan.source.shape
        nbytes = rows * features * self.plan.source.dtype.itemsize
        for step in steps:
            name = self.entries[step.index].name
            for record in step.records:
                self.plan.listen(Iterated(record, seconds, rows, nbytes, name))

    def _is_due(self, iterations: int, seconds: float) -> bool:
        limit = self.plan.cadence.iterations
        return seconds >= self.plan.cadence.seconds or (limit is not None and iterations >= limit)

    def _rescue(self, first: int) -> None:
        """Save what was done since `first` iterations, without hiding what ended the segment."""
        if self._state is None or self._state.iterations <= first:
            return
        try:
            self._save(self._state)
        except EmdistError as error:
            log.warning("the iterations since the last checkpoint were not saved: %s", error)

    def _save(self, state: SweepState) -> None:
        cadence = self.plan.cadence
        self.folder.save(_CHECKPOINT, state.sequence, *encode_sweep(state), self.epoch)
        self.folder.retain(
            _CHECKPOINT, cadence.keep_last, cadence.keep_every, None, epoch=self.epoch
        )
        self.plan.listen(Saved(state.iterations, str(self.folder.location)))

    def fitted(self) -> tuple[Fitted, ...]:
        """The results; CheckpointError while a fit has not finished."""
        found = []
        for entry, fit, state in zip(self.entries, self.fits(), self.state().fits, strict=True):
            if state.best is None or not state.finished:
                raise CheckpointError(
                    f"The fit {entry.name} of the sweep in {self.folder.location} has not "
                    f"finished: {state.status.value}"
                )
            names = names_of(entry.plan.source)
            found.append(result(state.best, fit.survey.spread, state.history, names))
        return tuple(found)

    def scores(self, entropy: bool) -> list[Score]:
        """Each result held against all rows, in one more read; see `scored_together`."""
        return scored_together(
            self.fits(), self.state().fits, entropy, self.plan.listen, self.budget
        )


def _reached(state: SweepState) -> int:
    """Iterations of the fit that has made the most."""
    return max(len(one.history) for one in state.fits)
