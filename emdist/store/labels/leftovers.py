"""Leftovers: finds and removes unfinished label files of writers that were killed.

A chunk is written under a temporary name and then renamed. A kill in between leaves the temporary
file. Its writer cannot be asked, because workers may be on any machine. But a running writer
continues soon. So a file that did not change from the beginning of a label pass to its end is a
leftover.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

from emdist.store.places.location import Location

#: The names that Zarr's writers and emdist's give to unfinished files.
_UNFINISHED = re.compile(r"[^/]+\.[0-9a-f]{32}\.partial")

#: Time of the last change in ns, and size in bytes, by path.
Leftovers: TypeAlias = Mapping[Path, tuple[int, int]]


def unfinished(location: Location) -> Leftovers:
    """Return the unfinished files below local labels.

    Object stores put whole objects and have none.
    """
    found = {}
    if location.is_local:
        for folder, _, names in os.walk(location.path):
            for name in filter(_UNFINISHED.fullmatch, names):
                path = Path(folder, name)
                with contextlib.suppress(OSError):  # finished meanwhile
                    found[path] = _touched(path)
    return found


def remove_leftovers(before: Leftovers) -> None:
    """Remove the files that have not changed since `before`.

    Failures are ignored: only space is lost.
    """
    for path, touched in before.items():
        with contextlib.suppress(OSError):
            if _touched(path) == touched:
                path.unlink()


def _touched(path: Path) -> tuple[int, int]:
    status = path.lstat()
    return status.st_mtime_ns, status.st_size
