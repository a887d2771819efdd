"""Fits abreast: several fits, or the starts of one, advance together in the same passes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from emdist.fit.events import Event, Progress
from emdist.fit.fit import Fit
from emdist.fit.observed import bare, instead
from emdist.fit.seeding import CHOOSING, CLUSTERING
from emdist.fit.state import Best, FitState, Record
from emdist.fit.together.bundle import OneRead
from emdist.fit.together.lockstep import BUDGET, Lockstep, Member

#: How one fit is advanced: `emdist.fit.loop.iterate`.
Iterate = Callable[[Fit, FitState], Iterator[FitState]]


@dataclass(frozen=True)
class Step:
    """What one fit has done: iterations of one start, until it was next seen waiting.

    Attributes
    ----------
    index
        Of the fit.
    state
        That it has come to.
    records
        New in the history.
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
    """Steps of the fits that are not finished, each with the bits of `iterate` alone.

    A fit that has finished drops out of the passes. How often the blocks are read is the largest
    number of passes that one of the fits makes, and not their sum.

    Parameters
    ----------
    fits
        Of one source and one engine, at least one.
    states
        Of each.
    iterate
        Advances one.
    listen
        Told what the fits tell (no progress of passes), with their indices.
    progress
        Told how many fits a pass serves, its blocks done and in all.
    budget
        See `Lockstep`.
    """
    source, engine = OneRead(bare(fits[0].source)), fits[0].engine
    going = [index for index, state in enumerate(states) if not state.finished]

    def play(index: int, member: Member) -> Iterator[FitState]:
        def tell(event: Event) -> None:
            # Progress of passes is told by whoever drives the lockstep; seeding has none.
            long = isinstance(event, Progress) and event.total > 1
            if not isinstance(event, Progress) or (long and event.what in (CHOOSING, CLUSTERING)):
                member.tell(event)

        # A schedule of its own: one that remembers by its identity must not share that.
        fit = replace(fits[index], schedule=replace(fits[index].schedule))  # type: ignore[type-var]
        here = instead(fit.source, source)
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
    """The starts of a fit that may advance abreast: as they stand, new, or none.

    None for a single start, and for a state that was saved by a fit of one start at a time.
    """
    fresh = not state.history and state.params is None and not state.restart
    if state.starts or fit.n_init == 1 or not fresh:
        return state.starts
    return tuple(FitState(state.seed, restart) for restart in range(fit.n_init))


def starts_abreast(
    fit: Fit, state: FitState, iterate: Iterate, better: Callable[[Fit, Best, Best], bool]
) -> Iterator[FitState]:
    """States of a fit whose starts advance together; the last is that of one after another."""
    starts = list(starts_of(fit, state))
    fits = [replace(fit, one_start=True)] * len(starts)

    def progress(n: int, done: int, total: int) -> None:
        fit.listen(Progress(f"pass of {n} start(s)", done, total))

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
    """The state that one start after another would have ended in, and all starts."""
    best: Best | None = None
    for start in starts:
        assert start.best is not None
        if best is None or better(fit, start.best, best):
            best = start.best
    history = tuple(record for start in starts for record in start.history)
    return replace(starts[-1], best=best, history=history, starts=tuple(starts))
