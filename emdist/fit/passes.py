"""The tasks that an engine maps over blocks: small, frozen, picklable, pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from emdist.fit.assigned import assigned
from emdist.fit.sample import Sample, highest
from emdist.interfaces import Block, Floats, Model, Numerics, Source
from emdist.models.together import Parted, e_steps
from emdist.store.labels.writer import LabelWriter
from emdist.sums import Sums


@dataclass(frozen=True)
class EStep:
    """Sums of one block under `params`; with the shared statistics in a run's first pass."""

    source: Source
    model: Model[Any]
    params: Any
    origin: Floats
    numerics: Numerics
    with_shared: bool = False

    def __call__(self, i: int) -> Sums:
        return self.together((self,), i)[0]

    @staticmethod
    def together(tasks: Sequence[EStep], i: int) -> list[Sums]:
        """What each of some tasks of one source gives for a block, T(x) of its rows made once."""
        block = tasks[0].source.read(i)
        found: dict[int, Sums] = {}
        for origin in {task.origin.tobytes(): task.origin for task in tasks}.values():
            own = [n for n, task in enumerate(tasks) if task.origin.tobytes() == origin.tobytes()]
            parts = [Parted(tasks[n].model, tasks[n].params, tasks[n].numerics) for n in own]
            found.update(zip(own, e_steps(block, origin, parts), strict=True))
        return [task._with_shared(block, found[n]) for n, task in enumerate(tasks)]

    def _with_shared(self, block: Block, sums: Sums) -> Sums:
        if not self.with_shared:
            return sums
        shared = self.model.shared_step(block, self.origin)
        return Sums({**sums.fields, **shared.fields})


@dataclass(frozen=True)
class FirstStep:
    """Sums of one block whose rows `labeller` labels: a start for `model` from its M-step."""

    source: Source
    labeller: Model[Any]
    labeller_params: Any
    model: Model[Any]
    params: Any
    origin: Floats

    def __call__(self, i: int) -> Sums:
        block = self.source.read(i)
        labels = self.labeller.assign(
            block, self.labeller_params, self.origin, Numerics("float64")
        ).labels
        sums = self.model.first_step(block, self.params, labels, self.origin)
        shared = self.model.shared_step(block, self.origin)
        return Sums({**sums.fields, **shared.fields})


@dataclass(frozen=True)
class WorstRows:
    """The rows of one block that `params` explain worst, as a `Sample` whose priority says how.

    The sample's ``x`` holds the row relative to the origin and, last, its label.
    """

    source: Source
    model: Model[Any]
    params: Any
    origin: Floats
    numerics: Numerics
    size: int

    def __call__(self, i: int) -> Sample:
        block = self.source.read(i)
        x, weight = block.valid()
        found = self.model.assign(block, self.params, self.origin, self.numerics)
        badness = found.score if self.model.minimises else -found.score
        given = np.ones(len(x)) if weight is None else weight
        # Noise is explained: a component placed there would have no rows but its own.
        keep = np.flatnonzero((given > 0) & (found.labels >= 0))
        if len(keep) > self.size:
            keep = keep[np.argpartition(-badness[keep], self.size - 1)[: self.size]]
        rows = np.empty((len(keep), x.shape[1] + 1))
        rows[:, :-1] = x[keep] - self.origin
        rows[:, -1] = found.labels[keep]
        return highest(self.size, badness[keep], block.rows()[keep], rows, given[keep])


@dataclass(frozen=True)
class LabelBlock:
    """Labels one block, stores them, and sums ``count`` (c,), ``score`` and ``weight``.

    `count` has the c columns of the responsibilities: the components, then noise where there is.

    A block whose labels are stored already is not read again.
    """

    source: Source
    model: Model[Any]
    params: Any
    origin: Floats
    numerics: Numerics
    writer: LabelWriter | None = None

    def __call__(self, i: int) -> Sums:
        before = self.writer.done(i) if self.writer is not None else None
        # Rows stay out of this frame: an error that Zarr has met within may hold it for long.
        return self._labelled(i) if before is None else before

    def _labelled(self, i: int) -> Sums:
        block = self.source.read(i)
        wants_resp = self.writer is not None and "responsibilities" in self.writer.outputs
        found = assigned(self.model, block, self.params, self.origin, self.numerics, wants_resp)
        _, weight = block.valid()
        given = np.ones(len(found.labels)) if weight is None else weight
        columns = len(self.params.shares)
        # The label -1 of noise is the last column, as an index from the end.
        count = np.bincount(found.labels % columns, given, minlength=columns).astype(np.float64)
        with np.errstate(over="ignore"):  # Of weights of 1e307: whoever uses the sums says so.
            score, total = np.array(given @ found.score), np.array(given.sum())
        sums = Sums({"count": count, "score": score, "weight": total})
        if self.writer is not None:
            self.writer.write(block, found, sums)
        return sums
