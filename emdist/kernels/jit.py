"""How every kernel is compiled: without the GIL, cached across processes, no fast-math."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

import numba

A = ParamSpec("A")
R = TypeVar("R")


def jit(function: Callable[A, R]) -> Callable[A, R]:
    """Compile `function` on first use for each combination of array types.

    Fast-math stays off: it would let the compiler assume that NaN and Inf do not occur.
    """
    return cast(Callable[A, R], numba.njit(nogil=True, cache=True)(function))


def jit_sums(function: Callable[A, R]) -> Callable[A, R]:
    """As `jit`, for loops that sum along a row: terms may be reordered, so that they vectorise.

    The order is fixed when the code is compiled, so the bits stay those of the kind of CPU.
    """
    flags = {"reassoc", "contract"}
    return cast(Callable[A, R], numba.njit(nogil=True, cache=True, fastmath=flags)(function))


def jit_fused(function: Callable[A, R]) -> Callable[A, R]:
    """As `jit`, but a product and the sum it goes into may be rounded once instead of twice."""
    return cast(Callable[A, R], numba.njit(nogil=True, cache=True, fastmath={"contract"})(function))


def jit_quotients(function: Callable[A, R]) -> Callable[A, R]:
    """As `jit`, but x / 0 is what it is in NumPy and no error, so that loops vectorise."""
    return cast(Callable[A, R], numba.njit(nogil=True, cache=True, error_model="numpy")(function))
