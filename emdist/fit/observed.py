"""Rows without any observed value, which tell nothing of a model and are left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdist.interfaces import Array, Block, Cells, Model, Source
from emdist.kernels.tiles.tiles import tile_rows, tiles
from emdist.store.sources.ahead import expect


@dataclass(frozen=True)
class ObservedSource:
    """A source of incomplete rows whose blocks leave out those that miss all a model looks at.

    Attributes
    ----------
    source
        That is read.
    cells
        As `Model.cells`.
    """

    source: Source
    cells: Cells | None

    @property
    def shape(self) -> tuple[int, int]:
        """Of the source."""
        return self.source.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the source."""
        return self.source.dtype

    @property
    def bounds(self) -> Sequence[int]:
        """Of the source."""
        return self.source.bounds

    def __len__(self) -> int:
        return len(self.source)

    def fingerprint(self) -> Mapping[str, Any]:
        """Of the source."""
        return self.source.fingerprint()

    def expect(self, i: int) -> None:
        """Have the source read block `i` ahead, if it can."""
        expect(self.source, i)

    def read(self, i: int) -> Block:
        """Block `i`, its rows without any observed value masked."""
        block = self.source.read(i)
        empty = empty_rows(block.x, self.cells)
        if empty is None:
            return block
        mask = ~empty if block.mask is None else block.mask & ~empty
        return replace(block, mask=mask)


def empty_rows(x: Array, cells: Cells | None) -> NDArray[np.bool_] | None:
    """(m,) rows of `x` (m, d) without any observed value; None where all have one."""
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
    """`source` as `model` sees it: without rows that tell it nothing, if rows may miss values."""
    if not model.missing:
        return source
    return ObservedSource(bare(source), model.cells(source.shape[1]))


def bare(source: Source) -> Source:
    """What was given to `observed_source`."""
    return source.source if isinstance(source, ObservedSource) else source


def cells_of(source: Source) -> Cells | None:
    """What a row of `source` must have one of; None for any feature, or where rows miss none."""
    return source.cells if isinstance(source, ObservedSource) else None


def instead(source: Source, other: Source) -> Source:
    """`other` in place of what was given to `observed_source`."""
    return replace(source, source=other) if isinstance(source, ObservedSource) else other
