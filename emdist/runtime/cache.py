"""Caches: what a process keeps of blocks between passes, within a budget of bytes.

An entry must be a pure function of a block and of what its key names. If an entry is missing, the
caller reads or computes it again. So losing an entry costs time, and never changes a bit.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, Protocol


class Sized(Protocol):
    """Anything that knows how many bytes it takes."""

    @property
    def nbytes(self) -> int: ...


@dataclass(frozen=True)
class Key:
    """The key of an entry.

    Attributes
    ----------
    run
        A name that no two fits or sources share.
    generation
        What the entry was computed from. Entries of other generations of the same run are dropped.
    block
        The index of the block.
    """

    run: str
    generation: str
    block: int


class Cache:
    """The entries of this process. It is mutable, and a lock guards it.

    A full cache drops the least recently used entries of other runs, and then keeps what it has. A
    pass asks for every block once, in turn. If the cache always dropped an old entry for the
    newest, none would be left when the next pass asks for it.
    """

    def __init__(self) -> None:
        self._entries: OrderedDict[Key, Any] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    @property
    def nbytes(self) -> int:
        """The bytes of all entries now."""
        return self._bytes

    def get(self, key: Key) -> Any:
        """Return the entry, or None."""
        with self._lock:
            if key not in self._entries:
                return None
            self._entries.move_to_end(key)
            return self._entries[key]

    def put(self, key: Key, value: Sized, budget: int) -> bool:
        """Keep `value` if all entries then take at most `budget` bytes.

        Return whether it is kept.
        """
        with self._lock:
            for old in [k for k in self._entries if _is_dead(k, key)]:
                self._drop(old)
            others = [k for k in self._entries if k.run != key.run]
            while others and self._bytes + value.nbytes > budget:
                self._drop(others.pop(0))
            if key in self._entries or self._bytes + value.nbytes > budget:
                return key in self._entries
            self._entries[key] = value
            self._bytes += value.nbytes
            return True

    def shrink(self, budget: int) -> bool:
        """Drop entries until all take at most `budget` bytes. Return whether any was dropped.

        The most recently used are dropped first. A pass asks for blocks in turn, so it will ask for
        them last.
        """
        with self._lock:
            before = len(self._entries)
            while self._entries and self._bytes > budget:
                self._drop(next(reversed(self._entries)))
            return len(self._entries) < before

    def forget(self, run: str | None = None) -> None:
        """Drop the entries of `run`, or all entries."""
        with self._lock:
            for key in [k for k in self._entries if run in (None, k.run)]:
                self._drop(key)

    def _drop(self, key: Key) -> None:
        self._bytes -= self._entries.pop(key).nbytes


def _is_dead(old: Key, new: Key) -> bool:
    return old.run == new.run and old.generation != new.generation


#: The caches of this process, for decoded blocks and for what schedules remember of blocks. They
#: are global because tasks arrive pickled and cannot refer to them.
RESIDENT, MEMO = Cache(), Cache()
