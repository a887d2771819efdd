"""`Entry`: a file of a folder as a listing shows it, by name, size and time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True)
class Entry:
    """A file or object below a folder.

    Attributes
    ----------
    name
        Its path relative to the folder.
    size
        Its size in bytes.
    modified
        When it was last written, in seconds since 1970.
    """

    name: str
    size: int
    modified: float


def when(seconds: float) -> str:
    """Return a time in seconds since 1970 as text with its time zone, UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
