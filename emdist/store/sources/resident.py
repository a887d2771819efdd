"""Resident blocks: decoded blocks that a process keeps between passes, within a budget.

A block is a pure function of its source, so whoever asks and finds nothing reads it again:
what is kept costs memory and saves time, and never changes a bit.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

from emdist.interfaces import Block


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


class Resident:
    """Blocks of this process. It has state, guarded by a lock, because that is what it is.

    It gives up the blocks of other owners, and then keeps what it has: a pass asks for every
    block once, in turn, and whoever always made room for the newest would find none of them when
    the next pass comes round.
    """

    def __init__(self) -> None:
        self._blocks: dict[tuple[str, int], Block] = {}
        self._bytes = 0
        self._lock = threading.Lock()

    @property
    def nbytes(self) -> int:
        """Held now."""
        return self._bytes

    def get(self, keep: Keep, i: int) -> Block | None:
        """Block `i`, or None."""
        with self._lock:
            return self._blocks.get((keep.owner, i))

    def put(self, keep: Keep, block: Block) -> bool:
        """Keep `block` if that is possible within the budget; whether it is kept."""
        nbytes, key = _nbytes(block), (keep.owner, block.index)
        with self._lock:
            others = [one for one in self._blocks if one[0] != keep.owner]
            while others and self._bytes + nbytes > keep.budget:
                self._drop(others.pop(0))
            if key not in self._blocks and self._bytes + nbytes <= keep.budget:
                self._blocks[key] = block
                self._bytes += nbytes
            return key in self._blocks

    def forget(self, owner: str) -> None:
        """Drop the blocks of `owner`."""
        with self._lock:
            for key in [one for one in self._blocks if one[0] == owner]:
                self._drop(key)

    def _drop(self, key: tuple[str, int]) -> None:
        self._bytes -= _nbytes(self._blocks.pop(key))


def _nbytes(block: Block) -> int:
    return sum(part.nbytes for part in (block.x, block.weight, block.mask) if part is not None)


#: The one of this process: tasks arrive pickled and have nowhere else to look.
RESIDENT = Resident()
