"""E-steps of several models for one block: statistics T(x) of rows are computed only once."""

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
    """A model whose responsibilities are the softmax of logits."""

    def logits(self, params: Any, numerics: Numerics) -> Logits | None:
        """Return the logits for `params`; None if responsibilities are not a softmax of T(x)."""


@dataclass(frozen=True)
class Parted:
    """A model in a pass, with the parameters and the arithmetic of that pass."""

    model: Model[Any]
    params: Any
    numerics: Numerics

    def logits(self) -> Logits | None:
        """Return the logits of the model, or None if it has none."""
        if not offers(type(self.model), Softmax):
            return None
        model: Any = self.model
        found: Logits | None = model.logits(self.params, self.numerics)
        return found


def e_steps(block: Block, origin: Floats, parts: Sequence[Parted]) -> list[Sums]:
    """Return the sums of ``model.e_step`` for each of `parts`, bit for bit.

    One compiled call scores all mixtures whose responsibilities are a softmax of the same T(x) in
    the same precision. All other models are scored one by one.
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
    """Return a key that is equal for logits that one compiled call can score together."""
    tables = (logits.pairs, logits.extras)
    return logits.eta.dtype, *((*table.shape, table.tobytes()) for table in tables)
