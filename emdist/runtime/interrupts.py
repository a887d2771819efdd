"""Interrupts that other errors hide: what a signal interrupts may fail while it unwinds."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """`error` and all that it came of: causes, contexts and members of groups."""
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
    """The interrupt, an exception of `kinds`, that `error` came of; None if there is none."""
    return next((one for one in chain(error) if isinstance(one, kinds)), None)


@contextmanager
def interrupts_first() -> Iterator[None]:
    """Inside, an error that a library raises because it was interrupted ends as the interrupt.

    A signal may come between any two lines of a library. What the library does to clean up can
    then fail by itself (Dask's `tokenize`: a KeyError), and whoever pressed Ctrl-C would get that.
    """
    # One that is being handled outside is not what interrupted the work inside.
    before = {id(one) for one in chain(sys.exc_info()[1])}
    try:
        yield
    except Exception as error:
        interrupt = interrupt_behind(error)
        if interrupt is None or id(interrupt) in before:
            raise
        raise interrupt from None
