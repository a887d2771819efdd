"""Print whole lines for programs that read them: neither threads nor signals tear a line."""

from __future__ import annotations

import math
import os
import sys
import threading
from typing import Any, TextIO

#: One lock for all streams: standard output and standard error may be the same pipe.
_LOCK = threading.Lock()
#: Bytes. Up to this length an interrupt cannot cut a line: the rest is written before the next.
_LONGEST = 1 << 22


def say(text: str, stream: TextIO | None = None) -> None:
    """Write `text` and a line end to `stream`, by default standard output, and flush it.

    Several threads print events. ``print`` writes a line and its end in two steps, so that two
    lines could end up on one.
    """
    to = sys.stdout if stream is None else stream
    if to is None:  # The process was started without this stream.
        return
    with _LOCK:
        to.write(f"{text}\n")
        to.flush()


def finite(value: Any) -> Any:
    """Return JSON values with null for numbers that JSON does not have: NaN and infinities."""
    if isinstance(value, dict):
        return {key: finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def keep_lines_whole() -> None:
    """Give standard output of this process a buffer for the longest line.

    A signal may interrupt a write to a full pipe. Python then keeps the part that was not written
    if its buffer can hold the whole line. Otherwise it drops that part.
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
