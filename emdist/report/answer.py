"""The end of a command: prints its result, or one message with an exit code."""

from __future__ import annotations

import _thread
import atexit
import json
import logging
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
from emdist.report.logged import VARIABLE, line
from emdist.report.page import Page, show
from emdist.report.signals import HEARD, cut_by
from emdist.wording import Layer, renamed

#: What to do after a command was cut short.
RESUMES = "Start the same command again to continue where it stopped."
REPEAT = "Nothing was finished. Start the same command again."
#: Exit code of an interrupted command -> word; and seconds that its threads then have to end.
_WORDS, _PATIENCE = {130: "interrupted", 143: "terminated"}, 10.0


@contextmanager
def reported(as_json: bool, cut: str, keys: object = None) -> Iterator[Layer]:
    """Turn errors into one message and an exit code; after a signal, the message adds `cut`.

    Messages name settings by their options. If the user wrote `keys`, in a configuration or by
    ``--set``, they name settings by those keys. The context returns which of the two it is.

    A signal decides the exit code even if another error ends the command: a library that was
    interrupted may have failed while it cleaned up.
    """
    layer: Layer = "configuration" if keys else "command"
    try:
        with _renamings_told():
            yield layer
    except BaseException as error:  # Ends of commands and signals are not Exceptions.
        code = None if _is_deliberate(error) else cut_by(error)
        HEARD.heed()
        if code is not None:
            _fail(f"{_WORDS[code]}. {cut}", code, as_json)
        if isinstance(error, EmdistError):
            error.layer = layer
            _fail(str(error), error.exit_code, as_json)
        if isinstance(error, Exception) and not _is_typers(error):
            text, exit_code = told(error)
            _fail(renamed(text, layer), exit_code, as_json)
        raise


@contextmanager
def _renamings_told() -> Iterator[None]:
    """Show each warning about an old name in one line, without the source file, for users."""
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
    """Return whether the command chose its exit code; 1 and 130 may be Typer's own."""
    if isinstance(error, SystemExit):
        return isinstance(error, _Told) or error.code not in (1, 130)
    return isinstance(error, typer.Exit)


def _is_typers(error: Exception) -> bool:
    """Return whether Typer reports the error itself: wrong option, command's end, closed pipe."""
    own = type(error).__module__.partition(".")[0] in ("typer", "click")
    return own or isinstance(error, BrokenPipeError)


class _Told(SystemExit):
    """The end of a command that has printed its message already."""


def _fail(message: str, code: int, as_json: bool) -> NoReturn:
    if as_json:
        event = "error" if code else "skipped"
        say(json.dumps({"event": event, "message": message, "exit_code": code}))
    elif os.environ.get(VARIABLE) == "json":
        level = logging.ERROR if code else logging.INFO
        event = "error" if code else "skipped"
        say(line(level, {"event": event, "message": message, "exit_code": code}), sys.stderr)
    else:
        say(f"emdist: {message}", sys.stderr)
    raise _Told(code)


@contextmanager
def ending() -> Iterator[None]:
    """Wrap a command, so that signals after its end do not change how the process ends.

    Python needs a while to exit, because it joins threads and tears modules down. A signal at that
    time would show a traceback of the teardown, or make a complete run look as if it had failed.
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
    """Flush standard output, and make the process exit with `code` whatever signal arrives."""
    asked, printed = 0, False

    def leave(number: int, frame: object) -> None:
        nonlocal asked
        asked += 1
        # A second signal means: do not wait any longer for a reader that has stopped reading.
        if printed or asked > 1:
            os._exit(code)

    # Install handlers before printing: a reader of the last line may send a signal at once.
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
    # Python restores the handlers before it has exited; signals that are ignored stay ignored.
    atexit.register(lambda: signal.signal(signal.SIGTERM, signal.SIG_IGN))
    atexit.register(lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))


def _leave_when_told(told: int, code: int) -> None:
    """Exit with `code` at a signal that comes just before the main thread waits for a lock.

    Python would call the handler only once that thread has the lock, which may be never. After an
    interrupt, the process exits after `_PATIENCE` seconds even without a further signal: a
    library's thread may wait for ever for a lock that nobody holds any more, and Python waits for
    that thread. By then, all results are stored and printed.
    """
    with suppress(OSError):
        select.select([told], [], [], _PATIENCE if code in _WORDS else None)
        os._exit(code)


def mode_of(quiet: bool, as_json: bool) -> Mode:
    """Return how a command with these options displays events."""
    return "json" if as_json else "quiet" if quiet else "auto"


#: Facts of a page whose values are sentences, in which settings may be named.
_TEXTS = ("doubt", "note")


def print_result(
    values: dict[str, Any], page: Page, place: str, mode: Mode, layer: Layer = "configuration"
) -> None:
    """Print the result of a command: as JSON, as the `place` of the result alone, or as a page.

    The page names settings as `layer` does.
    """
    if mode == "json":
        say(json.dumps({"event": "result", **values}))
    elif mode == "quiet":
        say(place)
    else:
        facts = [(n, renamed(text, layer) if n in _TEXTS else text) for n, text in page.facts]
        show(replace(page, facts=facts))
