"""When an iteration was the last one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from emdist.fit.state import Status


@dataclass(frozen=True)
class Stop:
    """Stop rules; the first that holds ends the start.

    Attributes
    ----------
    on
        "objective": its change is below `tol`. "shift": the sum of squared movements of the
        locations is at most `tol`.
    tol
        In the objective's units, or in squared units of the data.
    max_iter
        Iterations at most.
    exact
        For hard assignment: stop when no row changed its label.
    """

    on: Literal["objective", "shift"]
    tol: float
    max_iter: int
    exact: bool = False

    def status(
        self,
        iteration: int,
        change: float,
        shift: float,
        unchanged: bool,
        steady: bool,
    ) -> Status:
        """How the fit stands after `iteration`.

        `unchanged` says that labels stay as they are from here on; `steady` that the next pass
        would do the same as this one: no component was moved or dropped, no temperature is to
        change.
        """
        if steady:
            if self.exact and unchanged:
                return Status.UNCHANGED
            if self.holds(change, shift):
                return Status.CONVERGED if self.on == "objective" else Status.SETTLED
        return Status.MAX_ITER if iteration >= self.max_iter else Status.RUNNING

    def holds(self, change: float, shift: float) -> bool:
        """Whether what is watched is small enough; False for NaN."""
        return shift <= self.tol if self.on == "shift" else abs(change) < self.tol
