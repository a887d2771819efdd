"""Durations as users write them: ``90s``, ``30min``, ``2h``, ``1d 12h``."""

from __future__ import annotations

import re

from pydantic_core import PydanticCustomError

_SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]+)\s*")
_EXPECTED = "expected a number with a unit, such as 90s, 30min, 2h, 1d or 1d 12h"


def parse_duration(text: str) -> float:
    """Return the seconds of a duration; raise ValueError that says what was expected."""
    found, at = 0.0, 0
    written = text.strip()
    while at < len(written):
        part = _PART.match(written, at)
        if part is None or part[2] not in _SECONDS:
            raise ValueError(f"{_EXPECTED}, got {text[:40]!r}")
        found += float(part[1]) * _SECONDS[part[2]]
        at = part.end()
    if not found:
        raise ValueError(f"{_EXPECTED}, and more than 0, got {text[:40]!r}")
    return found


def duration_text(text: str) -> str:
    """Return `text` if it is a duration. A validator for pydantic."""
    try:
        parse_duration(text)
    except ValueError as error:
        raise PydanticCustomError("duration", "{why}", {"why": str(error)}) from None
    return text
