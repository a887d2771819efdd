"""Read-ahead: blocks that a process reads and decodes before they are asked for.

Whoever knows which block comes next says so; a thread of its own reads it while others compute. It
is given to the first who asks, and then forgotten here. What fails is not told: whoever asks reads
it again, and meets what is amiss.
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

#: Blocks that a process reads ahead at a time, at most; the budget is less as a rule.
_THREADS = 8
#: A block that so many others have overtaken was taken by another worker, and makes room.
_STALE = 8


@dataclass(frozen=True)
class Ahead:
    """What may be read ahead of a source.

    Attributes
    ----------
    owner
        Names the source: no two runs share it, for data may be written anew between them.
    budget
        Decoded bytes per process, over all owners, of blocks that nobody has asked for yet.
    """

    owner: str
    budget: int


def expect(source: Source, i: int) -> None:
    """Tell `source` that block `i` will be asked for, if it has use for that."""
    if (begin := getattr(source, "expect", None)) is not None:
        begin(i)


@dataclass(frozen=True)
class _Wish:
    """A block that is to be read when there is room."""

    ahead: Ahead
    nbytes: int
    read: Callable[[], Block]


class _Reading:
    """The read of one block on another thread; it has state, whether it has begun."""

    def __init__(self, read: Callable[[], Block]) -> None:
        self._read = read
        self._claim = _thread.allocate_lock()
        self._found: queue.SimpleQueue[Block | None] = queue.SimpleQueue()

    def cancel(self) -> bool:
        """Whether it had not begun, and will not."""
        return self._claim.acquire(blocking=False)

    def run(self) -> None:
        """Read the block, unless that was cancelled."""
        if not self._claim.acquire(blocking=False):
            return
        found = None
        # Whoever asks for the block meets it too, and must not wait for ever: obstore panics with a
        # BaseException.
        with suppress(BaseException):
            found = self._read()
        self._found.put(found)

    def result(self) -> Block | None:
        """The block once it is read, for the one who asks; None if that failed."""
        return self._found.get()


@dataclass(frozen=True)
class _Entry:
    """A block that is being read, or was."""

    reading: _Reading
    nbytes: int
    turn: int


class ReadAhead:
    """Blocks of this process that are being read. It has state, guarded by a lock."""

    def __init__(self) -> None:
        self._crew: Crew | None = None
        self._forget_all()

    def _forget_all(self) -> None:
        self._entries: dict[tuple[str, int], _Entry] = {}
        self._wishes: dict[tuple[str, int], _Wish] = {}
        self._lock = _thread.allocate_lock()
        self._turn = 0

    @property
    def nbytes(self) -> int:
        """Decoded size of what is being read or waits to be taken."""
        with self._lock:
            return self._held()

    def begin(self, ahead: Ahead, i: int, nbytes: int, read: Callable[[int], Block]) -> bool:
        """Have block `i`, of so many bytes, read by ``read(i)``; whether that begins now.

        It begins as soon as the budget has room for it, or not at all if that is too late.
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
        """Begin what there is room for, in the order in which it was asked for."""
        for key, wish in list(self._wishes.items()):
            if not self._has_room(wish):
                return
            if self._crew is None:
                self._crew = Crew(_THREADS)
                if hasattr(os, "register_at_fork"):  # a child has none of the threads that read
                    os.register_at_fork(after_in_child=self._forget_all)
            del self._wishes[key]
            reading = _Reading(wish.read)
            self._entries[key] = _Entry(reading, wish.nbytes, self._turn)
            self._crew.call(reading.run)

    def _has_room(self, wish: _Wish) -> bool:
        room = wish.ahead.budget - wish.nbytes
        for key, entry in list(self._entries.items()):
            if self._held() <= room:
                break
            if key[0] != wish.ahead.owner or self._turn - entry.turn > _STALE:
                self._entries.pop(key).reading.cancel()
        return self._held() <= room

    def _held(self) -> int:
        return sum(entry.nbytes for entry in self._entries.values())

    def take(self, ahead: Ahead, i: int) -> Block | None:
        """Block `i` if it was read ahead, once that has ended; None where the caller must read."""
        with self._lock:
            self._wishes.pop((ahead.owner, i), None)
            entry = self._entries.pop((ahead.owner, i), None)
            self._start()
        if entry is None or entry.reading.cancel():
            return None  # a thread that waited for its turn would be slower than the caller
        return entry.reading.result()

    def forget(self, owner: str) -> None:
        """Drop what was read for `owner` and not asked for."""
        with self._lock:
            self._wishes = {key: wish for key, wish in self._wishes.items() if key[0] != owner}
            for key in [key for key in self._entries if key[0] == owner]:
                self._entries.pop(key).reading.cancel()


#: The one of this process: tasks arrive pickled and have nowhere else to look.
READ_AHEAD = ReadAhead()
