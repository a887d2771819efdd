"""The EM loop: repeats the step of a schedule until each restart stops, and keeps the best."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from emdist.engines.blas import one_thread
from emdist.fit.events import Progress
from emdist.fit.fit import Fit
from emdist.fit.iteration import last_objective, linked_of, shared_of, too_narrow
from emdist.fit.passes import EStep, FirstStep
from emdist.fit.seeding import Seeding
from emdist.fit.state import Best, FitState, Status
from emdist.fit.together.abreast import starts_abreast, starts_of
from emdist.interfaces import Floats, Numerics, Worst
from emdist.models.precision import CAREFUL
from emdist.sums import Sums

#: The smallest number of seconds between two progress events of a seeder.
_SELDOM = 0.5


def seeded(fit: Fit, state: FitState) -> FitState:
    """Return `state` with the starting values of its restart."""
    params, shared = None, state.shared
    if not fit.given.complete(fit.model, len(fit.origin)):
        seeding = Seeding(
            fit.source,
            fit.engine,
            fit.survey,
            state.seed,
            state.restart,
            fit.geometry,
            _seldom(fit),
        )
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
        memory=fit.memory,
        status=Status.RUNNING,
    )


def _seldom(fit: Fit) -> Callable[[str, int, int], None]:
    """Return a function that reports the progress of a seeder, at most every half second."""
    last = time.monotonic()

    def told(what: str, done: int, total: int) -> None:
        nonlocal last
        if (now := time.monotonic()) - last >= _SELDOM:
            last = now
            fit.listen(Progress(what, done, total))

    return told


def _from_clusters(fit: Fit, seeds: Floats, broad: Any) -> tuple[Any, dict[str, Floats]]:
    """Return the M-step of the clusters around `seeds`, as scikit-learn starts a mixture."""
    labels = fit.labeller.start(seeds, fit.survey.spread)
    task = FirstStep(fit.source, fit.labeller, labels, fit.model, broad, fit.origin)
    sums = fit.map_reduce("start", task)
    params = fit.model.m_step(sums, broad, CAREFUL)
    weak = fit.model.weak(sums, params)
    if len(weak):
        # A cluster of one row has no width yet, so it starts as wide as the data.
        here = Worst(weak, seeds[weak], weak, np.ones(len(weak)))
        params = fit.model.reseed(sums, broad, CAREFUL, here, fit.survey.spread)
    return params, shared_of(sums)


def iterate(fit: Fit, state: FitState) -> Iterator[FitState]:
    """Yield the state after each iteration, over all restarts, until the last one is finished.

    Every state can be saved and resumed, and what follows is bit-identical either way. Restarts
    advance together, in the same passes.
    """
    if starts_of(fit, state):
        return starts_abreast(fit, state, one_by_one, _better)
    return one_by_one(fit, state)


def one_by_one(fit: Fit, state: FitState) -> Iterator[FitState]:
    """Do what `iterate` does, but with passes of its own for each restart.

    This simple version is the specification: `starts_abreast` must give the same results.
    """
    while not state.finished:
        # The driver's own linear algebra must not depend on its number of threads either.
        with one_thread():
            if state.params is None:
                state = seeded(fit, state)
            if state.status is Status.RUNNING:
                state = fit.schedule.step(fit, state)
            if state.status is not Status.RUNNING:
                state = closed(fit, state)
        yield state


def closed(fit: Fit, state: FitState) -> FitState:
    """Return `state` after its restart has stopped: keep the best one and go on to the next.

    After the last restart, the state is finished.
    """
    best = Best(
        _arranged(fit, state.params),
        final_objective(fit, state),
        state.iteration,
        state.restart,
        state.status,
    )
    if state.best is not None and not _better(fit, best, state.best):
        best = state.best
    finished = fit.one_start or state.restart + 1 >= fit.n_init
    if finished:
        return replace(state, best=best, finished=True)
    return replace(
        state,
        best=best,
        restart=state.restart + 1,
        iteration=0,
        params=None,
        sums=None,
        memory=None,
        status=Status.RUNNING,
    )


def _arranged(fit: Fit, params: Any) -> Any:
    """Return `params` with states in the order of their locations, if the user placed none."""
    given = fit.given
    kept = given.means is not None or given.scales or given.chain or given.weights is not None
    ordered = getattr(fit.model, "ordered", None)
    return params if ordered is None or kept else ordered(params)


def final_objective(fit: Fit, state: FitState) -> float:
    """Return the objective by which restarts are compared, as scikit-learn compares them.

    Inertia is that of the final centres, which takes one more pass unless the last iteration
    changed nothing. The lower bound of a mixture is that of the last pass, if this pass used a
    single set of parameters.
    """
    known = state.sums is not None
    if known and (not fit.model.minimises or state.status is Status.UNCHANGED):
        return last_objective(state)
    numerics = fit.numerics(state.params)
    found = _objective_of(fit, state, numerics, not known and state.shared is None)
    if too_narrow(fit, found, numerics):
        found = _objective_of(fit, state, Numerics("float64"), False)
    return found


def _objective_of(fit: Fit, state: FitState, numerics: Numerics, gathers: bool) -> float:
    """Return the objective of the parameters of `state`, computed in a pass of its own."""
    params = linked_of(fit, state.params, numerics)
    task = EStep(fit.source, fit.model, params, fit.origin, numerics, gathers)
    sums = fit.map_reduce("inertia" if fit.model.minimises else "objective", task)
    sums = Sums({**sums.fields, **(state.shared or {})})
    return fit.model.objective(sums, state.params, numerics)


def _better(fit: Fit, new: Best, old: Best) -> bool:
    return new.objective < old.objective if fit.model.minimises else new.objective > old.objective
