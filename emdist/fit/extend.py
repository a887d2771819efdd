"""Other stop rules for an existing fit: whether it may go on with them, and from which state."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

from emdist.errors import RunMismatchError
from emdist.fit.state import FitState, Record, Status
from emdist.fit.stop import Stop

#: The statuses of a fit that `Stop.tol` ended.
_BY_TOL = (Status.CONVERGED, Status.SETTLED)


def reopened(stop: Stop, state: FitState) -> FitState:
    """Return `state` as a fit that had the rules `stop` from its beginning would have reached it.

    Call this only after `check_path` has passed. The iterations so far are then the same under
    both rules, and only what follows differs.
    """
    if not state.starts:
        return _reopened(stop, state)
    starts = tuple(_reopened(stop, start) for start in state.starts)
    if not state.finished or starts == state.starts:
        return replace(state, starts=starts)
    if all(start.finished for start in starts):
        # Only the statuses of the restarts have changed, so the final state is composed again.
        best = state.best
        if best is not None:
            best = starts[best.restart].best
        return replace(state, starts=starts, best=best, status=starts[-1].status)
    return FitState(
        state.seed,
        iteration=max(start.iteration for start in starts),
        history=state.history,
        starts=starts,
    )


def _reopened(stop: Stop, state: FitState) -> FitState:
    """Do the same as `reopened` for one restart."""
    status = _status(stop, state)
    if status is state.status:
        return state
    if status is Status.RUNNING:
        return replace(state, status=status, finished=False, best=None)
    best = None if state.best is None else replace(state.best, status=status)
    return replace(state, status=status, best=best)


def _status(stop: Stop, state: FitState) -> Status:
    """Return the status that a restart would have under the rules `stop`."""
    ended = state.status in (Status.UNCHANGED, Status.STREAMED)  # By no rule of `stop`.
    if state.params is None or state.iteration == 0 or ended:
        return state.status
    last, change = list(_asked(stop, state))[-1]
    if state.status in _BY_TOL and stop.holds(change, last.shift):
        return state.status
    return Status.MAX_ITER if state.iteration >= stop.max_iter else Status.RUNNING


def check_path(old: Stop, new: Stop, state: FitState, tol_steers: bool, what: str = "") -> None:
    """Check that a fit with the rules `new` would have reached `state` as one with `old` did.

    Parameters
    ----------
    tol_steers
        Whether `Stop.tol` also decides something else than the end, as it does in sparse EM.
    what
        The name of the fit within a sweep, followed by a blank.

    Raises
    ------
    RunMismatchError
        If the fit would have ended earlier, or is not known to have made the same iterations.
    """
    records = [record for record, _ in _asked(old, state)]
    most = max((record.iteration for record in records), default=0)
    if new.max_iter < most:
        raise RunMismatchError(
            f"{what}fit.max_iter cannot become {new.max_iter}, because {most} iterations are done. "
            f"Set it to {most} or more, or start a new run. Nothing was changed."
        )
    if _several_in_turn(state):
        raise RunMismatchError(
            f"{what}The run cannot be extended: it has several restarts, and the version of emdist "
            "that began it did not keep those that had stopped. Start a new run. Nothing was "
            "changed."
        )
    for (record, change), (_, other) in zip(_asked(old, state), _asked(new, state), strict=True):
        before, now = old.holds(change, record.shift), new.holds(other, record.shift)
        if now and not before:
            raise RunMismatchError(
                f"{what}fit.tol cannot be raised so far: the fit would have ended at iteration "
                f"{record.iteration}. Choose a smaller fit.tol, set fit.max_iter to {most} to end "
                "now, or start a new run. Nothing was changed."
            )
        if now != before and tol_steers:
            raise RunMismatchError(
                f"{what}fit.tol cannot be changed any more: the schedule makes full passes as soon "
                f"as fit.tol is nearly reached, and this happened in iteration {record.iteration}. "
                "Change only fit.max_iter, or start a new run. Nothing was changed."
            )


def _asked(stop: Stop, state: FitState) -> Iterator[tuple[Record, float]]:
    """Yield records after which the stop rules may have been applied, and what `stop` measured."""
    previous: dict[int, float] = {}
    for record in state.history:
        if record.rejected:
            continue
        measured = stop.measured(record, previous.get(record.restart, math.nan))
        previous[record.restart] = record.change
        if not (record.reseeded or record.dropped):
            yield record, measured


def _several_in_turn(state: FitState) -> bool:
    return not state.starts and (state.restart > 0 or len({r.restart for r in state.history}) > 1)
