"""Whole lines on streams that programs read: no line is torn by another or by a signal."""

from __future__ import annotations

import math
import os
import sys
import threading
from typing import Any, TextIO

#: One for all streams: standard output and standard error may be one pipe.
_LOCK = threading.Lock()
#: Bytes of a line that an interrupt cannot cut: what is left of it is written before the next.
_LONGEST = 1 << 22


def say(text: str, stream: TextIO | None = None) -> None:
    """Write `text` and a line end to `stream`, by default standard output, and flush it.

    Several threads tell events. ``print`` writes a line and its end one after the other, so that
    two lines could end up on one.
    """
    to = sys.stdout if stream is None else stream
    if to is None:  # the process was started without it
        return
    with _LOCK:
        to.write(f"{text}\n")
        to.flush()


def finite(value: Any) -> Any:
    """JSON values, with null for numbers that JSON has not: NaN and infinities."""
    if isinstance(value, dict):
        return {key: finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def keep_lines_whole() -> None:
    """Give standard output of this process room for the longest line.

    A signal may interrupt a write to a pipe that is full. Python then keeps what was not written,
    if its buffer holds the whole line, and drops it otherwise.
    """
    old = sys.stdout
    if old is None or old.isatty():
        return
    try:
        number = old.fileno()
        old.flush()
    except (OSError, ValueError):
        return
    sys.stdout = os.fdopen(
        number, "w", _LONGEST, encoding=old.encoding, errors=old.errors, closefd=False
    )
