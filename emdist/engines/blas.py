"""Limits BLAS to one thread while tasks run: the thread count changes OpenBLAS's last bits."""

from __future__ import annotations

import sys
import threading
from functools import lru_cache
from types import TracebackType
from typing import Any

# The controller finds only libraries that are loaded, so NumPy's must be loaded here.
import numpy as np  # noqa: F401
from threadpoolctl import ThreadpoolController

from emdist.runtime.arithmetic import computes


@lru_cache(maxsize=1)
def _libraries(n_modules: int) -> tuple[Any, ...]:
    """Return the loaded BLAS libraries of NumPy and SciPy.

    The search takes milliseconds, so the result is cached.

    `n_modules` is the cache key, because an import may load another BLAS (SciPy has its own).
    """
    loaded = ThreadpoolController().select(user_api="blas").lib_controllers
    return tuple(library for library in loaded if computes(str(library.filepath)))


def _release(library: Any) -> None:
    """Allow any thread to set the limit of `library`.

    Since threadpoolctl 3.8, the thread that sets OpenBLAS's limit owns it while that thread exists,
    and calls from other threads silently do nothing. But tasks enter and leave on any thread of a
    pool.
    """
    if (release := getattr(library, "clear_controlling_thread", None)) is not None:
        release(force=True)


class _OneThread:
    """Keeps the BLAS pools of the process at one thread while at least one user is inside.

    It is mutable because the pools are: they belong to the process. Nested or concurrent
    `threadpool_limits` would restore each other's limits in the order in which threads leave. Here
    the first user sets the limit, and the last one restores what the first one found.
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


# One for each process, like the pools that it limits.
_GUARD = _OneThread()


def one_thread() -> _OneThread:
    """Return a context in which every BLAS call of this process runs on one thread.

    The context is process-wide, reentrant and shared by all threads. Entering takes about a
    microsecond while it is already active, and tens of microseconds otherwise.
    """
    return _GUARD
