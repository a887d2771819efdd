"""Calls of zarr that an interrupt cannot spoil: on a thread of their own.

Python raises KeyboardInterrupt in the main thread, between any two lines. Where zarr waits there
for its event loop, the lock that both share may then stay taken for good, and every later call of
zarr in this process stands still. A thread of its own is never interrupted: the call comes to its
end, and only the wait for it is given up.
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

#: Held by the call at work: one that was given up comes to its end before the next begins.
_TURN = threading.Lock()


def apart(function: F) -> F:
    """`function`, which in the main thread waits for a thread that does the work.

    For functions that use zarr's synchronous interface and that end by themselves in seconds.
    """

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if threading.current_thread() is not threading.main_thread():
            return function(*args, **kwargs)
        # Both waits are of C: no line of Python in which a lock is half taken.
        ended: queue.SimpleQueue[tuple[Any, BaseException | None]] = queue.SimpleQueue()
        context = contextvars.copy_context()

        def work() -> None:
            with _TURN:
                answer: tuple[Any, BaseException | None]
                try:
                    answer = context.run(function, *args, **kwargs), None
                except BaseException as error:  # noqa: BLE001  raised where it was asked for
                    answer = None, error
            ended.put(answer)

        _thread.start_new_thread(work, ())
        found, error = ended.get()
        if error is not None:
            raise error
        return found

    return call  # type: ignore[return-value]
