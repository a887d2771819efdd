"""`InSequence`: data with the sequences of its rows, as the hidden Markov models pass them on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from emdist import store
from emdist.errors import ConfigError
from emdist.inputs.sequences import (
    Sequences,
    sequences_of_ids,
    sequences_of_lengths,
)
from emdist.interfaces import Engine, Source


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

    def of(self, source: Source) -> Source:
        """Return rows with their sequences: a single one if nothing else is said."""
        if self.lengths is not None and self.groups is not None:
            raise ConfigError("lengths and groups both say what a sequence is. Pass only one.")
        told: Callable[[int], Sequences] | None = None
        if (lengths := self.lengths) is not None:
            told = lambda rows: sequences_of_lengths(lengths, rows)  # noqa: E731
        elif (groups := self.groups) is not None:
            told = lambda rows: sequences_of_ids(groups, rows)  # noqa: E731
        return store.sources.sequenced.sequenced(source, told)


class InOrder:
    """Mixin of the estimators whose rows lie in sequences: `X` may be `InSequence`."""

    def _source(self, X: Any, sample_weight: Any, engine: Engine) -> Source:
        base: Any = super()
        if not isinstance(X, InSequence):
            found: Source = base._source(X, sample_weight, engine)
            return found
        return X.of(base._source(X.x, sample_weight, engine))

    def _source_as_fitted(self, X: Any, sample_weight: Any, engine: Engine) -> Source:
        base: Any = super()
        rows = X.x if isinstance(X, InSequence) else X
        source: Source = base._source_as_fitted(rows, sample_weight, engine)
        return (X if isinstance(X, InSequence) else InSequence(X)).of(source)

    def _as_fitted(self, X: Any) -> Any:
        base: Any = super()
        return base._as_fitted(X.x if isinstance(X, InSequence) else X)

    def _note_layout(self, X: Any) -> None:
        base: Any = super()
        base._note_layout(X.x if isinstance(X, InSequence) else X)
