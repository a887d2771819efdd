"""Silences Dask's messages about connections that end. emdist reports their causes elsewhere."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from distributed.client import AllExit
from distributed.comm import CommClosedError

# When a cluster closes, these loggers report connections that end, at warning or error level.
# Muting the parent logger is not enough, because Dask gives some of its children levels of their
# own.
_TALKATIVE = (
    "distributed.batched",
    "distributed.client",
    "distributed.comm.tcp",
    "distributed.core",
    "distributed.nanny",
    "distributed.scheduler",
    "distributed.worker",
    "distributed.worker.state_machine",
    "tornado.application",
)


@contextmanager
def quiet() -> Iterator[None]:
    """Mute Dask's loggers, up to critical messages, while a cluster closes."""
    loggers = [logging.getLogger(name) for name in _TALKATIVE]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextmanager
def closing_quietly() -> Iterator[ExitStack]:
    """Yield an exit stack whose contexts close silently, whatever happened inside.

    Inside, two tracebacks are suppressed because they say nothing useful: of a message that a dead
    scheduler could not receive, and of a Dask task that cancelled a fetch which was cancelled
    already.
    """
    loggers = [logging.getLogger(name) for name in ("asyncio", "distributed.batched")]
    for logger in loggers:
        logger.addFilter(_is_news)
    with ExitStack() as stack:
        try:
            yield stack
        finally:
            with quiet():
                stack.close()
            for logger in loggers:
                logger.removeFilter(_is_news)


def _is_news(record: logging.LogRecord) -> bool:
    """Return False for messages that a connection ended or that a fetch was cancelled."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, AllExit | CommClosedError)
