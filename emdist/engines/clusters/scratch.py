"""Temporary folders for workers' spilled data, removed at the end or by a later start."""

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
    """Yield a new folder below the system's temporary folder, and remove those of killed owners.

    A folder is locked while its owner exists. Folders without a lock are left alone.
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
    """Remove `folder` if its owner held a lock and does not any more. Failures are ignored."""
    with suppress(OSError), taken_over(folder / _LOCK):
        if folder.lstat().st_uid == os.getuid():
            shutil.rmtree(folder, ignore_errors=True)
