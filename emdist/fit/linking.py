"""Links: what blocks must know of one another where a block's edge cuts a sequence of rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from emdist.interfaces import Floats, Numerics, Source
from emdist.store.sources.sequenced import sequences_in


@runtime_checkable
class Linking(Protocol):
    """A model of sequences, whose blocks depend on one another."""

    def messages(
        self, block: Any, params: Any, origin: Floats, numerics: Numerics, shown: bool
    ) -> Any:
        """Return what a block tells the others; two messages are added by joining."""

    def linked(self, params: Any, messages: Any) -> Any:
        """Return `params` with what each block must know of the others."""


@dataclass(frozen=True)
class MessagesOfBlock:
    """Task that returns what one block tells the others, for a pass with `params`."""

    source: Source
    model: Linking
    params: Any
    origin: Floats
    numerics: Numerics
    shown: bool

    def __call__(self, i: int) -> Any:
        block = self.source.read(i)
        return self.model.messages(block, self.params, self.origin, self.numerics, self.shown)


def linked(
    source: Source,
    model: Any,
    params: Any,
    origin: Floats,
    numerics: Numerics,
    reduce: Callable[[Any, Sequence[int]], Any],
    shown: bool = False,
) -> Any:
    """Return the parameters for a pass over `source`; one more read if blocks cut sequences.

    Parameters
    ----------
    source, model, params, origin, numerics
        Those of the pass.
    reduce
        Applies a task to some blocks and adds the results.
    shown
        Whether the pass computes what users see, and not only sums.
    """
    if not isinstance(model, Linking):
        return params
    sequences = sequences_in(source)
    cut = [] if sequences is None else sequences.cuts(source.bounds)
    if not cut:
        return params
    task = MessagesOfBlock(source, model, params, origin, numerics, shown)
    return model.linked(params, reduce(task, cut))
