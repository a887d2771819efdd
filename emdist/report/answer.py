"""How a command ends: with its result, or with one message and an exit code."""

from __future__ import annotations

import _thread
import atexit
import json
import os
import select
import signal
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any, NoReturn

import typer

from emdist.errors import EmdistError, RenamedWarning
from emdist.report.defect import told
from emdist.report.display import Mode
from emdist.report.lines import say
from emdist.report.page import Page, show
from emdist.report.signals import HEARD, cut_by
from emdist.wording import Layer, renamed

#: What to do after a command was cut short.
RESUMES = "the same command goes on where it stopped."
REPEAT = "nothing was finished; start it again."
#: Exit codes of what was cut short, and seconds that its threads have to end then.
_WORDS, _PATIENCE = {130: "interrupted", 143: "terminated"}, 10.0


@contextmanager
def reported(as_json: bool, cut: str, keys: object = None) -> Iterator[Layer]:
    """Errors as one message and their exit code; after a signal, what `cut` says.

    Messages name settings by their options, or by their keys where the user wrote `keys`: a
    configuration, or ``--set``. That layer is what the context gives.

    A signal counts also where the error that ends the command is another: a library that was
    interrupted may have failed while it cleaned up.
    """
    layer: Layer = "configuration" if keys else "command"
    try:
        with _renamings_told():
            yield layer
    except BaseException as error:  # ends of commands and signals are no Exceptions
        code = None if _is_deliberate(error) else cut_by(error)
        HEARD.heed()
        if code is not None:
            _fail(f"{_WORDS[code]}; {cut}", code, as_json)
        if isinstance(error, EmdistError):
            error.layer = layer
            _fail(str(error), error.exit_code, as_json)
        if isinstance(error, Exception) and not _is_typers(error):
            _fail(*told(error), as_json)
        raise


@contextmanager
def _renamings_told() -> Iterator[None]:
    """Old names of settings in one line each; whoever called the command knows no source files."""
    shown = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
        if issubclass(category, RenamedWarning):
            say(f"emdist: note: {message}", sys.stderr)
        else:
            shown(message, category, *where, **more)

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield


def _is_deliberate(error: BaseException) -> bool:
    """Whether the command chose its exit code; 1 and 130 are Typer's for interrupts it met."""
    if isinstance(error, SystemExit):
        return isinstance(error, _Told) or error.code not in (1, 130)
    return isinstance(error, typer.Exit)


def _is_typers(error: Exception) -> bool:
    """Whether Typer says it by itself: a wrong option, the end of a command, a closed pipe."""
    own = type(error).__module__.partition(".")[0] in ("typer", "click")
    return own or isinstance(error, BrokenPipeError)


class _Told(SystemExit):
    """The end of a command that has said why."""


def _fail(message: str, code: int, as_json: bool) -> NoReturn:
    if as_json:
        say(json.dumps({"event": "error", "message": message, "exit_code": code}))
    else:
        say(f"emdist: {message}", sys.stderr)
    raise _Told(code)


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
        select.select([told], [], [], _PATIENCE if code in _WORDS else None)
        os._exit(code)


def mode_of(quiet: bool, as_json: bool) -> Mode:
    """How a command with these options shows what happens."""
    return "json" if as_json else "quiet" if quiet else "auto"


#: Facts of a page that are texts, and may name settings.
_TEXTS = ("doubt", "note")


def print_result(
    values: dict[str, Any], page: Page, place: str, mode: Mode, layer: Layer = "configuration"
) -> None:
    """The last thing a command prints: JSON, only the `place` of the result, or a page.

    The page names settings as `layer` does.
    """
    if mode == "json":
        say(json.dumps({"event": "result", **values}))
    elif mode == "quiet":
        say(place)
    else:
        facts = [(n, renamed(text, layer) if n in _TEXTS else text) for n, text in page.facts]
        show(replace(page, facts=facts))
