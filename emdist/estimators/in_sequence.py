"""`InSequence`: data with the sequences of its rows, as the hidden Markov models pass them on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from emdist.errors import ConfigError
from emdist.inputs.sequences import (
    Sequences,
    one_sequence,
    sequences_of_ids,
    sequences_of_lengths,
)
from emdist.interfaces import Engine, Source
from emdist.store.sources.sequenced import SequencedSource


@dataclass(frozen=True, eq=False)
class InSequence:
    """Data, and how their rows follow one another.

    Attributes
    ----------
    x
        The data, as a user passed them.
    lengths
        The number of rows of each sequence, or None.
    groups
        An id for each row, or None.
    """

    x: Any
    lengths: Any = None
    groups: Any = None

    def sequences(self, rows: int) -> Sequences:
        """Return the sequences of `rows` rows: a single one if nothing else is said."""
        if self.lengths is not None and self.groups is not None:
            raise ConfigError("lengths and groups both say what a sequence is. Pass only one.")
        if self.lengths is not None:
            return sequences_of_lengths(self.lengths, rows)
        if self.groups is not None:
            return sequences_of_ids(self.groups, rows)
        return one_sequence(rows)


class InOrder:
    """Mixin of the estimators whose rows lie in sequences: `X` may be `InSequence`."""

    def _source(self, X: Any, sample_weight: Any, engine: Engine) -> Source:
        base: Any = super()
        if not isinstance(X, InSequence):
            found: Source = base._source(X, sample_weight, engine)
            return found
        source: Source = base._source(X.x, sample_weight, engine)
        return SequencedSource(source, X.sequences(source.shape[0]))

    def _source_as_fitted(self, X: Any, sample_weight: Any, engine: Engine) -> Source:
        base: Any = super()
        rows = X.x if isinstance(X, InSequence) else X
        source: Source = base._source_as_fitted(rows, sample_weight, engine)
        told = X if isinstance(X, InSequence) else InSequence(X)
        return SequencedSource(source, told.sequences(source.shape[0]))

    def _as_fitted(self, X: Any) -> Any:
        base: Any = super()
        return base._as_fitted(X.x if isinstance(X, InSequence) else X)

    def _note_layout(self, X: Any) -> None:
        base: Any = super()
        base._note_layout(X.x if isinstance(X, InSequence) else X)

    @contextmanager
    def _kept(self, rows: Source, engine: Engine) -> Iterator[Source]:
        base: Any = super()
        if not isinstance(rows, SequencedSource):
            with base._kept(rows, engine) as kept:
                yield kept
            return
        with base._kept(rows.source, engine) as kept:
            yield replace(rows, source=kept)
