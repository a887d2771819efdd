"""Exact pruned K-means: Lloyd's iterations that score only rows whose centre may have changed.

What a process remembers of a block (labels, bounds and sums) is a cache. A block without it is read
and scored again. That costs time but changes no bit, because sums are exact
(`emdist.kernels.tiles.exact`).
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

from pydantic import Field

from emdist.errors import ConfigError
from emdist.fit.events import Pruning
from emdist.fit.fit import Fit
from emdist.fit.iteration import advanced, at_iteration, named, resolved
from emdist.fit.movements import Track
from emdist.fit.passes import EStep
from emdist.fit.pruning import (
    PrunedStep,
    centres_of,
    is_kmeans,
    is_resident,
    lloyds,
    rounders_of,
)
from emdist.fit.schedules.batch import Batch
from emdist.fit.state import FitState, Status
from emdist.interfaces import Model, Numerics
from emdist.runtime.cache import MEMO
from emdist.sums import Sums

#: The default of `Pruned.memo_bytes`.
MEMO_BYTES = 1 << 30


@dataclass(frozen=True)
class Pruned:
    """Hamerly 2010, with centres grouped by how fast they move, and bounds kept as thresholds.

    Attributes
    ----------
    memo_bytes
        The memory of each process for bounds, 6 bytes a row and 4 for each group, and for the rows
        whose bounds are the tightest, so that they need not be read again.
    groups
        The largest number of groups of centres; each has a bound of its own. None means 4 if
        blocks are read, and 1 for rows in memory, where scoring a few more rows costs less than
        more bounds.
    keep_rows
        Whether what is left of `memo_bytes` keeps rows. Without them, a block in which any row may
        change its cluster is read.
    """

    memo_bytes: Annotated[int, Field(ge=0)] = MEMO_BYTES
    groups: Annotated[int, Field(ge=1, le=16)] | None = None
    keep_rows: bool = True
    #: Identifies the entries of this fit in memos.
    _run: str = field(default_factory=lambda: uuid.uuid4().hex, init=False, repr=False)
    #: The `Track` of the fit that this schedule belongs to.
    _track: Any = field(default_factory=Track, init=False, repr=False, compare=False)

    @property
    def memory(self) -> type[None]:
        """The type of None: a resumed fit needs nothing."""
        return type(None)

    def check(self, model: Model[Any]) -> None:
        """Raise ConfigError unless the model uses squared distances to means."""
        if not is_kmeans(model):
            raise ConfigError(
                "fit.schedule 'pruned' needs kmeans and rows without missing values, because it "
                "uses the triangle inequality of Euclidean distances. Use fit.schedule=batch."
            )

    def step(self, fit: Fit, state: FitState) -> FitState:
        """Make one of Lloyd's iterations."""
        fit = at_iteration(fit, state)
        last, new = resolved(fit, state.params, lambda how: self._gather(fit, state, how))
        done = advanced(fit, state, last, new)
        if done.status is Status.UNCHANGED and fit.n_init > 1:
            # Restarts are compared by an objective summed row by row, as after other schedules.
            done = _closed(fit, state, done)
        if done.status is not Status.RUNNING:
            self.forget()
        return done

    def forget(self) -> None:
        """Free what this process remembers of the fit."""
        MEMO.forget(self._run)

    def _gather(self, fit: Fit, state: FitState, numerics: Numerics) -> Sums:
        """Return the sums of a pass, and report how much of the data it had to read."""
        if numerics.centred:
            task = EStep(fit.source, fit.model, state.params, fit.origin, numerics)
            plain: Sums = fit.map_reduce(named(state), task)
            return plain
        means = fit.model.locations(state.params)
        groups = self.groups or (1 if is_resident(fit.source) else 4)
        drift = self._track.follow(means, numerics, groups)
        step = PrunedStep(
            fit.source,
            fit.origin,
            centres_of(fit.model, state.params, numerics, drift),
            drift,
            rounders_of(fit.survey.spread, fit.source),
            self._run,
            self.memo_bytes,
            self.keep_rows,
        )
        found = fit.map_reduce(named(state), step)
        fit.listen(
            Pruning(int(found["read"]), len(fit.source), int(found["scored"]), fit.source.shape[0])
        )
        return lloyds(found, means)


def _closed(fit: Fit, state: FitState, done: FitState) -> FitState:
    """Return `done` with its last objective as a batch pass computes it."""
    exact = Batch().step(fit, state)
    assert done.sums is not None
    assert exact.sums is not None
    sums = Sums({**done.sums.fields, "objective": exact.sums["objective"]})
    return replace(done, sums=sums, history=exact.history)


schedule = Pruned
