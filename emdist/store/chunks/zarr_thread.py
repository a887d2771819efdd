"""Calls of Zarr on a separate thread, where KeyboardInterrupt cannot break Zarr's lock.

Python raises KeyboardInterrupt in the main thread, between any two lines. If it interrupts zarr
while it waits for its event loop, the lock that both share may stay locked, and every later call of
zarr in this process waits for ever. Another thread is never interrupted: the call runs to its end,
and only the wait for it is given up.
"""

from __future__ import annotations

import _thread
import contextvars
import functools
import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])

#: Held by the running call. A call that was given up ends before the next one begins.
_TURN = threading.Lock()


def apart(function: F) -> F:
    """Return `function` wrapped so that, when called in the main thread, another thread runs it.

    Use it for functions that call zarr's synchronous interface and end by themselves within
    seconds.
    """

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if threading.current_thread() is not threading.main_thread():
            return function(*args, **kwargs)
        # The main thread waits in C code only, so no lock is left half acquired by a line of
        # Python.
        ended: queue.SimpleQueue[tuple[Any, BaseException | None]] = queue.SimpleQueue()
        context = contextvars.copy_context()

        def work() -> None:
            with _TURN:
                answer: tuple[Any, BaseException | None]
                try:
                    answer = context.run(function, *args, **kwargs), None
                except BaseException as error:  # noqa: BLE001  raised again in the calling thread
                    answer = None, error
            ended.put(answer)

        _thread.start_new_thread(work, ())
        found, error = ended.get()
        if error is not None:
            raise error
        return found

    return call  # type: ignore[return-value]
