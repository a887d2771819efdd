"""Leaves out rows without any observed value, because such rows have no information on a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdist.inputs.sequences import weights_of_sequences
from emdist.interfaces import Array, Block, Cells, Model, Source
from emdist.kernels.tiles.tiles import tile_rows, tiles
from emdist.store.sources.ahead import expect


@dataclass(frozen=True)
class ObservedSource:
    """A source of incomplete rows that masks those without any value that the model looks at.

    Attributes
    ----------
    source
        The source that is read.
    cells
        The features that a row needs, as in `Model.cells`.
    """

    source: Source
    cells: Cells | None

    @property
    def shape(self) -> tuple[int, int]:
        """The rows and features of the source."""
        return self.source.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the source."""
        return self.source.dtype

    @property
    def bounds(self) -> Sequence[int]:
        """The block plan of the source."""
        return self.source.bounds

    def __len__(self) -> int:
        return len(self.source)

    def fingerprint(self) -> Mapping[str, Any]:
        """Return the fingerprint of the source."""
        return self.source.fingerprint()

    def expect(self, i: int) -> None:
        """Let the source read block `i` ahead, if it can."""
        expect(self.source, i)

    def read(self, i: int) -> Block:
        """Return block `i` with its rows without any observed value masked."""
        return self.masked(self.source.read(i))

    def masked(self, block: Block) -> Block:
        """Return a block of the source with its rows without any observed value masked."""
        empty = empty_rows(block.x, self.cells)
        if empty is None:
            return block
        mask = ~empty if block.mask is None else block.mask & ~empty
        if block.pieces is None:
            return replace(block, mask=mask)
        weight = weights_of_sequences(block.weight, mask, block.pieces, len(block.x))
        return replace(block, mask=mask, weight=weight)


def empty_rows(x: Array, cells: Cells | None) -> NDArray[np.bool_] | None:
    """Return (m,) which rows of `x` (m, d) have no observed value; None if all have one."""
    if x.dtype.kind != "f" or not len(x):
        return None
    empty = np.zeros(len(x), bool)
    for a, b in tiles(len(x), tile_rows(2 * x.shape[1], x.itemsize)):
        missing = np.isnan(x[a:b])
        if cells is None:
            empty[a:b] = missing.all(axis=1)
        else:
            empty[a:b] = np.all([missing[:, cell].any(axis=1) for cell in cells], axis=0)
    return empty if empty.any() else None


def observed_source(source: Source, model: Model[Any]) -> Source:
    """Return `source` without rows that are useless to `model`, if values may be missing."""
    if not model.missing:
        return source
    return ObservedSource(bare(source), model.cells(source.shape[1]))


def bare(source: Source) -> Source:
    """Return the source that was given to `observed_source`."""
    return source.source if isinstance(source, ObservedSource) else source


def cells_of(source: Source) -> Cells | None:
    """Return the features of which a row of `source` needs one.

    None means that any feature will do, or that no values are missing.
    """
    return source.cells if isinstance(source, ObservedSource) else None


def instead(source: Source, other: Source) -> Source:
    """Return `other` in place of the source that was given to `observed_source`."""
    return replace(source, source=other) if isinstance(source, ObservedSource) else other
