"""Mini-batch K-means over groups of blocks, followed by Lloyd's iterations.

Sculley 2010, "Web-scale k-means clustering", WWW. Its learning rate is 1 / N_k, where N_k counts
the rows that centre k was ever given. A centre is therefore the mean of these rows, which is the
M-step of cumulated sums. This also defines mini-batches for other families with hard assignment.
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
    """Fold the sums of a group into the earlier ones by adding them; nothing is forgotten."""
    return group if folded is None else folded + group


@dataclass(frozen=True)
class MiniBatch:
    """Online passes over mini-batches, then batch iterations, which end at an exact fixed point.

    Attributes
    ----------
    passes
        The number of online passes over all rows before batch iterations.
    groups
        The number of mini-batches in a pass. By default 16, or the number of blocks if that is
        smaller.
    stream
        Whether the rows are part of a stream. The fit then ends after the online passes, and keeps
        its statistics: a run that starts from it (fit.from) goes on with them.
    """

    passes: Passes = 1
    groups: Groups = None
    stream: bool = False

    @property
    def memory(self) -> type[Folded]:
        """The type that holds the cumulated sums."""
        return Folded

    def check(self, model: Model[Any]) -> None:
        """Raise ConfigError unless assignment is hard: soft shares would never be corrected."""
        check_steady(model, "minibatch")
        if model.temperature != 0:
            raise ConfigError(
                "fit.schedule 'minibatch' needs hard assignment: kmeans, or a mixture with "
                "model.assignment=hard. For soft assignment, use fit.schedule=stepwise."
            )

    def step(self, fit: Fit, state: FitState) -> FitState:
        """Make an online pass, or after `passes` of them a batch iteration."""
        return online_step(fit, state, self.passes, self.groups, cumulated, self.stream)


schedule = MiniBatch
