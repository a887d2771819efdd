"""Counts of what went wrong and was mended in this process: repeated requests, stalled blocks."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Literal

What = Literal["retries", "stalls"]

_LOCK = threading.Lock()
_COUNTS: Counter[str] = Counter()


def tally(what: What) -> None:
    """Count one more."""
    with _LOCK:
        _COUNTS[what] += 1


def tallied(what: What) -> int:
    """Return how many there have been in this process."""
    with _LOCK:
        return _COUNTS[what]
