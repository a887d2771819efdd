"""`SampledBlocks`: some blocks of a source as a source of their own, for a trial."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from emdist.inputs.sequences import Sequences
from emdist.interfaces import Block, Source
from emdist.store.sources.ahead import expect
from emdist.store.sources.sequenced import sequences_in


@dataclass(frozen=True, eq=False)
class SampledBlocks:
    """Some blocks of a source. Their rows are numbered anew, in the order of the blocks.

    Attributes
    ----------
    source
        The source that is read.
    picked
        The numbers of the blocks in the source, in ascending order.
    """

    source: Source
    picked: tuple[int, ...]

    @property
    def bounds(self) -> Sequence[int]:
        """The block plan of these blocks."""
        whole = self.source.bounds
        sizes = (int(whole[i + 1]) - int(whole[i]) for i in self.picked)
        return [0, *itertools.accumulate(sizes)]

    @property
    def shape(self) -> tuple[int, int]:
        """The number of their rows, and of features."""
        return self.bounds[-1], self.source.shape[1]

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the source."""
        return self.source.dtype

    @property
    def feature_names(self) -> Any:
        """The names of the features of the source."""
        return getattr(self.source, "feature_names", None)

    @property
    def sequences(self) -> Sequences | None:
        """The sequences of these rows: one that a block cuts goes on in the next of them."""
        whole = sequences_in(self.source)
        if whole is None:
            return None
        starts = [np.zeros(1, np.int64)]
        for i, at in zip(self.picked, self.bounds, strict=False):
            within = whole.within(int(self.source.bounds[i]), int(self.source.bounds[i + 1]))
            starts.append(within.starts + at)
        return Sequences(np.unique(np.concatenate(starts)), self.shape[0])

    def __len__(self) -> int:
        return len(self.picked)

    def read(self, i: int) -> Block:
        """Return the `i`-th of these blocks."""
        block = self.source.read(self.picked[i])
        start = self.bounds[i]
        followed = self.sequences
        pieces = None if followed is None else followed.within(start, start + len(block.x))
        return replace(block, index=i, start=start, box=None, pieces=pieces)

    def expect(self, i: int) -> None:
        """Let the source read the `i`-th of these blocks ahead, if it can."""
        expect(self.source, self.picked[i])

    def fingerprint(self) -> Mapping[str, Any]:
        """Return the fingerprint of the source, and which blocks these are."""
        return {**self.source.fingerprint(), "blocks": list(self.picked)}


def spread_over(blocks: int, wanted: int) -> tuple[int, ...]:
    """Return the numbers of `wanted` of so many blocks, at equal distances."""
    wanted = min(wanted, blocks)
    return tuple(sorted({i * blocks // wanted for i in range(wanted)}))
