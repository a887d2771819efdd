"""Resident blocks: keeps decoded blocks in memory between passes, within a budget."""

from __future__ import annotations

import time
from dataclasses import dataclass

from emdist.interfaces import Block
from emdist.runtime.cache import RESIDENT, Key
from emdist.runtime.memory import available_memory, return_freed

#: Seconds for which a look at the free memory is valid. One look takes about 0.1 ms.
_VALID = 0.25


@dataclass(frozen=True)
class Keep:
    """How much of a source may be kept in memory.

    Attributes
    ----------
    owner
        A name of the source that no two runs share, because data may be rewritten between runs.
    budget
        The largest number of bytes per process, over all owners.
    yields
        Whether blocks are dropped when memory gets short: all kept blocks then take at most half
        of the memory that would be free without them.
    form
        What the blocks are: decoded rows, or "prepared" ones. Blocks of one form are never taken
        for those of another, and they replace them.
    """

    owner: str
    budget: int
    yields: bool = False
    form: str = ""

    def get(self, i: int) -> Block | None:
        """Return block `i`, or None if it is not kept."""
        found: Block | None = RESIDENT.get(self._key(i))
        return found

    def put(self, block: Block) -> bool:
        """Keep `block` if the budget allows it. Return whether it is kept."""
        budget = min(self.budget, _HALF.budget()) if self.yields else self.budget
        return RESIDENT.put(self._key(block.index), block, budget)

    def _key(self, i: int) -> Key:
        return Key(self.owner, self.form, i)


class _Half:
    """Half of the memory that would be free if no block were kept. It is mutable: it looks again.

    Threads may look at the same time, which does no harm.
    """

    def __init__(self) -> None:
        self._looked, self._budget = -float("inf"), 0

    def budget(self) -> int:
        """Return the bytes that all kept blocks may take now; drop blocks that take more."""
        now = time.monotonic()
        if now - self._looked >= _VALID:
            self._budget = (available_memory() + RESIDENT.nbytes) // 2
            if RESIDENT.shrink(self._budget):
                return_freed()
            self._looked = now
        return self._budget


_HALF = _Half()
