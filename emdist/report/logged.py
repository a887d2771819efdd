"""Logs as JSON, one object per line with its time, level and fields, if EMDIST_LOG is ``json``."""

from __future__ import annotations

import json
import logging
import math
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from emdist.errors import ConfigError
from emdist.fit.events import Event, Progress, Warned
from emdist.report.lines import finite, say

#: The environment variable that chooses the format of logs: ``text`` (the default) or ``json``.
VARIABLE = "EMDIST_LOG"
#: Seconds between two lines about the progress within a pass.
EVERY = 10.0


def logs_json() -> bool:
    """Return whether logs are JSON; raise ConfigError for an unknown format."""
    found = os.environ.get(VARIABLE) or "text"
    if found not in ("text", "json"):
        raise ConfigError(f"The environment variable {VARIABLE} is {found!r}; expected text, json.")
    return found == "json"


def level_of(event: Event) -> int:
    """Return the level of `logging` that an event has."""
    if isinstance(event, Progress):
        return logging.DEBUG
    return logging.WARNING if isinstance(event, Warned) else logging.INFO


def fields_of(event: Event) -> dict[str, Any]:
    """Return an event as JSON values, with null for NaN."""
    found: dict[str, Any] = finite({"event": type(event).__name__.lower(), **asdict(event)})
    return found


def line(level: int, fields: dict[str, Any]) -> str:
    """Return one line of the log."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    head = {"time": now, "level": logging.getLevelName(level).lower()}
    return json.dumps(finite({**head, **fields}), allow_nan=False)


class JsonLog:
    """Print one JSON object per event on standard error.

    It has state, the time of the last line about progress.
    """

    def __init__(self) -> None:
        self._told = -math.inf

    def __call__(self, event: Event) -> None:
        if isinstance(event, Progress) and event.done < event.total:
            now = time.monotonic()
            if now - self._told < EVERY:
                return
            self._told = now
        say(line(level_of(event), fields_of(event)), sys.stderr)


class _Handler(logging.Handler):
    """Prints records of emdist's own loggers in the same form."""

    def emit(self, record: logging.LogRecord) -> None:
        fields = {"event": "log", "message": record.getMessage(), "logger": record.name}
        say(line(record.levelno, fields), sys.stderr)


@contextmanager
def json_log() -> Iterator[JsonLog]:
    """Yield the listener, and let emdist's loggers print JSON too, while the context lasts."""
    logger, handler = logging.getLogger("emdist"), _Handler()
    before = logger.propagate
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield JsonLog()
    finally:
        logger.propagate = before
        logger.removeHandler(handler)
