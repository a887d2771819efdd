"""Tasks that an engine applies to every block, such as the E-step and writing labels.

Each task is small, frozen, picklable and pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from emdist.fit.assigned import assigned
from emdist.fit.resampled import resampling_of
from emdist.fit.sample import Sample, highest
from emdist.interfaces import Assigned, Block, Floats, Model, Numerics, Source
from emdist.models.together import Parted, e_steps
from emdist.store.labels.outputs import needs_filter, needs_posterior
from emdist.store.labels.writer import LabelWriter
from emdist.sums import Sums


@dataclass(frozen=True)
class EStep:
    """Return the sums of one block under `params`.

    In the first pass of a run (`with_shared`), the sums include the shared statistics.
    """

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
        """Return the sums of one block for several tasks of one source; compute T(x) only once.

        Tasks that resample the rows differently have different blocks.
        """
        alike: dict[Any, list[int]] = {}
        for n, task in enumerate(tasks):
            alike.setdefault((resampling_of(task.source), task.origin.tobytes()), []).append(n)
        found: dict[int, Sums] = {}
        for own in alike.values():
            first = tasks[own[0]]
            block = first.source.read(i)
            parts = [Parted(tasks[n].model, tasks[n].params, tasks[n].numerics) for n in own]
            sums = e_steps(block, first.origin, parts)
            for n, one in zip(own, sums, strict=True):
                found[n] = tasks[n]._with_shared(block, one)
        return [found[n] for n in range(len(tasks))]

    def _with_shared(self, block: Block, sums: Sums) -> Sums:
        if not self.with_shared:
            return sums
        shared = self.model.shared_step(block, self.origin)
        return Sums({**sums.fields, **shared.fields})


@dataclass(frozen=True)
class FirstStep:
    """Return the sums of one block whose rows `labeller` labels: `model` starts from them."""

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
    """Return the rows of one block that `params` explain worst, as a `Sample`.

    The priority of a row says how badly it is explained. The sample's ``x`` holds the row
    relative to the origin and, in the last column, its label.
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
        # Noise rows count as explained: a component placed there would have no other rows.
        keep = np.flatnonzero((given > 0) & (found.labels >= 0))
        if len(keep) > self.size:
            keep = keep[np.argpartition(-badness[keep], self.size - 1)[: self.size]]
        rows = np.empty((len(keep), x.shape[1] + 1))
        rows[:, :-1] = x[keep] - self.origin
        rows[:, -1] = found.labels[keep]
        return highest(self.size, badness[keep], block.rows()[keep], rows, given[keep])


@dataclass(frozen=True)
class LabelBlock:
    """Label one block, store its labels, and sum ``count`` (c,), ``score`` and ``weight``.

    `count` has one entry for each of the c columns of the responsibilities: the components, then
    noise if the model has it. If no labels are stored, the sums also have ``rows``, the number of
    rows with weight > 0.

    A block whose labels are already stored is not read again.
    """

    source: Source
    model: Model[Any]
    params: Any
    origin: Floats
    numerics: Numerics
    writer: LabelWriter | None = None

    def __call__(self, i: int) -> Sums:
        before = self.writer.done(i) if self.writer is not None else None
        # Rows are local to another frame: an error caught inside Zarr may keep this frame alive.
        return self._labelled(i) if before is None else before

    def _labelled(self, i: int) -> Sums:
        block = self.source.read(i)
        wants_resp = self.writer is not None and needs_posterior(self.writer.outputs)
        found = assigned(self.model, block, self.params, self.origin, self.numerics, wants_resp)
        if self.writer is not None and needs_filter(self.writer.outputs):
            found = self._filtered(block, found)
        _, weight = block.valid()
        given = np.ones(len(found.labels)) if weight is None else weight
        columns = len(self.params.shares)
        # The label -1 of noise, modulo the number of columns, is the last column.
        count = np.bincount(found.labels % columns, given, minlength=columns).astype(np.float64)
        with np.errstate(over="ignore"):  # Weights of 1e307 overflow; users of the sums report it.
            score, total = np.array(given @ found.score), np.array(given.sum())
        sums = Sums({"count": count, "score": score, "weight": total})
        if self.writer is None:
            return Sums({**sums.fields, "rows": np.array(float(np.count_nonzero(given > 0)))})
        self.writer.write(block, found, sums)
        return sums

    def _filtered(self, block: Block, found: Assigned) -> Assigned:
        """Return `found` with the posteriors given the rows so far, and what follows from them."""
        model: Any = self.model
        values = model.filtered(block, self.params, self.origin, self.numerics)
        values = values if block.mask is None else values[block.mask]
        return replace(found, filtered=values, predicted=values @ self.params.transitions)
