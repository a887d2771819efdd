"""When an iteration was the last one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from emdist.fit.state import Record, Status

#: A change of the objective by less than this part of it says nothing of the next one.
NOISE = 1e-13
#: Ratio of changes that is expected where only one is known.
_SLOW = 0.99


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
    left
        Hold what is left to gain against `tol`, by an estimate, and not the last change.
    """

    on: Literal["objective", "shift"]
    tol: float
    max_iter: int
    exact: bool = False
    left: bool = False

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

    def measured(self, record: Record, previous: float) -> float:
        """What is held against `tol` of the objective's change after an iteration.

        EM gains less from step to step by a ratio that hardly changes, so that ``change r / (1 -
        r)`` is left, with r the ratio of the last two changes (Aitken; Boehning et al. 1994, "The
        distribution of the likelihood ratio for mixtures of densities from the one-parameter
        exponential family", Ann. Inst. Statist. Math. 46). Where changes grow, as on the way from a
        saddle, that is no end.

        Parameters
        ----------
        record
            Of the iteration.
        previous
            Change in the iteration before; NaN for none.
        """
        change = abs(record.change)
        if not self.left or change <= NOISE * max(1.0, abs(record.objective)):
            return change
        if math.isnan(previous):
            return change / (1 - _SLOW)
        ratio = change / abs(previous) if previous != 0 else math.inf
        return change * max(1.0, ratio / (1 - ratio)) if ratio < 1 else math.nan

    def holds(self, change: float, shift: float) -> bool:
        """Whether what is watched is small enough; False for NaN."""
        return shift <= self.tol if self.on == "shift" else abs(change) < self.tol
