"""The parts of an iteration that schedules share: a pass, its objective, the next parameters."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from emdist.errors import CollapseError, DataError
from emdist.fit.collapse import Pass, mend
from emdist.fit.events import Warned
from emdist.fit.fit import Fit
from emdist.fit.passes import EStep
from emdist.fit.state import FitState, Record
from emdist.interfaces import Floats, Numerics, Turn
from emdist.sums import Sums

#: A bound that falls by less than this part of itself, or so many nats, has only been rounded.
ROUNDING = {"float64": 1e-9, "float32": 1e-5}


def shared_of(sums: Sums) -> dict[str, Floats]:
    """The statistics that are gathered once per run, of the pass that gathered them."""
    return {name: sums[name] for name in sums if name.startswith("shared.")}


def turned(fit: Fit, state: FitState) -> Fit:
    """`fit` with its model as it computes in the iteration that follows `state`."""
    turn = Turn(state.seed, state.restart, state.iteration + 1)
    return replace(fit, model=fit.model.at(turn))


def one_pass(fit: Fit, state: FitState) -> tuple[Pass, Any]:
    """A pass over all rows, and the plain M-step of its sums, which hold the shared ones."""
    last, new = _pass(fit, state, fit.numerics(state.params))
    if last.numerics.dtype == "float32" and not _resolved(fit, last, new):
        # Once more in float64: sums of float32 tiles overflow early, and cannot tell how narrow
        # a component is that has just become thousands of times narrower than the data.
        last, new = _pass(fit, state, Numerics("float64"))
    return last, new


def _pass(fit: Fit, state: FitState, numerics: Numerics) -> tuple[Pass, Any]:
    task = EStep(fit.source, fit.model, state.params, fit.origin, numerics, state.shared is None)
    sums = fit.map_reduce(f"iteration {state.iteration + 1}", task)
    sums = Sums({**sums.fields, **(state.shared or {})})
    with np.errstate(invalid="ignore", over="ignore"):
        new = fit.model.m_step(sums, state.params, numerics)
    return Pass(sums, state.params, numerics), new


def _resolved(fit: Fit, last: Pass, new: Any) -> bool:
    """Whether float32 was good enough for the sums that gave `new`."""
    if not math.isfinite(fit.model.objective(last.sums, last.params, last.numerics)):
        return False
    try:
        return fit.numerics(new).dtype == "float32"
    except CollapseError:
        return False


def advanced(fit: Fit, state: FitState, last: Pass, new: Any) -> FitState:
    """`state` after an iteration whose pass was `last` and whose M-step gave `new`.

    Applies the collapse policy and the stop rules, and writes the history.
    """
    sums, settled = last.sums, _settled(fit, state)
    fit = turned(fit, state)
    objective = fit.model.objective(sums, state.params, last.numerics)
    if not math.isfinite(objective):
        raise DataError(
            f"The objective became {objective} in iteration {state.iteration + 1}: values this "
            "large overflow when squared. Scale the features, for example to unit variance."
        )
    terms = fit.model.terms(sums, state.params, new, last.numerics)
    reseeded = dropped = 0
    weak = fit.model.weak(sums, new)
    if len(weak):
        new, reseeded, dropped = mend(fit, weak, new, last)
    shift = math.nan if dropped else fit.model.shift(state.params, new)
    unchanged = fit.model.unchanged(sums, state.sums, state.params, new)
    record = Record(
        state.restart,
        state.iteration + 1,
        objective,
        objective - _last_objective(state),
        shift,
        reseeded,
        dropped,
        terms.expected,
        terms.entropy,
        terms.updated,
    )
    if settled:
        _watch(fit, state, record, last.numerics)
    steady = fit.model.settled and not (reseeded or dropped)
    status = fit.stop.status(record.iteration, record.change, shift, unchanged, steady)
    return replace(
        state,
        iteration=record.iteration,
        params=new,
        sums=sums,
        shared=shared_of(sums),
        history=(*state.history, record),
        status=status,
    )


def _last_objective(state: FitState) -> float:
    if state.iteration == 0 or not state.history:
        return math.nan
    return state.history[-1].objective


def _settled(fit: Fit, state: FitState) -> bool:
    """Whether this iteration's objective can be held against the one before."""
    before = Turn(state.seed, state.restart, state.iteration)
    return state.iteration > 0 and fit.model.at(before).settled


def _watch(fit: Fit, state: FitState, record: Record, numerics: Numerics) -> None:
    """Warn, once in a start, if the objective got worse where EM promises that it does not."""
    before = [r for r in state.history if r.restart == state.restart]
    if _fell(fit, record, numerics) and not any(_fell(fit, r, numerics) for r in before):
        fit.listen(
            Warned(
                f"The objective got worse in iteration {record.iteration}, from "
                f"{before[-1].objective:.10g} to {record.objective:.10g}, because "
                f"{_why(fit, before[-1], numerics)}."
            )
        )


def _fell(fit: Fit, record: Record, numerics: Numerics) -> bool:
    worse = record.change if fit.model.minimises else -record.change
    return worse > ROUNDING[numerics.dtype] * max(1.0, abs(record.objective))


def _why(fit: Fit, before: Record, numerics: Numerics) -> str:
    if before.reseeded or before.dropped:
        return "components that had collapsed were moved or dropped in the iteration before"
    if fit.model.approximation:
        return fit.model.approximation
    if numerics.dtype == "float32":
        return "float32 rounds that much here; set precision to float64"
    return "the M-step did not reach its maximum: a defect, please report it with this data"
