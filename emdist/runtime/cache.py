"""Caches: what a process keeps of blocks between passes, within a budget of bytes.

A cache holds pure functions of a block and of what its key names. Whoever asks and finds nothing
reads or computes it again: losing an entry costs time, and never a bit.
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
    """What an entry belongs to.

    Attributes
    ----------
    run
        No two fits or sources share it.
    generation
        Names what the entry was computed from: entries of a run's other generations are dead.
    block
        Index.
    """

    run: str
    generation: str
    block: int


class Cache:
    """Entries of this process. It has state, guarded by a lock, because that is what it is.

    A full cache gives up what was used least recently by other runs, and then keeps what it has:
    a pass asks for every block once, in turn, and whoever always made room for the newest would
    find none of them when the next pass comes round.
    """

    def __init__(self) -> None:
        self._entries: OrderedDict[Key, Any] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    @property
    def nbytes(self) -> int:
        """Held now."""
        return self._bytes

    def get(self, key: Key) -> Any:
        """The entry, or None."""
        with self._lock:
            if key not in self._entries:
                return None
            self._entries.move_to_end(key)
            return self._entries[key]

    def put(self, key: Key, value: Sized, budget: int) -> bool:
        """Keep `value` if that is possible within `budget` bytes in all; whether it was."""
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

    def forget(self, run: str | None = None) -> None:
        """Drop the entries of `run`, or all."""
        with self._lock:
            for key in [k for k in self._entries if run in (None, k.run)]:
                self._drop(key)

    def _drop(self, key: Key) -> None:
        self._bytes -= self._entries.pop(key).nbytes


def _is_dead(old: Key, new: Key) -> bool:
    return old.run == new.run and old.generation != new.generation


#: Those of this process, as tasks arrive pickled and have nowhere else to look: decoded blocks, and
#: what schedules remember of blocks.
RESIDENT, MEMO = Cache(), Cache()
