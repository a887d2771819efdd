"""`Run`: advances one fit or a sweep in segments, each of which ends with a checkpoint.

A single fit is a run of one entry. A sweep is a run of several, which share every read.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from emdist.errors import CheckpointError, EmdistError
from emdist.fit.data_changes import Watch, stamps
from emdist.fit.events import (
    Planned,
    Progress,
    Saved,
    Warned,
)
from emdist.fit.extend import reopened
from emdist.fit.fit import Fit
from emdist.fit.fitted import Fitted, result
from emdist.fit.observed import bare, instead
from emdist.fit.online import Streamed, streamed
from emdist.fit.plan import Plan, hear, tell
from emdist.fit.prepared_blocks import uncached
from emdist.fit.preparing import Preparing
from emdist.fit.soundness import check_state, check_survey
from emdist.fit.state import FitState
from emdist.fit.survey import Survey
from emdist.fit.together.abreast import Step
from emdist.fit.together.lockstep import BUDGET
from emdist.fit.together.sweep import (
    Score,
    SweepState,
    advanced_together,
    decode_fits,
    encode_fits,
    merged,
    scored_together,
)
from emdist.inputs.names import names_of
from emdist.prepare.preparation import Preparation
from emdist.store.labels.writer import LabelWriter
from emdist.store.runs.codec import decode, encode
from emdist.store.runs.run_folder import RunFolder
from emdist.store.runs.run_record import former
from emdist.sums import Sums

log = logging.getLogger(__name__)

_CHECKPOINT = "ckpt"
_SURVEY = "survey"


class Run:
    """Advances the fits of a run in the same passes, and keeps its folder up to date.

    Its attributes only avoid repeated work: the survey, the newest `SweepState`, the iterator that
    continues from it, and the fits, whose schedules may remember what saves work. A new `Run` of
    the same folder therefore continues with bit-identical results.

    Parameters
    ----------
    folder
        The folder of the run.
    plans
        The fits, at least one. They have the same source, engine, seed, cadence and listener.
    record
        The values with which run.json is compared.
    budget
        See `emdist.fit.together.lockstep.Lockstep`.
    extend
        Whether the run may go on with other stop rules.
    preparing
        How rows are prepared, or None. The fits then see prepared rows; `plans` are of the rows
        before.
    epoch
        The owner epoch, if this process has claimed the run already.
    """

    def __init__(
        self,
        folder: RunFolder,
        plans: Sequence[Plan],
        record: Mapping[str, Any],
        budget: int = BUDGET,
        extend: bool = False,
        preparing: Preparing | None = None,
        epoch: int | None = None,
    ) -> None:
        self.folder = folder
        self.budget = budget
        self._preparing = preparing
        self._preparation: Preparation | None = None
        self._plans: tuple[Plan, ...] | None = None if preparing else tuple(plans)
        self._alone = not plans[0].name
        for warning in folder.create_or_check(record, extend):
            plans[0].listen(Warned(warning))
        self.epoch = folder.claim() if epoch is None else epoch
        if extend:
            folder.extend(record, newest_checkpoint(folder), self.epoch)
        else:
            folder.take_over(record, self.epoch)
        self._survey: Survey | None = None
        self._fits: tuple[Fit, ...] | None = None
        self._state: SweepState | None = None
        self._states: Iterator[tuple[SweepState, list[Step]]] | None = None

    @property
    def plans(self) -> tuple[Plan, ...]:
        """The fits. If rows are prepared, the first use of it may take passes over the data."""
        if self._plans is None:
            assert self._preparing is not None
            self._preparation = self._preparing.learned(self.folder, self.epoch)
            self._plans = self._preparing.ready(self._preparation)
        return self._plans

    @property
    def plan(self) -> Plan:
        """The first fit."""
        return self.plans[0]

    @property
    def preparation(self) -> Preparation | None:
        """How the rows are prepared, or None."""
        return self._preparation if self.plans else None

    def survey(self) -> Survey:
        """Return the survey for the largest model: from the folder, or by one pass."""
        if self._survey is not None:
            return self._survey
        plan = self.plan
        saved = self.folder.load(_SURVEY)
        if saved is not None:
            survey = decode(Survey, saved.arrays, saved.meta)
            check_survey(survey, plan.source.shape[1])
            self._watch().check(survey)
        else:
            found = stamps(plan.source)
            if self._preparing is not None:
                self._preparing.check_unchanged(self.folder, found)
            survey = self._read_survey()
            survey.check(plan.source)
            # If setting up refuses the survey, nothing is stored: a corrected command starts again.
            self._fits = self._set_up(survey)
            self.folder.save(_SURVEY, 0, *encode(survey), self.epoch)
            self.folder.accept(found, self.epoch)
        if survey.masked:
            plan.listen(
                Warned(f"{survey.masked:,} of {survey.masked + survey.rows:,} rows are left out.")
            )
        if survey.gaps:
            cells = survey.rows * plan.source.shape[1]
            plan.listen(
                Warned(
                    f"{survey.gaps:,} of {cells:,} values are NaN, which counts as missing at "
                    "random."
                )
            )
        self._survey = survey
        return survey

    def _read_survey(self, again: bool = False) -> Survey:
        """Survey all rows in one pass, for all fits of the run. `again` reads none from the cache.

        What is kept in memory does not show that files have changed.
        """
        plan, total = self.plan, len(self.plan.source)
        task = plan.survey if self._alone else merged([one.survey for one in self.plans])
        if again:
            stored = instead(task.source, uncached(bare(task.source)))
            task = replace(task, source=stored)
        plan.listen(Progress("survey", 0, total))
        return plan.engine.map_reduce(
            task, range(total), lambda done: plan.listen(Progress("survey", done, total))
        )

    def _set_up(self, survey: Survey) -> tuple[Fit, ...]:
        return tuple(one.setup(one.seen(survey)) for one in self.plans)

    def check_data(self) -> None:
        """Raise RunMismatchError if the data are not what was surveyed. See `Watch.check`."""
        self._watch().check(self.survey())

    def _watch(self) -> Watch:
        plan = self.plan
        return Watch(
            plan.source, self.folder, self.epoch, lambda: self._read_survey(again=True), plan.listen
        )

    def fits(self) -> tuple[Fit, ...]:
        """Return the `Fit` of each plan, set up with the survey."""
        if self._fits is None:
            survey = self.survey()  # which also sets up the fits if it reads the data
            self._fits = self._fits or self._set_up(survey)
        return self._fits

    def state(self) -> SweepState:
        """Return the newest state: of this process, or of the folder, or a new one."""
        if self._state is None:
            saved = self.folder.load(_CHECKPOINT)
            if saved is None:
                self._state = SweepState(tuple(FitState(one.seed) for one in self.plans))
            else:
                types = [plan.types for plan in self.plans]
                state = decode_fits(saved.arrays, saved.meta, types, self._alone)
                for plan, one in zip(self.plans, state.fits, strict=True):
                    check_state(plan.model, one, plan.source.shape[1])
                if former(self.folder.record()):
                    # The run may have saved it under the stop rules that it had before.
                    each = zip(self.fits(), state.fits, strict=True)
                    state = SweepState(tuple(reopened(fit.stop, one) for fit, one in each))
                self._state = state
        return self._state

    def advance(self) -> SweepState:
        """Run one segment: passes until the cadence ends it or all fits end, then a checkpoint.

        If anything ends it early (Ctrl-C, a signal of an orchestrator, a lost cluster), the
        iterations done so far are saved and the exception is raised again.
        """
        state = self.state()
        if state.finished:
            return state
        fits = self.fits()
        if self._states is None:
            heard = partial(hear, self.plans)
            self._states = advanced_together(fits, state, heard, self._passing, self.budget)
        stop = fits[0].stop
        longest = max(fit.stop.max_iter for fit in fits)
        done = max(one.iteration for one in state.fits)
        self.plan.listen(Planned(stop.on, stop.tol, longest, done, fits[0].n_init))
        began = before = time.monotonic()
        first, reached = state.iterations, _reached(state)
        try:
            for state, steps in self._states:
                now = time.monotonic()
                self._state = state
                tell(self.plans, steps, now - before)
                before = now
                if self._is_due(_reached(state) - reached, now - began):
                    break
        except BaseException:  # Orchestrators raise signals that are not subclasses of Exception.
            self._states = None
            self._rescue(first)
            raise
        self._save(state)
        return state

    def _passing(self, fits: int, done: int, total: int) -> None:
        self.plan.listen(Progress(f"pass of {fits} model{'s' * (fits != 1)}", done, total))

    def _is_due(self, iterations: int, seconds: float) -> bool:
        limit = self.plan.cadence.iterations
        return seconds >= self.plan.cadence.seconds or (limit is not None and iterations >= limit)

    def _rescue(self, first: int) -> None:
        """Save what was done since `first` iterations, but let the original error go on."""
        if self._state is None or self._state.iterations <= first:
            return
        try:
            self._save(self._state)
        except EmdistError as error:
            log.warning("The iterations since the last checkpoint were not saved: %s", error)

    def _save(self, state: SweepState) -> None:
        """Write a checkpoint, and delete those that the cadence does not keep."""
        cadence = self.plan.cadence
        arrays, meta = encode_fits(state, self._alone)
        self.folder.save(_CHECKPOINT, state.sequence, arrays, meta, self.epoch, _progress(state))
        self.folder.retain(
            _CHECKPOINT, cadence.keep_last, cadence.keep_every, None, epoch=self.epoch
        )
        restarts = sum(one.n_init for one in self.fits())
        where = str(self.folder.location)
        self.plan.listen(Saved(state.iterations, where, len(self.plans), restarts))

    def fitted(self) -> tuple[Fitted, ...]:
        """Return the result of each fit; raise CheckpointError if one has not finished."""
        found = []
        for plan, state in zip(self.plans, self.state().fits, strict=True):
            if state.best is None or not state.finished:
                what = f"The fit {plan.name} of the sweep" if plan.name else "The run"
                raise CheckpointError(
                    f"{what} in {self.folder.location} has not finished: {state.status.value}"
                )
            spread = plan.seen(self.survey()).spread
            names = names_of(plan.source)
            made = result(state.best, spread, state.history, names, self.preparation)
            found.append(plan.aligned(made))
        return tuple(found)

    def streams(self) -> tuple[Streamed | None, ...]:
        """Return what each finished fit leaves for the next rows of a stream, or None."""
        return tuple(map(streamed, self.state().fits))

    def scores(self, entropy: bool) -> list[Score]:
        """Return the score of each result on all rows, in one more read. See `scored_together`."""
        return scored_together(
            self.fits(), self.state().fits, entropy, self.plan.listen, self.budget
        )

    def label(self, which: int, writer: LabelWriter | None) -> Sums:
        """Label all rows by one fit; resume where an earlier labelling was interrupted.

        The sums are ``count`` (c,), ``score`` and ``weight``, as in `Fitted.label`.
        """
        self.folder.check_owner(self.epoch)
        return self._labelled("label", self.plans[which], self.fitted()[which], writer)

    def label_by_reference(self) -> Sums:
        """Return the sums of a pass in which the model of `Plan.reference` labels the rows."""
        assert self.plan.reference is not None
        return self._labelled("drift", self.plan, self.plan.reference)

    def _labelled(
        self, what: str, plan: Plan, fitted: Fitted, writer: LabelWriter | None = None
    ) -> Sums:
        total = len(plan.source)
        plan.listen(Progress(what, 0, total))
        return fitted.label(
            plan.model,
            plan.source,
            plan.engine,
            writer,
            lambda done: plan.listen(Progress(what, done, total)),
        )


def newest_checkpoint(folder: RunFolder) -> int:
    """Return the number of the newest checkpoint of a run, or 0 if there is none."""
    saved = folder.load(_CHECKPOINT)
    return 0 if saved is None else saved.sequence


def _progress(state: SweepState) -> dict[str, Any]:
    """Return what a checkpoint says of the progress: iterations, and the objective of one fit."""
    history = state.fits[0].history if len(state.fits) == 1 else ()
    objective = history[-1].objective if history else math.nan
    return {
        "iterations": state.iterations,
        "objective": objective if math.isfinite(objective) else None,
    }


def _reached(state: SweepState) -> int:
    """Return how many iterations, over all restarts, the fit with the most has made."""
    return max(len(one.history) for one in state.fits)
