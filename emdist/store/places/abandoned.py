"""Abandoned folders: finds and removes temporary folders of processes that were killed."""

from __future__ import annotations

import shutil
import time
from contextlib import AbstractContextManager, suppress
from pathlib import Path

from emdist.runtime.locks import holding, taken_over

_LOCK = ".lock"
#: A folder without a lock is being made or removed, unless it is older than this many seconds.
_STALE = 3600.0


def in_use(folder: Path) -> AbstractContextManager[None]:
    """Return a context that holds a lock on `folder`."""
    return holding(folder / _LOCK)


def remove_abandoned(parent: Path, prefix: str) -> None:
    """Remove the folders in `parent` whose name begins with `prefix` and that nobody uses.

    Failures are ignored: what cannot be removed costs only space.
    """
    with suppress(OSError):
        for folder in [path for path in parent.iterdir() if path.name.startswith(prefix)]:
            if folder.is_dir() and not folder.is_symlink() and _is_abandoned(folder):
                shutil.rmtree(folder, ignore_errors=True)


def _is_abandoned(folder: Path) -> bool:
    """Return whether the lock of `folder` can be acquired, or the folder is old and has no lock."""
    try:
        with taken_over(folder / _LOCK):
            return True
    except FileNotFoundError:
        return time.time() - folder.stat().st_mtime > _STALE
    except OSError:
        return False
