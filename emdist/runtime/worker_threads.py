"""Threads that do what the driver hands them, and stay whole where an interrupt meets it.

The pools of Python take locks in several steps of Python (`Condition`, `Semaphore`): an interrupt
of the main thread between two of them leaves a lock for good, with a thread that waits for it and
a process that waits for that thread. What stands here is entered in one step each.
"""

from __future__ import annotations

import _thread
import atexit
import os
import queue
from collections.abc import Callable


class Crew:
    """Threads of this process, kept from one piece of work to the next.

    They are no `threading.Thread`: an interrupt while one of those starts may come out as an error
    of its locks. To begin one for each pass would cost a tenth of a millisecond.

    Parameters
    ----------
    most
        Threads at a time; what is handed to more waits. None: as many as are asked for.
    """

    def __init__(self, most: int | None = None) -> None:
        self._most = most
        self.forget()
        # At exit, what its threads call is not to be torn down yet.
        atexit.register(self.join)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self.forget)

    def forget(self) -> None:
        """Begin anew: a forked process has the memory of its parent, and none of its threads."""
        self._orders: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._lock = _thread.allocate_lock()
        self._threads = self._idle = 0
        self._working: set[_thread.LockType] = set()

    def call(self, work: Callable[[], None], threads: int = 1) -> None:
        """Have so many threads do `work`, which raises no error."""
        with self._lock:
            while self._idle < threads and self._threads != self._most:
                _thread.start_new_thread(self._serve, ())
                self._threads += 1
                self._idle += 1
            self._idle -= threads
        for _ in range(threads):
            self._orders.put(work)

    def _serve(self) -> None:
        working = _thread.allocate_lock()
        while True:
            work = self._orders.get()
            with working:
                self._working.add(working)
                try:
                    work()
                finally:
                    self._working.discard(working)
            del work  # It refers to the rows of its pass.
            with self._lock:
                self._idle += 1

    def join(self) -> None:
        """Wait for what is being worked on."""
        for working in list(self._working):
            with working:
                pass
