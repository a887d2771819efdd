"""Interrupts that other errors hide: finds the KeyboardInterrupt behind an error.

A library that a signal interrupts may fail with an error of its own while it cleans up.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield `error` and all errors behind it: causes, contexts and members of groups."""
    waiting, seen = [error], set[int]()
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        waiting += [one.__context__, one.__cause__]
        if isinstance(one, BaseExceptionGroup):
            waiting += one.exceptions


def interrupt_behind(
    error: BaseException | None,
    kinds: tuple[type[BaseException], ...] = (KeyboardInterrupt,),
) -> BaseException | None:
    """Return the interrupt, an exception of `kinds`, that led to `error`, or None."""
    return next((one for one in chain(error) if isinstance(one, kinds)), None)


@contextmanager
def interrupts_first() -> Iterator[None]:
    """Inside, raise the interrupt in place of an error that a library raises because of it.

    A signal may come between any two lines of a library. The library's clean-up can then fail by
    itself (Dask's `tokenize`: with a KeyError), and the user who pressed Ctrl-C would see that
    error.
    """
    # An interrupt that is being handled outside did not interrupt the work inside.
    before = {id(one) for one in chain(sys.exc_info()[1])}
    try:
        yield
    except Exception as error:
        interrupt = interrupt_behind(error)
        if interrupt is None or id(interrupt) in before:
            raise
        raise interrupt from None
