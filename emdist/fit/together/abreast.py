"""Several fits, or the restarts of one, advance together in the same passes over the data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from emdist.fit.events import Event, Progress
from emdist.fit.fit import Fit
from emdist.fit.resampled import around, innermost
from emdist.fit.seeding import CHOOSING, CLUSTERING, COMPARING
from emdist.fit.state import Best, FitState, Record
from emdist.fit.together.bundle import OneRead
from emdist.fit.together.lockstep import BUDGET, Lockstep, Member

#: A function that advances one fit: `emdist.fit.loop.iterate`.
Iterate = Callable[[Fit, FitState], Iterator[FitState]]


@dataclass(frozen=True)
class Step:
    """What one fit has done until it next waits for a pass: iterations of one restart.

    Attributes
    ----------
    index
        The index of the fit.
    state
        The state that it has reached.
    records
        The new records of the history.
    """

    index: int
    state: FitState
    records: tuple[Record, ...]


def abreast(
    fits: Sequence[Fit],
    states: Sequence[FitState],
    iterate: Iterate,
    listen: Callable[[int, Event], None],
    progress: Callable[[int, int, int], None],
    budget: int = BUDGET,
) -> Iterator[list[Step]]:
    """Yield steps of the unfinished fits; each has results bit-identical to `iterate` alone.

    A finished fit takes no part in further passes. The blocks are read as often as the fit with the
    most passes needs, and not as often as all fits together.

    Parameters
    ----------
    fits
        Fits of one source and one engine, which may resample its rows; at least one.
    states
        The state of each fit.
    iterate
        Advances one fit.
    listen
        Called with the index of a fit and each of its events, except progress of passes.
    progress
        Called with how many fits a pass serves, how many blocks are done, and how many there are.
    budget
        See `Lockstep`.
    """
    source, engine = OneRead(innermost(fits[0].source)), fits[0].engine
    going = [index for index, state in enumerate(states) if not state.finished]

    def play(index: int, member: Member) -> Iterator[FitState]:
        def tell(event: Event) -> None:
            # The lockstep reports the progress of passes; that of seeding in memory is passed on.
            long = isinstance(event, Progress) and event.total > 1
            if not isinstance(event, Progress) or (
                long and event.what in (CHOOSING, CLUSTERING, COMPARING)
            ):
                member.tell(event)

        # Each fit gets its own copy of the schedule, because some remember by their identity.
        fit = replace(fits[index], schedule=replace(fits[index].schedule))  # type: ignore[type-var]
        here = around(fit.source, source)
        return iterate(replace(fit, source=here, engine=member, listen=tell), states[index])

    now = dict(enumerate(states))
    lockstep: Lockstep[FitState] = Lockstep(
        engine,
        source,
        [partial(play, index) for index in going],
        progress,
        lambda at, event: listen(going[at], event),
        budget,
    )
    for items in lockstep.run():
        steps = []
        for at, state in items:
            index = going[at]
            steps.append(Step(index, state, state.history[len(now[index].history) :]))
            now[index] = state
        yield steps


def starts_of(fit: Fit, state: FitState) -> tuple[FitState, ...]:
    """Return the states of the restarts that may advance together: stored or new ones, or none.

    There are none for a single restart, and for a state saved by a fit whose restarts ran one after
    another.
    """
    fresh = not state.history and state.params is None and not state.restart
    if state.starts or fit.n_init == 1 or not fresh:
        return state.starts
    return tuple(FitState(state.seed, restart) for restart in range(fit.n_init))


def starts_abreast(
    fit: Fit, state: FitState, iterate: Iterate, better: Callable[[Fit, Best, Best], bool]
) -> Iterator[FitState]:
    """Yield states of a fit whose restarts advance together; the last is as if one by one."""
    starts = list(starts_of(fit, state))
    fits = [replace(fit, one_start=True)] * len(starts)

    def progress(n: int, done: int, total: int) -> None:
        fit.listen(Progress(f"pass of {n} restart{'s' * (n != 1)}", done, total))

    steps = abreast(fits, starts, iterate, lambda _, event: fit.listen(event), progress)
    for changes in steps:
        history = state.history
        for step in changes:
            starts[step.index] = step.state
            history += step.records
        state = replace(
            state,
            history=history,
            iteration=max(start.iteration for start in starts),
            starts=tuple(starts),
        )
        yield state
    yield _joined(fit, starts, better)


def _joined(
    fit: Fit, starts: Sequence[FitState], better: Callable[[Fit, Best, Best], bool]
) -> FitState:
    """Return the final state that restarts one after another would give, with all restarts."""
    best: Best | None = None
    for start in starts:
        assert start.best is not None
        if best is None or better(fit, start.best, best):
            best = start.best
    history = tuple(record for start in starts for record in start.history)
    return replace(starts[-1], best=best, history=history, starts=tuple(starts))
