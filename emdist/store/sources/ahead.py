"""Read-ahead: reads and decodes the next blocks while the current one is computed.

The caller says which block it will need next, and a separate thread reads that block while others
compute. The block goes to the first caller that asks for it and is then forgotten here. A failed
read is not reported: the caller reads the block again and meets the same failure.
"""

from __future__ import annotations

import _thread
import os
import queue
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from emdist.interfaces import Block, Source
from emdist.runtime.worker_threads import Crew

#: The largest number of blocks that a process reads ahead at the same time. The budget usually
#: allows fewer.
_THREADS = 8
#: If so many newer blocks were requested since, another worker has taken the block. It is dropped.
_STALE = 8


@dataclass(frozen=True)
class Ahead:
    """How much of a source may be read ahead.

    Attributes
    ----------
    owner
        A name of the source that no two runs share, because data may be rewritten between runs.
    budget
        The largest number of decoded bytes, per process and over all owners, of blocks that nobody
        has asked for yet.
    """

    owner: str
    budget: int


def expect(source: Source, i: int) -> None:
    """Announce to `source` that block `i` will be needed soon, if the source supports it."""
    if (begin := getattr(source, "expect", None)) is not None:
        begin(i)


@dataclass(frozen=True)
class _Wish:
    """A block that will be read when the budget has space for it."""

    ahead: Ahead
    nbytes: int
    read: Callable[[], Block]


class _Reading:
    """The read of one block on another thread.

    It is mutable: it knows whether the read has begun.
    """

    def __init__(self, read: Callable[[], Block]) -> None:
        self._read = read
        self._claim = _thread.allocate_lock()
        self._found: queue.SimpleQueue[Block | None] = queue.SimpleQueue()

    def cancel(self) -> bool:
        """Cancel the read if it has not begun. Return whether it was cancelled."""
        return self._claim.acquire(blocking=False)

    def run(self) -> None:
        """Read the block, unless the read was cancelled."""
        if not self._claim.acquire(blocking=False):
            return
        found = None
        # The caller that asks for the block meets the same failure, and it must not wait for ever.
        # Not only Exception: obstore panics with a BaseException.
        with suppress(BaseException):
            found = self._read()
        self._found.put(found)

    def result(self) -> Block | None:
        """Wait until the block is read and return it, or None if the read failed.

        Call this once.
        """
        return self._found.get()


@dataclass(frozen=True)
class _Pending:
    """A block that is being read, or was read and not taken yet."""

    reading: _Reading
    nbytes: int
    turn: int


class ReadAhead:
    """The blocks that this process reads ahead. It is mutable, and a lock guards its state."""

    def __init__(self) -> None:
        self._crew: Crew | None = None
        self._forget_all()

    def _forget_all(self) -> None:
        """Drop everything, and take a new lock.

        In a forked child, no thread reads, and the old lock may be locked for ever.
        """
        self._entries: dict[tuple[str, int], _Pending] = {}
        self._wishes: dict[tuple[str, int], _Wish] = {}
        self._lock = _thread.allocate_lock()
        self._turn = 0

    @property
    def nbytes(self) -> int:
        """The decoded bytes of all blocks that are being read or wait to be taken."""
        with self._lock:
            return self._held()

    def begin(self, ahead: Ahead, i: int, nbytes: int, read: Callable[[int], Block]) -> bool:
        """Request that ``read(i)`` reads block `i`, of `nbytes`.

        Return whether the read begins now.

        Otherwise the read begins as soon as the budget has space, or never if that comes too late.
        """
        key = (ahead.owner, i)
        with self._lock:
            if nbytes > ahead.budget:
                return False
            if key not in self._entries and key not in self._wishes:
                self._turn += 1
                self._wishes[key] = _Wish(ahead, nbytes, partial(read, i))
                if len(self._wishes) > _STALE:
                    del self._wishes[next(iter(self._wishes))]
                self._start()
            return key in self._entries

    def _start(self) -> None:
        """Begin as many reads as the budget allows, in the order of the requests."""
        for key, wish in list(self._wishes.items()):
            if not self._has_room(wish):
                return
            if self._crew is None:
                self._crew = Crew(_THREADS)
                # A forked child has none of the reading threads.
                if hasattr(os, "register_at_fork"):
                    os.register_at_fork(after_in_child=self._forget_all)
            del self._wishes[key]
            reading = _Reading(wish.read)
            self._entries[key] = _Pending(reading, wish.nbytes, self._turn)
            self._crew.call(reading.run)

    def _has_room(self, wish: _Wish) -> bool:
        """Return whether the budget has space for `wish`. The caller holds the lock.

        If necessary, drop blocks of other owners, and blocks that another worker has taken.
        """
        room = wish.ahead.budget - wish.nbytes
        for key, entry in list(self._entries.items()):
            if self._held() <= room:
                break
            if key[0] != wish.ahead.owner or self._turn - entry.turn > _STALE:
                self._entries.pop(key).reading.cancel()
        return self._held() <= room

    def _held(self) -> int:
        """Return the decoded bytes of all entries. The caller holds the lock."""
        return sum(entry.nbytes for entry in self._entries.values())

    def take(self, ahead: Ahead, i: int) -> Block | None:
        """Return block `i` if it was read ahead, or None if the caller must read it.

        This waits for a read that has begun.
        """
        with self._lock:
            self._wishes.pop((ahead.owner, i), None)
            entry = self._entries.pop((ahead.owner, i), None)
            self._start()
        if entry is None or entry.reading.cancel():
            return None  # Waiting for a free thread would be slower than reading in the caller.
        return entry.reading.result()

    def forget(self, owner: str) -> None:
        """Drop all blocks of `owner` that were read or requested and not taken."""
        with self._lock:
            self._wishes = {key: wish for key, wish in self._wishes.items() if key[0] != owner}
            for key in [key for key in self._entries if key[0] == owner]:
                self._entries.pop(key).reading.cancel()


#: The read-ahead of this process. It is global because tasks arrive pickled and cannot refer to
#: one.
READ_AHEAD = ReadAhead()
