"""`SequencedSource`: a source whose blocks know the sequences of their rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from emdist.errors import ConfigError
from emdist.inputs.names import Names, names_of
from emdist.inputs.sequences import (
    EqualSequences,
    Sequences,
    one_sequence,
    weights_of_sequences,
)
from emdist.interfaces import Block, Source
from emdist.store.sources.ahead import expect
from emdist.store.sources.stamps import Stamped
from emdist.wording import either


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
    sequences: Sequences | EqualSequences

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

    @property
    def doubt(self) -> str:
        """Why reading costs more than needed, or ""."""
        return str(getattr(self.source, "doubt", ""))

    @property
    def selected_rows(self) -> str | None:
        """The rows of the stored data that are read, or None for all."""
        found: str | None = getattr(self.source, "selected_rows", None)
        return found

    def __len__(self) -> int:
        return len(self.source)

    def read(self, i: int) -> Block:
        """Return block `i` with its sequences; WeightError if weights differ within one."""
        block = self.source.read(i)
        pieces = self.sequences.within(block.start, block.start + len(block.x))
        weight = weights_of_sequences(block.weight, block.mask, pieces, len(block.x))
        return replace(block, pieces=pieces, weight=weight)

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


def sequenced(source: Source, told: Callable[[int], Sequences] | None = None) -> SequencedSource:
    """Return `source` with the sequences of its rows.

    Parameters
    ----------
    source
        The rows.
    told
        Returns the sequences, given the number of rows. None stands for the sequences of the rows
        themselves, if they are on a grid with a time dimension, or else for one of all rows.

    Raises
    ------
    ConfigError
        If rows on a grid have several dimensions, none of which is time.
    """
    plan = getattr(unwrapped(source), "plan", None)
    rows = source.shape[0]
    if plan is not None and plan.time:
        if told is not None:
            raise ConfigError(
                f"data.time is {plan.time}, and lengths or ids of sequences are given too. Give "
                "only one of them."
            )
        return SequencedSource(source, EqualSequences(plan.shape[-1], rows))
    if plan is not None and len(plan.samples) > 1:
        raise ConfigError(
            f"Rows have the dimensions {', '.join(plan.samples)}, and a hidden Markov model needs "
            "to know along which of them they follow one another. "
            + either(
                f"Pass emdist.rows(X, ..., time={plan.samples[0]!r}).",
                f"Set data.time, such as to {plan.samples[0]}.",
                f"Pass --time, as in --time {plan.samples[0]}.",
            )
        )
    return SequencedSource(source, one_sequence(rows) if told is None else told(rows))


def unwrapped(source: Any) -> Any:
    """Return the source that is read, below all that wrap it."""
    while (inner := getattr(source, "source", None)) is not None:
        source = inner
    return source


def sequences_in(source: Any) -> Sequences | EqualSequences | None:
    """Return the sequences of the rows of a source, also of one that wraps another."""
    found: Sequences | EqualSequences | None = getattr(source, "sequences", None)
    if found is not None:
        return found
    inner = getattr(source, "source", None)
    return None if inner is None else sequences_in(inner)
