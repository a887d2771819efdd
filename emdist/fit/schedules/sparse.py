"""Sparse EM: most passes compute only the responsibilities that matter.

Neal and Hinton 1998, section 5. A full pass groups rows by their most likely component, and finds
for each group the other components with a noticeable share of it. The sparse passes that follow
compute these components and leave the others frozen, until the next full pass. Rows are grouped one
by one and not by their position, so the result does not depend on the chunking.

What rises is the lower bound F(q, theta) <= log-likelihood, see `emdist.models.sparse`. A full pass
gives the log-likelihood itself, and only a full pass can end the fit.
"""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from emdist.errors import ConfigError
from emdist.fit.block_groups import check_steady
from emdist.fit.collapse import Pass
from emdist.fit.fit import Fit
from emdist.fit.iteration import advanced, at_iteration, measured, named, resolved
from emdist.fit.schedules.batch import Batch
from emdist.fit.state import FitState, Status
from emdist.interfaces import Floats, Model, Numerics, Source
from emdist.models.mixture import Mixture
from emdist.models.sparse import Part, active_components, freeze, full_step, parts, sparse_step
from emdist.runtime.cache import MEMO, Key
from emdist.store.runs.codec import encode
from emdist.sums import Sums

#: The cost of a sparse pass besides its scores and sums, as a fraction of a full pass.
_OVERHEAD = 0.3


@dataclass(frozen=True)
class Freeze:
    """What is frozen since the last full pass.

    Attributes
    ----------
    params, numerics
        The parameters and numerics of that pass: frozen responsibilities are those of `params`.
        None if nothing is frozen.
    active
        (k, k) which components to compute for the rows of each group.
    passes
        The number of sparse passes since.
    """

    params: Any = None
    numerics: Numerics | None = None
    active: NDArray[np.bool_] | None = None
    passes: int = 0


@dataclass(frozen=True)
class _Full:
    """Return the sums of one block, and how much its components overlap."""

    source: Source
    model: Mixture[Any]
    params: Any
    origin: Floats
    numerics: Numerics
    with_shared: bool

    def __call__(self, i: int) -> Sums:
        block = self.source.read(i)
        sums = full_step(self.model, block, self.params, self.origin, self.numerics)
        if not self.with_shared:
            return sums
        shared = self.model.shared_step(block, self.origin)
        return Sums({**sums.fields, **shared.fields})


@dataclass(frozen=True)
class _Sparse:
    """Return the sparse sums of one block; what is frozen is remembered or computed again."""

    source: Source
    model: Mixture[Any]
    params: Any
    origin: Floats
    numerics: Numerics
    frozen: Freeze
    run: str
    generation: str
    budget: int

    @cached_property
    def _parts(self) -> tuple[Part, ...]:
        # Computed once per task, not per block: covariances are factorised here.
        assert self.frozen.active is not None
        return parts(self.model, self.params, self.numerics, self.frozen.active)

    def __call__(self, i: int) -> Sums:
        block = self.source.read(i)
        active, numerics = self.frozen.active, self.frozen.numerics
        assert active is not None
        assert numerics is not None
        key = Key(self.run, self.generation, i)
        kept = MEMO.get(key)
        if kept is None:
            kept = freeze(self.model, block, self.frozen.params, self.origin, numerics, active)
            MEMO.put(key, kept, self.budget)
        return sparse_step(
            self.model, block, self.params, self.origin, self.numerics, self._parts, kept
        )  # fmt: skip


