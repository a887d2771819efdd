"""Decorators that compile kernels: without the GIL, cached across processes, without fast-math."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

import numba

A = ParamSpec("A")
R = TypeVar("R")


def _stamp() -> tuple[float, int]:
    """Return when a kernel was last changed, and the size of all kernels."""
    found = [path.stat() for path in Path(__file__).parent.rglob("*.py")]
    return max(each.st_mtime for each in found), sum(each.st_size for each in found)


_STAMP = _stamp()


def _compiled(function: Callable[A, R], **options: Any) -> Callable[A, R]:
    dispatcher = numba.njit(nogil=True, cache=True, **options)(function)
    # Numba checks only the file of the function itself. Without this stamp it would go on using
    # compiled code of functions that are called in it, even after they have changed.
    dispatcher._cache._cache_file._source_stamp = _STAMP
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


def jit_sums(function: Callable[A, R]) -> Callable[A, R]:
    """Compile as `jit`, but allow reordered terms, so that sums along a row are vectorised.

    The order is fixed when the code is compiled, so results are bit-identical on one kind of CPU.
    """
    return _compiled(function, fastmath={"reassoc", "contract"})


def jit_quotients(function: Callable[A, R]) -> Callable[A, R]:
    """Compile as `jit`, but give x / 0 NumPy's value and no error, so that loops are vectorised."""
    return _compiled(function, error_model="numpy")
