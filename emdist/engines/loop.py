"""The plain loop over blocks: the specification of every engine.

Each engine gives the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from emdist.engines.blas import one_thread
from emdist.sums import Monoid, tree_sum

S = TypeVar("S", bound=Monoid)


@dataclass(frozen=True)
class Loop:
    """Processes one block after another, in the calling thread."""

    def map_reduce(
        self,
        task: Callable[[int], S],
        blocks: Sequence[int],
        done: Callable[[int], None] | None = None,
    ) -> S:
        """Return the sum of ``task(block)`` over `blocks`; see `interfaces.Engine`."""
        found = []
        with one_thread():
            for block in require_blocks(blocks):
                found.append(task(block))
                if done is not None:
                    done(len(found))
        return tree_sum(found)


def require_blocks(blocks: Sequence[int]) -> Sequence[int]:
    """Return `blocks`. Raise ValueError if there are none, because an empty sum has no shape."""
    if len(blocks) == 0:
        raise ValueError("map_reduce needs at least one block, got none")
    return blocks
