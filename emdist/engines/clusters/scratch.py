"""Folders for what workers spill: removed at the end, or at a later start if that never came."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PREFIX = "emdist-dask-"
_LOCK = "owner.lock"


@contextmanager
def scratch() -> Iterator[str]:
    """A new folder below the system's temporary one; what killed owners left there is removed.

    A folder is locked for as long as its owner lives, and the kernel lets go of the lock however
    that ends. So a lock that can be had proves that nobody is left, in any container or user's
    session; and a folder without one is let alone.
    """
    root = Path(tempfile.gettempdir())
    for left in root.glob(f"{_PREFIX}*"):
        _remove_if_dead(left)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=root))
    lock = _locked(folder)
    try:
        yield str(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _locked(folder: Path) -> int:
    """A lock on `folder`, which appears under its name only once it is held."""
    new = folder / f"{_LOCK}.new"
    lock = os.open(new, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    # Where the file system knows no locks, nothing is ever proved dead: nothing is removed.
    with suppress(OSError):
        fcntl.flock(lock, fcntl.LOCK_EX)
        new.rename(folder / _LOCK)
    return lock


def _remove_if_dead(folder: Path) -> None:
    """Remove `folder` if its owner has held a lock and holds it no more. Best effort."""
    with suppress(OSError):
        lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if folder.lstat().st_uid == os.getuid():
                shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(lock)
