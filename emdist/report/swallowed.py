"""Interrupts that Python swallows come again, where they are heeded.

Python runs the handler of a signal before the next line of Python, whatever that is part of.
Errors in a callback of the garbage collector (Dask has one) or in a `__del__` are printed and go
no further: the handler's error with them, and whoever asked the process to end would wait for ever.
"""

from __future__ import annotations

import _thread
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

#: Seconds until a signal comes again: what swallowed it is over then, or swallows it once more.
_SOON = 0.01


@contextmanager
def not_swallowed(signals: Mapping[type[BaseException], signal.Signals]) -> Iterator[None]:
    """Inside, an error of a handler that Python would only print has its signal sent again.

    Parameters
    ----------
    signals
        What handlers raise, and the signal that each is for; the first that fits counts.
    """
    before = sys.unraisablehook

    def hook(met: Any) -> None:
        number = next((n for kind, n in signals.items() if issubclass(met.exc_type, kind)), None)
        if number is None:
            before(met)
        else:
            # Not a `threading.Thread`: what was interrupted may hold the locks of that module.
            _thread.start_new_thread(_send, (number,))

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = before


def _send(number: signal.Signals) -> None:
    time.sleep(_SOON)
    ident = threading.main_thread().ident
    if ident is not None:
        signal.pthread_kill(ident, number)
