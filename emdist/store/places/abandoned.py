"""Temporary folders of processes that were killed: told from those at work, and removed."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

_LOCK = ".lock"
#: A folder without a lock is one that is being made or removed, unless it is older: seconds.
_STALE = 3600.0


@contextlib.contextmanager
def in_use(folder: Path) -> Iterator[None]:
    """Hold a lock on `folder`, which the kernel lets go of however this process ends."""
    fd = os.open(folder / _LOCK, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        with contextlib.suppress(OSError):  # some network file systems know no locks
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(fd)


def remove_abandoned(parent: Path, prefix: str) -> None:
    """Remove folders in `parent` whose name begins with `prefix` and that nobody uses.

    Best effort: what cannot be removed costs space and nothing else.
    """
    with contextlib.suppress(OSError):
        for folder in [path for path in parent.iterdir() if path.name.startswith(prefix)]:
            if folder.is_dir() and not folder.is_symlink() and _is_abandoned(folder):
                shutil.rmtree(folder, ignore_errors=True)


def _is_abandoned(folder: Path) -> bool:
    try:
        fd = os.open(folder / _LOCK, os.O_WRONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return time.time() - folder.stat().st_mtime > _STALE
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(fd)
    return True
