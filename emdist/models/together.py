"""E-steps of several models over the rows of a block: what rows are expanded into is made once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from emdist.components import Logits, offers
from emdist.interfaces import Block, Floats, Model, Numerics
from emdist.models.assignments import softly
from emdist.models.blocks import share_sums
from emdist.sums import Sums


@runtime_checkable
class Softmax(Protocol):
    """A model that can say what its responsibilities are the softmax of."""

    def logits(self, params: Any, numerics: Numerics) -> Logits | None:
        """Of `params`; None if of no such thing."""


@dataclass(frozen=True)
class Parted:
    """A model in a pass, with the parameters and the arithmetic of that pass."""

    model: Model[Any]
    params: Any
    numerics: Numerics

    def logits(self) -> Logits | None:
        """The model's, if it has any."""
        if not offers(type(self.model), Softmax):
            return None
        model: Any = self.model
        found: Logits | None = model.logits(self.params, self.numerics)
        return found


def e_steps(block: Block, origin: Floats, parts: Sequence[Parted]) -> list[Sums]:
    """``model.e_step`` of each, bit for bit.

    Mixtures whose responsibilities are a softmax, of one T(x) and one precision, are scored by one
    compiled call; all others by their own.
    """
    x, weight = block.valid()
    found: dict[int, Sums] = {}
    kinds: dict[Any, list[tuple[int, Logits]]] = {}
    for i, part in enumerate(parts):
        logits = part.logits()
        if logits is None:
            found[i] = part.model.e_step(block, part.params, origin, part.numerics)
        else:
            kinds.setdefault(_kind(logits), []).append((i, logits))
    for kind in kinds.values():
        shares = softly([logits for _, logits in kind], x, weight, origin)
        for (i, _), share in zip(kind, shares, strict=True):
            found[i] = share_sums(share, x, weight)
    return [found[i] for i in range(len(parts))]


def _kind(logits: Logits) -> tuple[Any, ...]:
    """Equal where one call can score both."""
    tables = (logits.pairs, logits.extras)
    return logits.eta.dtype, *((*table.shape, table.tobytes()) for table in tables)
