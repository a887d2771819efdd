"""Arrays of labels, one for each row of some data: in memory or in Zarr, read in parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from emdist.errors import CheckpointError, DtypeError, EmdistError, ShapeError
from emdist.fit.assigned import assigned
from emdist.interfaces import Block, Floats, Model, Numerics, Source
from emdist.store.chunks.zarr_thread import apart
from emdist.store.grids.grid_source import GridSource
from emdist.store.labels.place import MARK
from emdist.store.sources.diagnosis import Region, Request, diagnosed
from emdist.store.sources.references import ArrayRef, open_checked, shown_cause

Labels: TypeAlias = NDArray[np.int64]
#: The label of rows that are left out, in arrays that are read: no label of a cluster.
LEFT_OUT = np.iinfo(np.int64).min
#: The labels of noise, and of rows that are left out beside it, in groups of labels.
_NOISE, _LEFT_OUT_BESIDE_NOISE = -1, -2


class LabelGiver(Protocol):
    """Gives the labels of the rows of a block."""

    def of(self, block: Block) -> Labels:
        """Return the labels of the rows of a block that count, (m,); `LEFT_OUT` for none."""


class LabelArray(Protocol):
    """Labels in the order of the rows, of the shape of their grid or (n,)."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The number of rows, or the sizes of the dimensions of their grid."""

    @property
    def unit(self) -> int:
        """How many positions of the first dimension are best read at once."""

    def read(self, region: Region, block: int) -> Labels:
        """Return the labels in a region of the array; `LEFT_OUT` for rows that have none."""


@dataclass(frozen=True, eq=False)
class HeldLabels:
    """Labels in memory.

    Attributes
    ----------
    values
        Whole numbers, of any integer type.
    fill
        The number of rows that are left out, or None.
    names
        What each number stands for, if labels are text; else None.
    """

    values: NDArray[Any]
    fill: int | None = None
    names: NDArray[Any] | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        return self.values.shape

    @property
    def unit(self) -> int:
        return 1

    def read(self, region: Region, block: int) -> Labels:
        return _without(self.values[region], self.fill)


@dataclass(frozen=True)
class StoredLabels:
    """Labels in a Zarr array.

    Attributes
    ----------
    ref
        The array.
    shape
        Its shape.
    unit
        The number of rows, or of positions of the first dimension, of one of its chunks.
    fill
        The number that stands for rows that were left out, or None.
    """

    ref: ArrayRef
    shape: tuple[int, ...]
    unit: int
    fill: int | None = None

    def read(self, region: Region, block: int) -> Labels:
        try:
            found: Any = self.ref.reader()[region]
        except EmdistError:
            raise
        except Exception as error:  # codecs and stores raise exceptions of any kind
            told = diagnosed(Request(self.ref, region, block), error)
            if told is error:  # a defect, raised unchanged
                raise
            raise told from shown_cause(self.ref, error)
        return _without(np.asarray(found), self.fill)


def _without(values: NDArray[Any], fill: int | None) -> Labels:
    found: Labels = values.astype(np.int64, copy=False)
    if fill is None:
        return found
    kept: Labels = np.where(values == fill, LEFT_OUT, found)
    return kept


@apart
def stored_labels(ref: ArrayRef, fill: int | None = None) -> StoredLabels:
    """Return the labels in a Zarr array, checked as far as its metadata allow.

    `fill` is the number of rows that were left out; None stands for the attribute ``_FillValue``.

    Raises
    ------
    DataError
        If there is no array, or if it does not hold whole numbers.
    """
    array = open_checked(ref)
    if array.dtype.kind not in "iub":
        raise DtypeError(
            f"{ref} holds {array.dtype}; expected labels, which are whole numbers. Name the array "
            "of the labels, such as labels.zarr/labels."
        )
    if not array.shape or 0 in array.shape:
        raise ShapeError(f"{ref} has the shape {array.shape}, and so no labels.")
    told = dict(array.attrs).get("_FillValue")
    if fill is None and isinstance(told, int) and not isinstance(told, bool):
        fill = told
    unit = array.shards[0] if array.shards else array.chunks[0]
    return StoredLabels(ref.checked(array), tuple(array.shape), int(unit), fill)


@apart
def labels_in_group(ref: ArrayRef) -> StoredLabels:
    """Return the labels in a group that emdist wrote.

    Raises
    ------
    CheckpointError
        If they are not complete.
    DataError
        If the group has no labels.
    """
    mark = ref.open_group().attrs.get(MARK)
    if not (isinstance(mark, dict) and mark.get("complete")):
        raise CheckpointError(
            f"The labels at {ref} are not complete, or emdist did not write them. Start the same "
            "labelling again to complete them, or name the array of the labels."
        )
    own = ref.below("labels")
    return stored_labels(own, int(open_checked(own).fill_value))