@dataclass(frozen=True)
class Sparse:
    """Full passes, with sparse passes between them if these save time.

    Attributes
    ----------
    full_every
        One pass in this many is full. The first sparse pass after it makes a full E-step of its
        own to find what to freeze, so small values save nothing.
    threshold
        A component is frozen for a group if its share of the group's mass is below this.
    memo_bytes
        The memory of each process for what is frozen, 12 bytes a row. Blocks beyond it compute this
        again in every pass, which costs time and changes no bit.
    """

    full_every: Annotated[int, Field(ge=2)] = 8
    threshold: Annotated[float, Field(gt=0, lt=1)] = 1e-6
    memo_bytes: Annotated[int, Field(ge=0)] = 512 << 20
    #: Identifies the entries of this fit in memos.
    _run: str = field(default_factory=lambda: uuid.uuid4().hex, init=False, repr=False)

    @property
    def memory(self) -> type[Freeze]:
        """The type that holds the last full pass' parameters and active components."""
        return Freeze

    def check(self, model: Model[Any]) -> None:
        """Raise ConfigError unless the assignment is soft."""
        check_steady(model, "sparse")
        if not isinstance(model, Mixture) or model.temperature != 1:
            raise ConfigError(
                "fit.schedule 'sparse' freezes soft responsibilities, but kmeans and hard "
                "assignment have none. Use fit.schedule=batch, incremental or minibatch."
            )

    def step(self, fit: Fit, state: FitState) -> FitState:
        """Make a full pass or a sparse one."""
        fit = at_iteration(fit, state)
        memory = state.memory if isinstance(state.memory, Freeze) else Freeze()
        if fit.numerics(state.params).centred:
            done = replace(Batch().step(fit, state), memory=Freeze())
        elif memory.active is None or memory.passes + 1 >= self.full_every:
            done = self._full(fit, state, ending=memory.passes >= self.full_every)
        else:
            done = self._sparse(fit, state, memory)
        record = done.history[-1]
        if record.reseeded or record.dropped:
            done = replace(done, memory=Freeze())
        if done.status is not Status.RUNNING:
            MEMO.forget(self._run)
        return done

    def _full(self, fit: Fit, state: FitState, ending: bool) -> FitState:
        """Make a full pass, and find what to freeze in the passes that follow."""
        overlap: list[Floats] = []

        def gather(numerics: Numerics) -> Sums:
            task = _Full(
                fit.source, _mixture(fit), state.params, fit.origin, numerics, state.shared is None
            )  # fmt: skip
            fields = dict(fit.map_reduce(named(state), task).fields)
            overlap[:] = [fields.pop("overlap")]
            return Sums({**fields, **(state.shared or {})})

        last, new = resolved(fit, state.params, gather)
        # Near the end another full pass follows, so that two passes differ by rounding alone.
        memory = Freeze() if ending else self._frozen(last, overlap[0])
        return replace(advanced(fit, state, last, new), memory=memory)

    def _frozen(self, last: Pass, overlap: Floats) -> Freeze:
        """Return what to freeze; nothing if sparse passes would not save time overall."""
        active = active_components(overlap, self.threshold)
        mass = overlap.sum(axis=1)
        part = float(mass @ active.mean(axis=1)) / float(mass.sum()) + _OVERHEAD
        passes = self.full_every - 1
        if 1 + passes * part >= passes:
            return Freeze()
        return Freeze(last.params, last.numerics, active)

    def _sparse(self, fit: Fit, state: FitState, memory: Freeze) -> FitState:
        """Make a sparse pass, and count it."""
        generation = _digest(memory, fit.source)

        def gather(numerics: Numerics) -> Sums:
            task = _Sparse(
                fit.source, _mixture(fit), state.params, fit.origin, numerics, memory,
                self._run, generation, self.memo_bytes,
            )  # fmt: skip
            return Sums({**fit.map_reduce(named(state), task).fields, **(state.shared or {})})

        last, new = resolved(fit, state.params, gather)
        done = advanced(fit, state, last, new, steady=False)
        # If a stop rule would hold, a full pass decides.
        record = done.history[-1]
        ends = fit.stop.holds(measured(fit, state, record), record.shift)
        passes = self.full_every if ends else memory.passes + 1
        return replace(done, memory=replace(memory, passes=passes))


def _mixture(fit: Fit) -> Mixture[Any]:
    assert isinstance(fit.model, Mixture)
    return fit.model


def _digest(memory: Freeze, source: Source) -> str:
    """Return a hash of what is frozen and of the block plan, which identifies memo entries."""
    arrays, _ = encode(replace(memory, passes=0))
    found = hashlib.sha256(repr(tuple(source.bounds)).encode())
    for name in sorted(arrays):
        found.update(np.ascontiguousarray(arrays[name]).tobytes())
    return found.hexdigest()


schedule = Sparse
