"""Keep Dask from telling of connections that end: whoever ended them is told of elsewhere."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from distributed.client import AllExit
from distributed.comm import CommClosedError

# Closing a cluster makes these tell, at warning or error level, of connections that end. The
# parent logger does not do: Dask gives some children levels of their own.
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
    """Mutes Dask's loggers, up to critical messages, while a cluster closes."""
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
    """An exit stack whose contexts close in silence, whatever happened inside.

    Inside, no traceback is shown of a message that a dead scheduler could not take, nor of a
    task of Dask's that gave up a fetch which had been given up before: they tell nothing.
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
    """Not that a connection ended, or that a fetch was given up."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, AllExit | CommClosedError)
