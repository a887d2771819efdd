"""Parts of an iteration that schedules share: a pass, its objective, the next parameters."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from emdist.errors import CollapseError, DataError
from emdist.fit.collapse import Pass, mend
from emdist.fit.events import Warned
from emdist.fit.fit import Fit
from emdist.fit.linking import linked
from emdist.fit.passes import EStep
from emdist.fit.state import FitState, Record
from emdist.interfaces import Floats, IterationIndex, Numerics
from emdist.sums import Sums

#: If inertia is below this fraction of the total variance, float32 is too coarse to compute it.
_NARROW = 1e-8
#: A bound that falls by less than this, relatively or in nats, fell only by rounding.
ROUNDING = {"float64": 1e-9, "float32": 1e-5}


def shared_of(sums: Sums) -> dict[str, Floats]:
    """Return the statistics that a run gathers only once, from the pass that gathered them."""
    return {name: sums[name] for name in sums if name.startswith("shared.")}


def at_iteration(fit: Fit, state: FitState) -> Fit:
    """Return `fit` with its model as it computes in the iteration that follows `state`."""
    iteration_index = IterationIndex(state.seed, state.restart, state.iteration + 1)
    if fit.iteration_index == iteration_index:
        return fit
    model = fit.model.at(iteration_index)
    if model is fit.model:
        return fit
    before = [fit.model.at(replace(iteration_index, iteration=state.iteration - i)) for i in (0, 1)]
    comparable = sum(one.settled for one in before)
    return replace(fit, model=model, iteration_index=iteration_index, comparable=comparable)


def named(state: FitState) -> str:
    """Return the name that progress messages give to the pass that follows `state`."""
    return f"iteration {state.iteration + 1}"


def linked_of(fit: Fit, params: Any, numerics: Numerics) -> Any:
    """Return `params` for a pass: with what blocks must know of sequences that they cut."""

    def reduce(task: Any, blocks: Sequence[int]) -> Any:
        return fit.map_reduce("sequences", task, blocks)

    return linked(fit.source, fit.model, params, fit.origin, numerics, reduce)


def one_pass(fit: Fit, state: FitState) -> tuple[Pass, Any]:
    """Make a pass over all rows, and return it with the plain M-step of its sums.

    The sums include the shared ones, which a run gathers only once.
    """

    def gather(numerics: Numerics) -> Sums:
        params = linked_of(fit, state.params, numerics)
        task = EStep(fit.source, fit.model, params, fit.origin, numerics, state.shared is None)
        found = fit.map_reduce(named(state), task)
        return Sums({**found.fields, **(state.shared or {})})

    return resolved(fit, state.params, gather)


def resolved(
    fit: Fit, params: Any, gather: Callable[[Numerics], Sums], expand: bool = False
) -> tuple[Pass, Any]:
    """Return the pass with `params` whose sums `gather` returns, and the M-step of these sums.

    If float32 turns out to be too coarse, the sums are gathered once more in float64. Sums of
    float32 tiles overflow early. They also cannot show how narrow a component is that has just
    become thousands of times narrower than the data.

    Parameters
    ----------
    fit, params
        The fit, and the parameters that the pass uses.
    gather
        Returns the sums of a pass that computes by the given numerics.
    expand
        Take sums about the origin, whatever that costs in digits.
    """
    numerics = fit.numerics(params)
    if expand:
        numerics = replace(numerics, centred=False)
    last, new = _estimated(fit, params, gather, numerics)
    if numerics.dtype == "float32" and not _fine(fit, last, new):
        last, new = _estimated(fit, params, gather, Numerics("float64"))
    return last, new


def _estimated(
    fit: Fit, params: Any, gather: Callable[[Numerics], Sums], numerics: Numerics
) -> tuple[Pass, Any]:
    """Return the pass that `gather` makes, and its M-step, which may hold invalid numbers."""
    sums = gather(numerics)
    with np.errstate(invalid="ignore", over="ignore"):
        new = fit.model.m_step(sums, params, numerics)
    return Pass(sums, params, numerics), new


def _fine(fit: Fit, last: Pass, new: Any) -> bool:
    """Return whether float32 was good enough for the sums that gave `new`."""
    if float(last.sums["weight"]) == 0:
        return True  # No rows: their sums say nothing about precision.
    objective = fit.model.objective(last.sums, last.params, last.numerics)
    if not math.isfinite(objective) or too_narrow(fit, objective, last.numerics):
        return False
    found = numerics_of(fit, new)
    return found is not None and found.dtype == "float32"


def too_narrow(fit: Fit, inertia: float, numerics: Numerics) -> bool:
    """Return whether squared distances are too small for rows in float32, relative to the origin.

    The rounding of such rows is 6e-8 of the data's extent, so an inertia of 1e-8 of the variance
    keeps 7 digits.
    """
    if numerics.dtype != "float32" or not (fit.model.minimises and fit.model.squares):
        return False
    spread = fit.survey.spread
    return inertia < _NARROW * spread.weight * float(spread.variance.sum())


def numerics_of(fit: Fit, params: Any) -> Numerics | None:
    """Return how a pass with `params` would compute, or None if they have collapsed."""
    try:
        return fit.numerics(params)
    except CollapseError:
        return None


def mended(fit: Fit, last: Pass, new: Any) -> tuple[Any, int, int]:
    """Return `new` after the collapse policy, and how many components it reseeded and dropped."""
    weak = fit.model.weak(last.sums, new)
    return mend(fit, weak, new, last) if len(weak) else (new, 0, 0)


def advanced(fit: Fit, state: FitState, last: Pass, new: Any, steady: bool = True) -> FitState:
    """Return `state` after an iteration whose last pass was `last` and whose M-step gave `new`.

    Applies the collapse policy and the stop rules, and extends the history. `steady` says that
    the stop rules may be applied, because this was a whole pass with the responsibilities of
    every row.
    """
    sums, fit = last.sums, at_iteration(fit, state)
    objective = fit.model.objective(sums, last.params, last.numerics)
    if not math.isfinite(objective):
        raise overflowed(fit, objective, f"iteration {state.iteration + 1}")
    terms = fit.model.terms(sums, last.params, new, last.numerics)
    new, reseeded, dropped = mended(fit, last, new)
    shift = math.nan if dropped else fit.model.shift(state.params, new)
    unchanged = fit.model.unchanged(sums, state.sums, last.params, new)
    record = Record(
        state.restart,
        state.iteration + 1,
        objective,
        objective - held_against(fit, state),
        shift,
        reseeded,
        dropped,
        terms.expected,
        terms.entropy,
        terms.updated,
    )
    if state.sums is not None and fit.comparable:
        _watch(fit, state, record, last.numerics)
    steady = steady and fit.model.settled and bool(fit.comparable) and not (reseeded or dropped)
    change = measured(fit, state, record)
    status = fit.stop.status(record.iteration, change, shift, unchanged, steady)
    return replace(
        state,
        iteration=record.iteration,
        params=new,
        sums=sums,
        shared=shared_of(sums),
        history=(*state.history, record),
        status=status,
    )


def measured(fit: Fit, state: FitState, record: Record) -> float:
    """Return the number that the stop rule compares with `tol` after an iteration from `state`."""
    if fit.comparable < 2:
        return math.nan
    previous = fit.before.change if state.iteration == 0 else _kept(state)[-1].change
    return fit.stop.measured(record, previous)


def overflowed(fit: Fit, objective: float, when: str) -> DataError:
    """Return the error for an objective that is no longer a finite number."""
    summed = "squared and added up" if fit.model.squares else "added up"
    return DataError(
        f"The objective became {objective} in {when}, because values or sample weights this large "
        f"overflow when they are {summed}. Scale the features, for example to unit variance."
    )


def last_objective(state: FitState) -> float:
    """Return the objective of the last pass, or NaN if no pass had a single set of parameters."""
    if state.sums is None:
        return math.nan
    return _kept(state)[-1].objective


def held_against(fit: Fit, state: FitState) -> float:
    """Return the objective that the next one is compared with, or NaN if there is none.

    In the first iteration of a fit that continues an earlier one, this is the last objective of
    the earlier fit.
    """
    return fit.before.objective if state.iteration == 0 else last_objective(state)


def _kept(state: FitState) -> list[Record]:
    return [r for r in state.history if r.restart == state.restart and not r.rejected]


def _watch(fit: Fit, state: FitState, record: Record, numerics: Numerics) -> None:
    """Warn, once in each restart, if the objective got worse though EM guarantees the opposite."""
    before = _kept(state)
    if _fell(fit, record, numerics) and not any(_fell(fit, r, numerics) for r in before):
        fit.listen(
            Warned(
                f"The objective got worse in iteration {record.iteration}, from "
                f"{before[-1].objective:.10g} to {record.objective:.10g}, because "
                f"{_why(fit, before[-1], numerics)}."
            )
        )


def _fell(fit: Fit, record: Record, numerics: Numerics) -> bool:
    """Return whether the objective got worse by more than rounding explains."""
    worse = record.change if fit.model.minimises else -record.change
    return worse > ROUNDING[numerics.dtype] * max(1.0, abs(record.objective))


def _why(fit: Fit, before: Record, numerics: Numerics) -> str:
    """Return the most likely reason why the objective got worse."""
    if before.reseeded or before.dropped:
        return "components that had collapsed were moved or dropped in the iteration before"
    if fit.model.approximation:
        return fit.model.approximation
    if numerics.dtype == "float32":
        return "float32 rounds too coarsely for these data. Set model.precision to 'float64'"
    return (
        "the data changed during the fit, or the M-step did not reach its maximum. If nothing "
        "wrote to the data, this is a defect of emdist: please report it with these data"
    )
