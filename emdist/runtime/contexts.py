"""Sets a context variable to another value for a limited time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

T = TypeVar("T")


@contextmanager
def set_to(variable: ContextVar[T], value: T) -> Iterator[None]:
    """Give `variable` this `value` inside the context."""
    token = variable.set(value)
    try:
        yield
    finally:
        variable.reset(token)
