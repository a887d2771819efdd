"""Mini-batch K-means over groups of blocks, then Lloyd.

Sculley 2010, "Web-scale k-means clustering", WWW. Its learning rate of 1 / N_k, N_k the rows that
centre k was ever given, makes a centre the mean of them: the M-step of cumulated sums, which also
says what mini-batches mean for other families that are hardly assigned.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from emdist.errors import ConfigError
from emdist.fit.block_groups import Groups, check_steady
from emdist.fit.fit import Fit
from emdist.fit.online import Folded, Passes, online_step
from emdist.fit.state import FitState
from emdist.interfaces import Model
from emdist.sums import Sums


def cumulated(folded: Sums | None, group: Sums, groups: int) -> Sums:
    """A fold: nothing is forgotten."""
    return group if folded is None else folded + group


@dataclass(frozen=True)
class MiniBatch:
    """Sweeps over mini-batches, and batch iterations, which end at an exact fixed point.

    Attributes
    ----------
    passes
        Sweeps over all rows before batch iterations.
    groups
        Mini-batches of a sweep. By default 16, or the number of blocks.
    """

    passes: Passes = 1
    groups: Groups = None

    @property
    def memory(self) -> type[Folded]:
        """The cumulated sums."""
        return Folded

    def check(self, model: Model[Any]) -> None:
        """Wants hard assignment: cumulated responsibilities would never be corrected."""
        check_steady(model, "minibatch")
        if model.temperature != 0:
            raise ConfigError(
                "fit.schedule 'minibatch' is for hard assignment: kmeans, or a mixture with "
                "model.assignment=hard. For soft assignment use fit.schedule=stepwise."
            )

    def step(self, fit: Fit, state: FitState) -> FitState:
        """A sweep; after `passes` of them a batch iteration."""
        return online_step(fit, state, self.passes, self.groups, cumulated)


schedule = MiniBatch
