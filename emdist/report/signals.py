"""Raise exceptions for SIGTERM and SIGINT, and send signals again that a library swallowed."""

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

#: Seconds until a signal is sent again. Code that swallowed it may be over then, or does it again.
_SOON = 0.01


class Interrupted(KeyboardInterrupt):
    """The exception for SIGINT (Ctrl-C)."""


class Terminated(KeyboardInterrupt):
    """The exception for SIGTERM. It is handled as Ctrl-C is, so that both save what is done."""


#: Exception that a handler raises -> the signal for which it stands.
SIGNALS: Mapping[type[BaseException], signal.Signals] = {
    Terminated: signal.SIGTERM,
    KeyboardInterrupt: signal.SIGINT,
}


class Heard:
    """The signals that handlers have raised as exceptions in this process.

    It has state, because an exception can vanish: a library may catch it, and continue or raise
    another one. The user's signal would be lost, so it is sent again once its exception is gone.
    """

    def __init__(self) -> None:
        self.last: type[BaseException] | None = None
        self._watched: dict[int, weakref.ref[BaseException]] = {}

    def handle(self, number: int, frame: object) -> NoReturn:
        """Handle SIGTERM and SIGINT: raise an exception and watch whether it is swallowed."""
        error = Terminated() if number == signal.SIGTERM else Interrupted()
        self.last = type(error)
        key = id(error)
        self._watched[key] = weakref.ref(error, lambda _: self._vanished(key, number))
        try:
            raise error
        finally:
            del error  # Otherwise its traceback would keep the exception alive.

    def heed(self) -> None:
        """Forget all signals because the command ends now: none is sent again."""
        self.last = None
        self._watched.clear()

    def sent_again(self, error: BaseException | None) -> None:
        """Note that `error` was swallowed and its signal was sent again elsewhere."""
        self._watched.pop(id(error), None)

    def _vanished(self, key: int, number: int) -> None:
        if self._watched.pop(key, None) is not None:
            send_soon(number)


#: The signals of this process, whose handlers belong to it alone.
HEARD = Heard()


def heed_signals() -> None:
    """Make SIGTERM and SIGINT raise exceptions in the main thread, until the process ends."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, HEARD.handle)
    # Registered first, so called last. Python gives signals back their default when it has done
    # all else: one that came late, or is sent again, would end the process with another exit code.
    atexit.register(_ignore_signals)


def _ignore_signals() -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)


def cut_by(error: BaseException) -> int | None:
    """Return the exit code of the signal that caused or preceded `error`; None without signal."""
    found = interrupt_behind(error)
    kind = HEARD.last if found is None else type(found)
    if kind is None:
        return None
    return 128 + next(number for of, number in SIGNALS.items() if issubclass(kind, of))


@contextmanager
def not_swallowed(signals: Mapping[type[BaseException], signal.Signals]) -> Iterator[None]:
    """Inside, if Python would only print a handler's exception, send its signal again instead.

    Python runs a signal handler before the next line of Python, wherever that is. If the line is
    part of a callback of the garbage collector (Dask has one) or of a `__del__`, Python prints
    exceptions and drops them. The handler's exception would be dropped as well, and the process
    would never end, although it was asked to.

    Parameters
    ----------
    signals
        Exception that a handler raises -> its signal. The first that fits counts.
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
    """Whether the `__del__` of an object failed because its `__init__` was not completed.

    An interrupt leaves such objects while a library creates them (llvmlite, while code is
    compiled). They hold nothing that has to be released.
    """
    deleting = getattr(met.object, "__name__", "") == "__del__"
    return deleting and issubclass(met.exc_type, AttributeError)


def send_soon(number: int) -> None:
    """Send a signal to the main thread soon, from another thread."""
    # Not a `threading.Thread`: the interrupted code may hold locks of that module.
    _thread.start_new_thread(_send, (number,))


def _send(number: int) -> None:
    time.sleep(_SOON)
    ident = threading.main_thread().ident
    if ident is not None:
        signal.pthread_kill(ident, number)
