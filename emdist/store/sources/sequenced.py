"""`SequencedSource`: a source whose blocks know the sequences of their rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from emdist.errors import ConfigError
from emdist.inputs.names import Names, names_of
from emdist.inputs.sequences import Sequences, check_weights
from emdist.interfaces import Block, Source
from emdist.store.sources.ahead import expect
from emdist.store.sources.stamps import Stamped


@dataclass(frozen=True, eq=False)
class SequencedSource:
    """The rows of a source, with their sequences.

    Attributes
    ----------
    source
        The source that is read.
    sequences
        The sequences of its rows.
    """

    source: Source
    sequences: Sequences

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

    @property
    def feature_names(self) -> Names:
        """The names of the features of the source."""
        return names_of(self.source)

    def __len__(self) -> int:
        return len(self.source)

    def read(self, i: int) -> Block:
        """Return block `i` with its sequences; WeightError if weights differ within one."""
        block = self.source.read(i)
        if block.box is not None:
            raise ConfigError(
                "Rows on a grid have no order in time yet: a hidden Markov model needs rows that "
                "lie one after another. Write the rows of each sequence to an array (rows, "
                "features), and pass lengths."
            )
        pieces = self.sequences.within(block.start, block.start + len(block.x))
        if block.weight is not None:
            check_weights(block.weight, pieces.starts)
        return replace(block, pieces=pieces)

    def expect(self, i: int) -> None:
        """Let the source read block `i` ahead, if it can."""
        expect(self.source, i)

    def needs(self, i: int) -> tuple[Any, ...]:
        """Return the keys of persisted Dask chunks from which block `i` is made."""
        found = getattr(self.source, "needs", None)
        return () if found is None else tuple(found(i))

    def fingerprint(self) -> Mapping[str, Any]:
        """Return the fingerprint of the source, with that of the sequences."""
        return {**self.source.fingerprint(), "sequences": self.sequences.digest()}

    def stamps(self) -> Mapping[str, str]:
        """Return the stamps of the source; empty if its data are not in files."""
        return self.source.stamps() if isinstance(self.source, Stamped) else {}


def sequences_in(source: Any) -> Sequences | None:
    """Return the sequences of the rows of a source, also of one that wraps another."""
    found: Sequences | None = getattr(source, "sequences", None)
    if found is not None:
        return found
    inner = getattr(source, "source", None)
    return None if inner is None else sequences_in(inner)