def check_rows(labels: LabelArray, rows: int, grid: Sequence[int] | None) -> None:
    """Raise ShapeError unless there is one label for each of `rows`, which may fill a `grid`."""
    shape = labels.shape
    if shape == (rows,) or (grid is not None and shape == tuple(grid)):
        return
    wanted = f"({rows},)" if grid is None else f"{tuple(grid)}, or ({rows},)"
    left = (
        " `predict` leaves out rows that a policy leaves out; labels that `label` writes have all "
        "rows."
        if len(shape) == 1 and shape[0] < rows
        else ""
    )
    raise ShapeError(
        f"The labels have the shape {shape}, expected {wanted}: one for each row of the data.{left}"
    )


@dataclass(frozen=True)
class ArrayLabelling:
    """Labels in an array.

    Attributes
    ----------
    array
        The labels, one for each row.
    noise
        A label that is no cluster, or None: its rows are left out.
    """

    array: LabelArray
    noise: int | None = None

    def of(self, block: Block) -> Labels:
        found = _labels_of(self.array, block)
        return _without(found, self.noise)


@dataclass(frozen=True)
class ModelLabelling:
    """Labels that a model gives, computed where they are needed.

    Attributes
    ----------
    model, params, origin, numerics
        The model as a pass uses it.
    """

    model: Model[Any]
    params: Any
    origin: Floats
    numerics: Numerics

    def of(self, block: Block) -> Labels:
        found = assigned(self.model, block, self.params, self.origin, self.numerics).labels
        return _without(found, _NOISE)


def labels_beside(source: Source, labels: LabelArray) -> ArrayLabelling:
    """Return the labels of clusters of the rows of `source`; ShapeError if there are not as many.

    `source` has not been prepared.
    """
    grid = source.bounds.shape if isinstance(source, GridSource) else None
    check_rows(labels, source.shape[0], grid)
    return of_clusters(labels)


def of_clusters(labels: LabelArray) -> ArrayLabelling:
    """Return the labels of clusters: without noise, where emdist wrote labels of a model with it.

    Rows that are left out have the label -2 there, and -1 elsewhere.
    """
    fill = getattr(labels, "fill", None)
    return ArrayLabelling(labels, _NOISE if fill == _LEFT_OUT_BESIDE_NOISE else None)


def counted_labels(labelling: LabelGiver, block: Block) -> Labels:
    """Return the labels of the rows of a block that count, without rows of weight 0: (m,)."""
    found = labelling.of(block)
    _, weight = block.valid()
    if weight is None:
        return found
    kept: Labels = np.where(weight > 0, found, LEFT_OUT)
    return kept


def _labels_of(labels: LabelArray, block: Block) -> Labels:
    """Return the labels of the rows of a block that count: (m,)."""
    if block.box is not None and labels.shape == block.box.shape and len(labels.shape) > 1:
        found = labels.read(block.box.region, block.index).reshape(-1)
    elif block.box is not None and isinstance(labels, HeldLabels):
        found = labels.read((block.box.rows(0, len(block.x)),), block.index)  # type: ignore[arg-type]
    elif block.box is not None and len(labels.shape) == 1 != len(block.box.shape):
        rows = block.box.rows(0, len(block.x))
        # They lie between the first and the last of them in the array, in the same order.
        first = int(rows.min())
        part = labels.read((slice(first, int(rows.max()) + 1),), block.index)
        found = part[rows - first]
    else:
        start = block.start if block.box is None else block.box.start[0]
        found = labels.read((slice(start, start + len(block.x)),), block.index)
    return found if block.mask is None else found[block.mask]


def codes_of(values: Labels, known: Labels) -> NDArray[np.int64]:
    """Return the index of each label among `known`, which ascend; -1 for rows left out.

    All other labels must be known.
    """
    out = values == LEFT_OUT
    if not len(known):
        return np.full(len(values), -1, np.int64)
    low, high = int(known[0]), int(known[-1])
    if high - low < 1 << 20:
        table = np.full(high - low + 1, -1, np.int64)
        table[known - low] = np.arange(len(known))
        codes: NDArray[np.int64] = table[np.where(out, low, values) - low]
    else:
        codes = np.searchsorted(known, values).astype(np.int64)
    codes[out] = -1
    return codes


def distinct(values: Labels) -> Labels:
    """Return the distinct labels in ascending order, without `LEFT_OUT`."""
    out = values == LEFT_OUT
    kept = values[~out] if out.any() else values
    if not len(kept):
        return np.empty(0, np.int64)
    low, high = int(kept.min()), int(kept.max())
    if high - low < max(1 << 16, 4 * len(kept)):
        return np.flatnonzero(np.bincount(kept - low)).astype(np.int64) + low
    return np.unique(kept)
