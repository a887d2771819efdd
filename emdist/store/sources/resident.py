"""Decoded blocks that stay in memory between passes: of which source, within which budget."""

from __future__ import annotations

from dataclasses import dataclass

from emdist.interfaces import Block
from emdist.runtime.cache import RESIDENT, Key


@dataclass(frozen=True)
class Keep:
    """What may be kept of a source.

    Attributes
    ----------
    owner
        Names the source: no two runs share it, for data may be written anew between them.
    budget
        Bytes per process, over all owners.
    """

    owner: str
    budget: int

    def get(self, i: int) -> Block | None:
        """Block `i`, or None."""
        found: Block | None = RESIDENT.get(self._key(i))
        return found

    def put(self, block: Block) -> bool:
        """Keep `block` if that is possible within the budget; whether it is kept."""
        return RESIDENT.put(self._key(block.index), block, self.budget)

    def _key(self, i: int) -> Key:
        return Key(self.owner, "", i)
