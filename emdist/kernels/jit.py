"""How every kernel is compiled: without the GIL, cached across processes, no fast-math."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

import numba

A = ParamSpec("A")
R = TypeVar("R")


def _stamp() -> tuple[float, int]:
    """When a kernel was last changed, and the size of all."""
    found = [path.stat() for path in Path(__file__).parent.rglob("*.py")]
    return max(each.st_mtime for each in found), sum(each.st_size for each in found)


_STAMP = _stamp()


def _compiled(function: Callable[A, R], **options: Any) -> Callable[A, R]:
    dispatcher = numba.njit(nogil=True, cache=True, **options)(function)
    # Numba looks only at the file of a function, and would go on using what it made of others
    # that are called in it, as they were before they changed.
    dispatcher._cache._cache_file._source_stamp = _STAMP
    return cast(Callable[A, R], dispatcher)


def jit(function: Callable[A, R]) -> Callable[A, R]:
    """Compile `function` on first use for each combination of array types.

    Fast-math stays off: it would let the compiler assume that NaN and Inf do not occur.
    """
    return _compiled(function)


def jit_sums(function: Callable[A, R]) -> Callable[A, R]:
    """As `jit`, for loops that sum along a row: terms may be reordered, so that they vectorise.

    The order is fixed when the code is compiled, so the bits stay those of the kind of CPU.
    """
    return _compiled(function, fastmath={"reassoc", "contract"})


def jit_quotients(function: Callable[A, R]) -> Callable[A, R]:
    """As `jit`, but x / 0 is what it is in NumPy and no error, so that loops vectorise."""
    return _compiled(function, error_model="numpy")
