"""SIGTERM and SIGINT as exceptions, and what becomes of those that a library loses."""

from __future__ import annotations

import _thread
import atexit
import signal
import sys
import threading
import time
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NoReturn

from emdist.runtime.interrupts import interrupt_behind

#: Seconds until a signal comes again: what swallowed it is over then, or swallows it once more.
_SOON = 0.01


class Interrupted(KeyboardInterrupt):
    """SIGINT: Ctrl-C."""


class Terminated(KeyboardInterrupt):
    """SIGTERM, raised where Ctrl-C would be, so that both save what is done."""


#: What handlers raise, and for which signal.
SIGNALS: Mapping[type[BaseException], signal.Signals] = {
    Terminated: signal.SIGTERM,
    KeyboardInterrupt: signal.SIGINT,
}


class Heard:
    """The signals that handlers have raised as exceptions in this process.

    It has state, because an exception can vanish: a library may catch it, and go on or raise
    another. Nobody asked for that, so the signal is sent again once its exception is gone.
    """

    def __init__(self) -> None:
        self.last: type[BaseException] | None = None
        self._watched: dict[int, weakref.ref[BaseException]] = {}

    def handle(self, number: int, frame: object) -> NoReturn:
        """Handler of SIGTERM and SIGINT."""
        error = Terminated() if number == signal.SIGTERM else Interrupted()
        self.last = type(error)
        key = id(error)
        self._watched[key] = weakref.ref(error, lambda _: self._vanished(key, number))
        try:
            raise error
        finally:
            del error  # else its traceback keeps it alive

    def heed(self) -> None:
        """The command ends now: no signal that was raised before is sent again."""
        self.last = None
        self._watched.clear()

    def sent_again(self, error: BaseException | None) -> None:
        """`error` has been swallowed, and its signal was sent again."""
        self._watched.pop(id(error), None)

    def _vanished(self, key: int, number: int) -> None:
        if self._watched.pop(key, None) is not None:
            send_soon(number)


#: Of this process, whose handlers are its own.
HEARD = Heard()


def heed_signals() -> None:
    """Have SIGTERM and SIGINT raise exceptions in the main thread, until the process ends."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, HEARD.handle)
    # Registered first, so called last. Python gives signals back their default when it has done
    # all else: one that came late, or is sent again, would end the process with another exit code.
    atexit.register(_ignore_signals)


def _ignore_signals() -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)


def cut_by(error: BaseException) -> int | None:
    """Exit code of the signal that `error` came of, or that came before it; None for none."""
    found = interrupt_behind(error)
    kind = HEARD.last if found is None else type(found)
    if kind is None:
        return None
    return 128 + next(number for of, number in SIGNALS.items() if issubclass(kind, of))


@contextmanager
def not_swallowed(signals: Mapping[type[BaseException], signal.Signals]) -> Iterator[None]:
    """Inside, an error of a handler that Python would only print has its signal sent again.

    Python runs the handler of a signal before the next line of Python, whatever that is part of.
    Errors in a callback of the garbage collector (Dask has one) or in a `__del__` are printed and
    go no further: the handler's error with them, and whoever asked the process to end would wait
    for ever.

    Parameters
    ----------
    signals
        What handlers raise, and the signal that each is for; the first that fits counts.
    """
    before = sys.unraisablehook

    def hook(met: Any) -> None:
        number = next((n for kind, n in signals.items() if issubclass(met.exc_type, kind)), None)
        if number is None:
            if not _half_made(met):
                before(met)
        else:
            HEARD.sent_again(met.exc_value)
            send_soon(number)

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = before


def _half_made(met: Any) -> bool:
    """Whether an object's `__del__` has failed for want of what its `__init__` did not come to.

    That is what an interrupt leaves of an object that a library was making (llvmlite's, while code
    is compiled), and there is nothing to give back.
    """
    deleting = getattr(met.object, "__name__", "") == "__del__"
    return deleting and issubclass(met.exc_type, AttributeError)


def send_soon(number: int) -> None:
    """Send a signal to the main thread, from another one, when what goes on now is over."""
    # Not a `threading.Thread`: what was interrupted may hold the locks of that module.
    _thread.start_new_thread(_send, (number,))


def _send(number: int) -> None:
    time.sleep(_SOON)
    ident = threading.main_thread().ident
    if ident is not None:
        signal.pthread_kill(ident, number)
