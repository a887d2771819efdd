"""Resident blocks: keeps decoded blocks in memory between passes, within a budget."""

from __future__ import annotations

from dataclasses import dataclass

from emdist.interfaces import Block
from emdist.runtime.cache import RESIDENT, Key


@dataclass(frozen=True)
class Keep:
    """How much of a source may be kept in memory.

    Attributes
    ----------
    owner
        A name of the source that no two runs share, because data may be rewritten between runs.
    budget
        The largest number of bytes per process, over all owners.
    """

    owner: str
    budget: int

    def get(self, i: int) -> Block | None:
        """Return block `i`, or None if it is not kept."""
        found: Block | None = RESIDENT.get(self._key(i))
        return found

    def put(self, block: Block) -> bool:
        """Keep `block` if the budget allows it. Return whether it is kept."""
        return RESIDENT.put(self._key(block.index), block, self.budget)

    def _key(self, i: int) -> Key:
        return Key(self.owner, "", i)
