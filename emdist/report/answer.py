"""How a command ends: with its result, or with one message and an exit code."""

from __future__ import annotations

import _thread
import atexit
import json
import os
import select
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, NoReturn

from emdist.errors import EmdistError
from emdist.report.display import Mode
from emdist.report.page import Page, show

#: What to do after a command was cut short.
RESUMES = "the same command goes on where it stopped."
REPEAT = "nothing was finished; start it again."
#: Exit codes of what was cut short, and seconds that its threads have to end then.
_CUT, _PATIENCE = (130, 143), 10.0


@contextmanager
def reported(as_json: bool, cut: str) -> Iterator[None]:
    """Errors of emdist as one message and their exit code; after interrupts, what `cut` says."""
    try:
        yield
    except EmdistError as error:
        _fail(str(error), error.exit_code, as_json)
    except Terminated:
        _fail(f"terminated; {cut}", 143, as_json)
    except KeyboardInterrupt:
        _fail(f"interrupted; {cut}", 130, as_json)


def _fail(message: str, code: int, as_json: bool) -> NoReturn:
    if as_json:
        print(json.dumps({"event": "error", "message": message, "exit_code": code}))
    else:
        print(f"emdist: {message}", file=sys.stderr)
    raise SystemExit(code)


class Terminated(KeyboardInterrupt):
    """SIGTERM, raised where Ctrl-C would be, so that both save what is done."""


#: What handlers raise, and for which signal.
SIGNALS: Mapping[type[BaseException], signal.Signals] = {
    Terminated: signal.SIGTERM,
    KeyboardInterrupt: signal.SIGINT,
}


def terminate(number: int, frame: object) -> NoReturn:
    """Handler of SIGTERM."""
    raise Terminated


@contextmanager
def ending() -> Iterator[None]:
    """Around a command: once it is over, signals do not change how the process ends.

    Python takes a while to go: it joins threads and tears modules down. A signal in the meantime
    would show a traceback of that, or end a run that is complete as if it were not.
    """
    code = 1
    try:
        yield
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        raise
    finally:
        _settle(code)


def _settle(code: int) -> None:
    """Print what is left, and end with `code` from now on, whatever signal comes."""
    asked, printed = 0, False

    def leave(number: int, frame: object) -> None:
        nonlocal asked
        asked += 1
        # Whoever asks twice does not want to wait for a reader that has stopped reading.
        if printed or asked > 1:
            os._exit(code)

    # Before anything is printed: who reads the last line may send a signal at once.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, leave)
    told, tell = os.pipe()
    os.set_blocking(tell, False)
    signal.set_wakeup_fd(tell, warn_on_full_buffer=False)
    with suppress(OSError, ValueError):
        sys.stdout.flush()
    printed = True
    if asked:
        os._exit(code)
    _thread.start_new_thread(_leave_when_told, (told, code))
    # Python takes its handlers away before it has gone; what is ignored stays so.
    atexit.register(lambda: signal.signal(signal.SIGTERM, signal.SIG_IGN))
    atexit.register(lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))


def _leave_when_told(told: int, code: int) -> None:
    """End with `code` at a signal that comes just before the main thread waits for a lock.

    The handler would not be called until that thread has the lock: for ever, maybe. What was cut
    short ends without a signal as well: an interrupt may have left a lock that a thread of some
    library waits for, and Python waits for that thread. What counts is stored and told by then.
    """
    with suppress(OSError):
        select.select([told], [], [], _PATIENCE if code in _CUT else None)
        os._exit(code)


def mode_of(quiet: bool, as_json: bool) -> Mode:
    """How a command with these options shows what happens."""
    return "json" if as_json else "quiet" if quiet else "auto"


def print_result(values: dict[str, Any], page: Page, place: str, mode: Mode) -> None:
    """The last thing a command prints: JSON, only the `place` of the result, or a page."""
    if mode == "json":
        print(json.dumps({"event": "result", **values}), flush=True)
    elif mode == "quiet":
        print(place)
    else:
        show(page)
