"""Stop rules: decide after each iteration whether the restart has converged or must end."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from emdist.fit.state import Record, Status

#: If the objective changes relatively by less than this, the change does not predict the next.
NOISE = 1e-13
#: The ratio of successive changes that is assumed as long as only one change is known.
_SLOW = 0.99


@dataclass(frozen=True)
class Stop:
    """Stop rules. The first one that holds ends the restart.

    Attributes
    ----------
    on
        "objective": stop when its change is below `tol`. "shift": stop when the sum of squared
        movements of the locations is at most `tol`.
    tol
        The tolerance, in units of the objective, or in squared units of the data.
    max_iter
        The largest number of iterations.
    exact
        For hard assignment: whether to stop when no row changed its label.
    left
        Whether to compare `tol` with an estimate of what is left to gain, not with the last change.
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
        """Return the status of the fit after `iteration`.

        `unchanged` says that labels stay the same from now on. `steady` says that the next pass
        would do the same as this one: no component was moved or dropped, and no temperature is
        going to change.
        """
        if steady:
            if self.exact and unchanged:
                return Status.UNCHANGED
            if self.holds(change, shift):
                return Status.CONVERGED if self.on == "objective" else Status.SETTLED
        return Status.MAX_ITER if iteration >= self.max_iter else Status.RUNNING

    def measured(self, record: Record, previous: float) -> float:
        """Return the number that is compared with `tol`, from the objective's change.

        The gains of EM shrink from step to step by a ratio r that hardly changes, so that
        ``change r / (1 - r)`` is left to gain. r is estimated as the ratio of the last two changes
        (Aitken; Boehning et al. 1994, "The distribution of the likelihood ratio for mixtures of
        densities from the one-parameter exponential family", Ann. Inst. Statist. Math. 46). Where
        changes grow, for example on the way from a saddle, the fit has not converged: NaN.

        Parameters
        ----------
        record
            The history record of the iteration.
        previous
            The change in the iteration before, or NaN if there was none.
        """
        change = abs(record.change)
        if not self.left or change <= NOISE * max(1.0, abs(record.objective)):
            return change
        if math.isnan(previous):
            return change / (1 - _SLOW)
        ratio = change / abs(previous) if previous != 0 else math.inf
        return change * max(1.0, ratio / (1 - ratio)) if ratio < 1 else math.nan

    def holds(self, change: float, shift: float) -> bool:
        """Return whether the watched quantity is within the tolerance; False for NaN."""
        return shift <= self.tol if self.on == "shift" else abs(change) < self.tol
