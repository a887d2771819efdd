"""Folders for what workers spill: removed at the end, or at a later start if that never came."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from emdist.runtime.locks import holding, taken_over

_PREFIX = "emdist-dask-"
_LOCK = "owner.lock"


@contextmanager
def scratch() -> Iterator[str]:
    """A new folder below the system's temporary one; what killed owners left there is removed.

    A folder is locked for as long as its owner lives; one without a lock is let alone.
    """
    root = Path(tempfile.gettempdir())
    for left in root.glob(f"{_PREFIX}*"):
        _remove_if_dead(left)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=root))
    with holding(folder / _LOCK):
        try:
            yield str(folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _remove_if_dead(folder: Path) -> None:
    """Remove `folder` if its owner has held a lock and holds it no more. Best effort."""
    with suppress(OSError), taken_over(folder / _LOCK):
        if folder.lstat().st_uid == os.getuid():
            shutil.rmtree(folder, ignore_errors=True)
