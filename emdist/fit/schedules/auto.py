"""The default: K-means skips rows where that pays, and every other fit makes batch iterations.

Which of the two is a function of the data's shape and type, the block plan and the configuration.
When pruned iterations begin is a function of the parameters and of how far they have moved, which
checkpoints hold. So results do not depend on engines, workers, memory or interruptions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from emdist.fit.fit import Fit
from emdist.fit.movements import nearest_other
from emdist.fit.pruning import bounds_bytes, is_kmeans
from emdist.fit.schedules.batch import Batch
from emdist.fit.schedules.pruned import Pruned
from emdist.fit.state import FitState, Status
from emdist.interfaces import Floats, Model, Source

#: Pruning pays from this many centres on, if the distances of a row take this many products, and
#: all distances of a pass so many.
_CENTRES, _OF_ROW, _PRODUCTS = 16, 512, 1 << 26
#: Bounds of rows may take this part of the size of the rows, because a pass reads them all. With
#: the sums of each block, they may be as large as the rows.
_SHARE = 3
#: Pruned iterations begin after this many, when the root mean square of the centres' movements is
#: less than this part of half the median distance to the nearest other centre. Before, bounds would
#: fail for most rows. The sum over all centres would begin later the more of them there are.
_PLAIN, _MOVED = 3, 0.05


@dataclass(frozen=True)
class Auto:
    """Pruned K-means once centres move little, where bounds pay; otherwise batch iterations.

    Attributes
    ----------
    memo_bytes
        The most memory that the bounds of all rows may take. With more rows, K-means makes batch
        iterations.
    """

    memo_bytes: Annotated[int, Field(ge=0)] = 1 << 26
    #: The schedule of iterations that skip rows. It remembers how the centres of this fit move.
    _pruned: Pruned = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Fits that share passes also share this memory, so its limit is that of `pruned`.
        object.__setattr__(self, "_pruned", Pruned(groups=1, keep_rows=False))

    @property
    def memory(self) -> type[None]:
        """The type of None: a resumed fit needs nothing."""
        return type(None)

    def check(self, model: Model[Any]) -> None:
        """Accept every model."""

    def choice(self, model: Model[Any], k: int, source: Source) -> str:
        """Return the name of the schedule for `k` components of `model`, fitted to `source`."""
        needed = self.bytes_of(model, k, source)
        return "pruned" if 0 < needed <= self.memo_bytes else "batch"

    def bytes_of(self, model: Model[Any], k: int, source: Source) -> int:
        """Return the bytes of all bounds if pruning may pay, whatever `memo_bytes` is; else 0."""
        n, d = source.shape
        if not is_kmeans(model) or k < _CENTRES or k * d < _OF_ROW or n * d * k < _PRODUCTS:
            return 0
        size, needed = n * d * source.dtype.itemsize, bounds_bytes(n, d, k, len(source), 1)
        pays = _SHARE * bounds_bytes(n, d, k, 0, 1) <= size and needed <= size
        return needed if pays else 0

    def step(self, fit: Fit, state: FitState) -> FitState:
        """Make an iteration."""
        chosen = self.choice(fit.model, fit.n_components, fit.source)
        if chosen == "pruned" and _settles(state, fit.model.locations(state.params)):
            return self._pruned.step(fit, state)
        done = Batch().step(fit, state)
        if done.status is not Status.RUNNING:
            self._pruned.forget()
        return done


def _settles(state: FitState, means: Floats) -> bool:
    """Return whether centres moved so little in the last iteration that most bounds would hold."""
    if state.iteration < _PLAIN or state.history[-1].restart != state.restart:
        return False
    moved = math.sqrt(state.history[-1].shift / len(means))  # NaN if components were dropped
    return moved < _MOVED * float(np.median(0.5 * nearest_other(means)))


schedule = Auto
