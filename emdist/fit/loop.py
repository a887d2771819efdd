"""The one loop: from state to state, one map-reduce an iteration."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from emdist.engines.blas import one_thread
from emdist.errors import CollapseError, DataError
from emdist.fit.collapse import Pass, mend
from emdist.fit.events import Progress
from emdist.fit.fit import Fit
from emdist.fit.passes import EStep, FirstStep
from emdist.fit.seeding import Seeding
from emdist.interfaces import Best, FitState, Floats, Numerics, Record, Status, Worst
from emdist.models.mixture import CAREFUL
from emdist.sums import Sums


def seeded(fit: Fit, state: FitState) -> FitState:
    """`state` with the parameters that its restart begins with."""
    params, shared = None, state.shared
    if not fit.given.complete(fit.model, fit.source.shape[1]):
        seeding = Seeding(fit.source, fit.engine, fit.survey, state.seed, state.restart)
        fit.listen(Progress("seeding", 0, 1))
        seeder = fit.given.seeder or fit.seeder
        seeds = seeder.choose(seeding, fit.n_components)
        params = fit.model.start(seeds, fit.survey.spread)
        if seeder.clusters and not fit.model.minimises:
            params, shared = _from_clusters(fit, seeds, params)
    params = fit.given.over(params, fit.model, fit.survey.spread)
    return replace(
        state,
        params=params,
        shared=shared,
        iteration=0,
        sums=None,
        status=Status.RUNNING,
    )


def _from_clusters(fit: Fit, seeds: Floats, broad: Any) -> tuple[Any, dict[str, Floats]]:
    """The M-step of the clusters around `seeds`, as scikit-learn starts a mixture."""
    labels = fit.labeller.start(seeds, fit.survey.spread)
    task = FirstStep(fit.source, fit.labeller, labels, fit.model, broad, fit.origin)
    sums = fit.map_reduce("start", task)
    params = fit.model.m_step(sums, broad, CAREFUL)
    weak = fit.model.weak(sums, params)
    if len(weak):
        # A cluster of one row has no width yet: it starts as wide as the data.
        here = Worst(weak, seeds[weak], weak, np.ones(len(weak)))
        params = fit.model.reseed(sums, broad, CAREFUL, here, fit.survey.spread)
    return params, _shared(sums)


def _shared(sums: Sums) -> dict[str, Floats]:
    return {name: sums[name] for name in sums if name.startswith("shared.")}


def step(fit: Fit, state: FitState) -> FitState:
    """One iteration: a pass, the stop rules, the M-step, the collapse policy."""
    last_pass, shared, new = _pass(fit, state, fit.numerics(state.params))
    if last_pass.numerics.dtype == "float32" and not _resolved(fit, last_pass, new):
        # Once more in float64: sums of float32 tiles overflow early, and cannot tell how narrow
        # a component is that has just become thousands of times narrower than the data.
        last_pass, shared, new = _pass(fit, state, Numerics("float64"))
    sums = last_pass.sums
    objective = fit.model.objective(sums, state.params, last_pass.numerics)
    if not math.isfinite(objective):
        raise DataError(
            f"The objective became {objective} in iteration {state.iteration + 1}: values this "
            "large overflow when squared. Scale the features, for example to unit variance."
        )
    reseeded = dropped = 0
    weak = fit.model.weak(sums, new)
    if len(weak):
        new, reseeded, dropped = mend(fit, weak, new, last_pass)
    shift = math.nan if dropped else _shift(fit, state.params, new)
    last = _last_objective(state)
    record = Record(
        state.restart, state.iteration + 1, objective, objective - last, shift, reseeded, dropped
    )
    status = fit.stop.status(
        record.iteration, record.change, shift, sums, state.sums, bool(reseeded or dropped)
    )
    return replace(
        state,
        iteration=record.iteration,
        params=new,
        sums=sums,
        shared=shared,
        history=(*state.history, record),
        status=status,
    )


def _pass(fit: Fit, state: FitState, numerics: Numerics) -> tuple[Pass, Any, Any]:
    task = EStep(fit.source, fit.model, state.params, fit.origin, numerics, state.shared is None)
    sums = fit.map_reduce(f"iteration {state.iteration + 1}", task)
    shared = _shared(sums) if state.shared is None else state.shared
    sums = Sums({**sums.fields, **shared})
    with np.errstate(invalid="ignore", over="ignore"):
        new = fit.model.m_step(sums, state.params, numerics)
    return Pass(sums, state.params, numerics), shared, new


def _resolved(fit: Fit, last: Pass, new: Any) -> bool:
    """Whether float32 was good enough for the sums that gave `new`."""
    if not math.isfinite(fit.model.objective(last.sums, last.params, last.numerics)):
        return False
    try:
        return fit.numerics(new).dtype == "float32"
    except CollapseError:
        return False


def _shift(fit: Fit, old: Any, new: Any) -> float:
    moved = fit.model.locations(new) - fit.model.locations(old)
    return float(np.sum(moved * moved))


def _last_objective(state: FitState) -> float:
    if state.iteration == 0 or not state.history:
        return math.nan
    return state.history[-1].objective


def iterate(fit: Fit, state: FitState) -> Iterator[FitState]:
    """States after each iteration, over all starts, until one is finished.

    Every state can be saved and resumed; what follows it has the same bits either way.
    """
    while not state.finished:
        # The driver's own linear algebra must not depend on its number of threads either.
        with one_thread():
            if state.params is None:
                state = seeded(fit, state)
            if state.status is Status.RUNNING:
                state = step(fit, state)
            if state.status is not Status.RUNNING:
                state = closed(fit, state)
        yield state


def closed(fit: Fit, state: FitState) -> FitState:
    """`state` after its start has stopped: the best start kept, the next one opened or the end."""
    best = Best(
        state.params, final_objective(fit, state), state.iteration, state.restart, state.status
    )
    if state.best is not None and not _better(fit, best, state.best):
        best = state.best
    finished = state.restart + 1 >= fit.n_init
    if finished:
        return replace(state, best=best, finished=True)
    return replace(
        state,
        best=best,
        restart=state.restart + 1,
        iteration=0,
        params=None,
        sums=None,
        status=Status.RUNNING,
    )


def final_objective(fit: Fit, state: FitState) -> float:
    """What starts are compared by, as scikit-learn does.

    Inertia is that of the final centres: one more pass, unless the last changed nothing. The
    bound of a mixture is that of the last pass.
    """
    if not fit.model.minimises or state.status is Status.UNCHANGED:
        return state.history[-1].objective
    numerics = fit.numerics(state.params)
    task = EStep(fit.source, fit.model, state.params, fit.origin, numerics)
    sums = fit.map_reduce("inertia", task)
    return fit.model.objective(sums, state.params, numerics)


def _better(fit: Fit, new: Best, old: Best) -> bool:
    return new.objective < old.objective if fit.model.minimises else new.objective > old.objective
