"""`PreparedSource`: a source whose blocks are prepared where they are read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from emdist.errors import ShapeError
from emdist.inputs.names import Names, names_of
from emdist.interfaces import Block, Source
from emdist.prepare.base import PrepareStep
from emdist.prepare.preparation import Preparation
from emdist.store.sources.ahead import expect
from emdist.store.sources.resident import Keep
from emdist.store.sources.sequenced import SequencedSource
from emdist.store.sources.stamps import Stamped


@dataclass(frozen=True, eq=False)
class PreparedSource:
    """A source of prepared rows. Mask, weights, block plan and fingerprint are the source's own.

    Attributes
    ----------
    source
        The source that is read.
    preparation
        What is done with its rows.
    feature_names
        The names by which data are compared with a model: those of `source` if the model itself
        prepares rows, or None.
    keep
        Which prepared blocks are kept between passes, or None for none.
    """

    source: Source
    preparation: Preparation
    feature_names: Names = None
    keep: Keep | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """The number of rows, and of prepared features."""
        return self.source.shape[0], self.preparation.n_features

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of prepared rows."""
        return self.preparation.dtype(self.source.dtype)

    @property
    def bounds(self) -> Sequence[int]:
        """The block plan of the source."""
        return self.source.bounds

    @property
    def beside(self) -> int:
        """Bytes of a row that are in memory beside the prepared row, while a block is prepared."""
        return row_bytes(self.source)

    def __len__(self) -> int:
        return len(self.source)

    def read(self, i: int) -> Block:
        """Return block `i`, prepared."""
        if self.keep is not None and (kept := self.keep.get(i)) is not None:
            return kept
        block = self.source.read(i)
        block = replace(block, x=self.preparation(block))
        if self.keep is not None:
            self.keep.put(block)
        return block

    def expect(self, i: int) -> None:
        """Let the source read block `i` ahead, if it can."""
        if self.keep is None or self.keep.get(i) is None:
            expect(self.source, i)

    def needs(self, i: int) -> tuple[Any, ...]:
        """Return the keys of persisted Dask chunks from which block `i` is made."""
        found = getattr(self.source, "needs", None)
        return () if found is None else tuple(found(i))

    def fingerprint(self) -> Mapping[str, Any]:
        """Return the fingerprint of the source. What is learned follows from data and steps."""
        return self.source.fingerprint()

    def stamps(self) -> Mapping[str, str]:
        """Return the stamps of the source; empty if its data are not in files."""
        return self.source.stamps() if isinstance(self.source, Stamped) else {}


@dataclass(frozen=True, eq=False)
class PlannedSource:
    """The shape and size of prepared rows before the steps have learned; it cannot be read.

    Attributes
    ----------
    source
        The source that will be prepared.
    steps
        The steps.
    """

    source: Source
    steps: tuple[PrepareStep, ...]

    @property
    def shape(self) -> tuple[int, int]:
        """The number of rows, and the largest number of features that they may have."""
        rows, d = self.source.shape
        for step in self.steps:
            d = step.bound(d)
        return rows, d

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of prepared rows."""
        return Preparation(self.source.shape[1], self.steps).dtype(self.source.dtype)

    @property
    def bounds(self) -> Sequence[int]:
        """The block plan of the source."""
        return self.source.bounds

    @property
    def beside(self) -> int:
        """Bytes of a row that are in memory beside the prepared row."""
        return row_bytes(self.source)

    def __len__(self) -> int:
        return len(self.source)

    def read(self, i: int) -> Block:
        """Raise TypeError: the steps have not learned yet."""
        raise TypeError("these rows are not prepared yet")

    def fingerprint(self) -> Mapping[str, Any]:
        """Return the fingerprint of the source."""
        return self.source.fingerprint()


def row_bytes(source: Source) -> int:
    """Return the decoded bytes of a row of `source`."""
    return source.shape[1] * source.dtype.itemsize + int(getattr(source, "beside", 0))


def unprepared(source: Source) -> Source:
    """Return the source of the rows before all steps, and without sequences."""
    while isinstance(source, PreparedSource | SequencedSource):
        source = source.source
    return source


def with_source(source: Source, change: Callable[[Source], Source]) -> Source:
    """Return `source` with the source that is read changed, in place of the prepared one."""
    if isinstance(source, PreparedSource | SequencedSource):
        return replace(source, source=with_source(source.source, change))
    return change(source)


def has_known_width(steps: Sequence[PrepareStep]) -> bool:
    """Return whether the number of prepared features is known before the steps have learned."""
    return all(step.has_known_width for step in steps)


def planned(source: Source, steps: Sequence[PrepareStep]) -> Source:
    """Return a source of the shape that prepared rows will have; `source` if there are no steps."""
    return PlannedSource(source, tuple(steps)) if steps else source


def prepared(source: Source, preparation: Preparation | None, keep_names: bool = True) -> Source:
    """Return `source` with its rows prepared; `source` itself if there is nothing to do.

    `keep_names` says that data are compared with the model by the names before the steps.

    Raises
    ------
    ShapeError
        If the rows have another number of features than those that the steps learned from.
    """
    if preparation is None:
        return source
    if source.shape[1] != preparation.n_features_in:
        raise ShapeError(
            f"The steps of prepare were learned from rows of {preparation.n_features_in} features, "
            f"but the data have {source.shape[1]}. Give data with the same features in the same "
            "order."
        )
    return PreparedSource(source, preparation, names_of(source) if keep_names else None)
