"""Keep Prefect's logs short: no traceback where one line says what happened.

Prefect: it logs the traceback of every exception of a flow, also of those that are meant for users,
and one for each event that it cannot send.
Issue: none was found.
Goes when: a flow can say that an exception has a message for users.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import httpx
from prefect.exceptions import CancelledRun

from emdist.errors import EmdistError
from emdist.flows.workarounds.server import own_server

_RUNS = ("prefect.flow_runs", "prefect.task_runs")
_BACKGROUND = ("prefect._internal.concurrency", "prefect.events.clients")


@contextmanager
def short_errors(behind: Callable[[BaseException], BaseException | None]) -> Iterator[None]:
    """Keep Prefect from logging the tracebacks of emdist's own errors, and of its own outage.

    `behind` returns the interrupt that caused an error, if any.
    """
    filters: list[tuple[str, Callable[[logging.LogRecord], bool]]] = [
        *((name, partial(_is_news, behind)) for name in _RUNS),
        *((name, _Once()) for name in _BACKGROUND),
    ]
    for name, keep in filters:
        logging.getLogger(name).addFilter(keep)
    try:
        yield
    finally:
        for name, keep in filters:
            logging.getLogger(name).removeFilter(keep)


def keep_errors_short() -> None:
    """Let this process log emdist's own errors as their messages, also if a worker started it."""
    for name in (*_RUNS, "prefect.engine"):
        logging.getLogger(name).addFilter(_short)  # It is added once only.


def _short(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, CancelledRun):
        return False  # The flow has returned this state, which Prefect raises, and has logged why.
    if isinstance(error, EmdistError):
        record.exc_info, record.msg, record.args = None, str(error), ()
        record.shortened = True
        # The flow fails with the same error as its task, and says it once more.
        return record.name != _RUNS[1]
    return True


def _is_news(
    behind: Callable[[BaseException], BaseException | None], record: logging.LogRecord
) -> bool:
    """Return whether a record says anything new; remove the traceback of an outage."""
    error = record.exc_info[1] if record.exc_info else None
    if error and (isinstance(error, httpx.HTTPError) or behind(error)):
        record.exc_info = None
    # The server that this process starts has no pages, so do not log links to them.
    if own_server() and record.getMessage().startswith("View at "):
        return False
    # The state's message, which is logged next, and the script's last line say the same.
    return not (isinstance(error, EmdistError) or hasattr(record, "shortened"))


class _Once:
    """Lets only the first record through: without an API there would be one for each event.

    It has state: whether there was a record.
    """

    def __init__(self) -> None:
        self._seen = False

    def __call__(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.WARNING:
            return True
        first, self._seen = not self._seen, True
        record.msg, record.args = f"{record.getMessage():.200}", ()
        return first
