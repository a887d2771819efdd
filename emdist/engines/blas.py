"""One BLAS thread while any task runs: OpenBLAS's bits depend on its number of threads."""

from __future__ import annotations

import sys
import threading
from functools import lru_cache
from types import TracebackType
from typing import Any

# The controller only sees libraries that are loaded.
import numpy as np  # noqa: F401
from threadpoolctl import ThreadpoolController


@lru_cache(maxsize=1)
def _libraries(n_modules: int) -> tuple[Any, ...]:
    """The loaded BLAS libraries; looking for them costs milliseconds.

    `n_modules` is the cache key: an import may bring another BLAS along (SciPy has its own).
    """
    return tuple(ThreadpoolController().select(user_api="blas").lib_controllers)


def _release(library: Any) -> None:
    """Let any thread set the limit.

    Since threadpoolctl 3.8 the thread that sets OpenBLAS's limit owns it while it lives, and
    calls from others do nothing, silently. Tasks enter and leave on any thread of a pool.
    """
    if (release := getattr(library, "clear_controlling_thread", None)) is not None:
        release(force=True)


class _OneThread:
    """Holds the BLAS pools of the process at one thread while at least one user is inside.

    It has state because the pools have: they belong to the process, and nested or concurrent
    `threadpool_limits` restore each other's limits in whatever order threads leave. Here the
    first in sets the limit and the last out restores what it found.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._found: list[tuple[Any, int]] = []

    def __enter__(self) -> None:
        with self._lock:
            if self._users == 0:
                self._found = [(lib, lib.num_threads) for lib in _libraries(len(sys.modules))]
                for library, _ in self._found:
                    _release(library)
                    library.set_num_threads(1)
            self._users += 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0:
                for library, n_threads in self._found:
                    _release(library)
                    library.set_num_threads(n_threads)
                    _release(library)


# One per process, as are the thread pools it guards.
_GUARD = _OneThread()


def one_thread() -> _OneThread:
    """A context in which every BLAS call of this process runs on one thread.

    Process-wide, reentrant and shared between threads: entering costs about a microsecond
    while it is already active, tens of microseconds otherwise.
    """
    return _GUARD
