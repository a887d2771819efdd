"""Crew: reusable worker threads that an interrupt of the main thread cannot break.

Python's own pools take locks in several steps of Python (`Condition`, `Semaphore`). An interrupt of
the main thread between two steps would leave a lock locked for ever, with a thread that waits for
it and a process that waits for that thread. Here, each lock and queue is entered in one step.
"""

from __future__ import annotations

import _thread
import atexit
import os
import queue
from collections.abc import Callable


class Crew:
    """Threads of this process that are kept and reused.

    They are no `threading.Thread`: an interrupt while such a thread starts may surface as an error
    of its locks. They are reused because starting a thread for each pass would cost a tenth of a
    millisecond.

    Parameters
    ----------
    most
        The largest number of threads. Further work waits. None starts as many threads as requested.
    """

    def __init__(self, most: int | None = None) -> None:
        self._most = most
        self.forget()
        # At exit, wait for the threads, so that what they call is not torn down yet.
        atexit.register(self.join)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self.forget)

    def forget(self) -> None:
        """Start over: a forked process has the memory of its parent, but none of its threads."""
        self._orders: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._lock = _thread.allocate_lock()
        self._threads = self._idle = 0
        self._working: set[_thread.LockType] = set()

    def call(self, work: Callable[[], None], threads: int = 1) -> None:
        """Let so many threads run `work`, which must not raise."""
        with self._lock:
            while self._idle < threads and self._threads != self._most:
                _thread.start_new_thread(self._serve, ())
                self._threads += 1
                self._idle += 1
            self._idle -= threads
        for _ in range(threads):
            self._orders.put(work)

    def _serve(self) -> None:
        """Run one piece of work after another, for ever. A crew thread executes this."""
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
        """Wait until all running work has ended."""
        for working in list(self._working):
            with working:
                pass
