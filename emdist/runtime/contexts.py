"""Context variables that have another value for a while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

T = TypeVar("T")


@contextmanager
def set_to(variable: ContextVar[T], value: T) -> Iterator[None]:
    """While it lasts, `variable` has this `value`."""
    token = variable.set(value)
    try:
        yield
    finally:
        variable.reset(token)
