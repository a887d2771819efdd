"""Decorators that compile kernels: without the GIL, cached across processes, without fast-math."""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

import numba
from numba.core import event

from emdist.kernels.storage import stored_in, temporary

A = ParamSpec("A")
R = TypeVar("R")

logger = logging.getLogger(__name__)

#: Seconds of compiling after which users are told why nothing happens.
PATIENCE = 1.0


def _stamp() -> str:
    """Return a digest of the code of all kernels."""
    found = hashlib.sha256()
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        found.update(path.read_bytes())
    return found.hexdigest()


#: Code that was compiled from other kernels than these is not used.
STAMP = _stamp()
#: What the compiler may do with sums.
_SUMS = {"reassoc", "contract"}
#: All kernels that can be cached.
KERNELS: list[Any] = []


class Notice(event.Listener):  # type: ignore[misc]
    """Says once that kernels are being compiled, when all that took longer than `PATIENCE`.

    It is mutable. numba compiles under a lock of its own, so that starts and ends are nested.
    """

    def __init__(self) -> None:
        self._depth, self._began, self._spent = 0, 0.0, 0.0
        self._said = False
        self._timer: threading.Timer | None = None

    def on_start(self, event: Any) -> None:
        self._depth += 1
        if self._depth == 1 and not self._said:
            self._began = time.monotonic()
            self._timer = threading.Timer(max(0.0, PATIENCE - self._spent), self._say)
            self._timer.daemon = True
            self._timer.start()

    def on_end(self, event: Any) -> None:
        self._depth -= 1
        if self._depth == 0 and self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._spent += time.monotonic() - self._began

    def _say(self) -> None:
        self._said = True
        logger.warning("compiling kernels for this processor, once")


event.register("numba:compile", Notice())


def _compiled(function: Callable[A, R], **options: Any) -> Callable[A, R]:
    decorate = numba.njit(nogil=True, cache=True, no_cfunc_wrapper=True, **options)
    try:
        dispatcher = decorate(function)
    except RuntimeError as error:
        if "no locator available" not in str(error):
            raise
        with stored_in(temporary()):
            dispatcher = decorate(function)
    # Numba checks only the file of the function itself. Without this stamp it would go on using
    # compiled code of functions that are called in it, even after they have changed. Times of
    # files would differ between machines, which could not share compiled code.
    dispatcher._cache._cache_file._source_stamp = STAMP
    KERNELS.append(dispatcher)
    return cast(Callable[A, R], dispatcher)


def jit(function: Callable[A, R]) -> Callable[A, R]:
    """Compile `function` on first use for each combination of array types.

    Fast-math stays off: it would let the compiler assume that NaN and Inf do not occur.
    """
    return _compiled(function)


def pasted(function: Callable[A, R]) -> Callable[A, R]:
    """Paste the code of `function` into each kernel that calls it.

    Otherwise numba compiles it by itself first, and then again within each kernel.
    """
    return cast(Callable[A, R], numba.njit(nogil=True, inline="always")(function))


def part(function: Callable[A, R]) -> Callable[A, R]:
    """Compile `function` for the kernels that call it alone: neither Python nor the cache has it.

    That takes less time. The cached code of the kernels includes it.
    """
    return _part(function)


def part_sums(function: Callable[A, R]) -> Callable[A, R]:
    """Compile as `part`, with the reordered terms of `jit_sums`."""
    return _part(function, fastmath=_SUMS)


def _part(function: Callable[A, R], **options: Any) -> Callable[A, R]:
    found = numba.njit(nogil=True, no_cpython_wrapper=True, no_cfunc_wrapper=True, **options)
    return cast(Callable[A, R], found(function))


def jit_sums(function: Callable[A, R]) -> Callable[A, R]:
    """Compile as `jit`, but allow reordered terms, so that sums along a row are vectorised.

    The order is fixed when the code is compiled, so results are bit-identical on one kind of CPU.
    """
    return _compiled(function, fastmath=_SUMS)


def jit_quotients(function: Callable[A, R]) -> Callable[A, R]:
    """Compile as `jit`, but give x / 0 NumPy's value and no error, so that loops are vectorised."""
    return _compiled(function, error_model="numpy")
