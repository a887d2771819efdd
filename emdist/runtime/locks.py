"""File locks that show whether the process that made something still exists.

The kernel releases a lock however its owner ends. So a lock that can be acquired proves that the
owner is gone, whichever container or user session it was in.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def holding(place: Path) -> Iterator[None]:
    """Hold a new lock. It appears at `place` only once it is held, and is removed at the end."""
    new = place.with_name(f"{place.name}.new")
    lock = os.open(new, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        # Some network file systems have no locks. There, no owner is ever proved gone.
        with suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            new.rename(place)
        yield
    finally:
        for path in (new, place):
            path.unlink(missing_ok=True)
        os.close(lock)


@contextmanager
def taken_over(place: Path) -> Iterator[None]:
    """Hold the lock at `place` of an owner that is gone. Raise OSError if that is not certain."""
    lock = os.open(place, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(lock)
