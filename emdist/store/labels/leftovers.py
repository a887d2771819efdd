"""Unfinished files of writers that were killed, among labels: told from those at work, and removed.

A chunk is written beside its place, under a name of its own, and renamed. A kill in between leaves
that file, and nobody can be asked for its writer: workers may be on any machine. But who is at work
goes on soon: what lies unchanged from the beginning of a label pass to its end is left over.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

from emdist.store.places.location import Location

#: What Zarr's writers and emdist's call a file that is not finished.
_UNFINISHED = re.compile(r"[^/]+\.[0-9a-f]{32}\.partial")

#: Time in ns and size by path.
Leftovers: TypeAlias = Mapping[Path, tuple[int, int]]


def unfinished(location: Location) -> Leftovers:
    """Unfinished files below local labels; none elsewhere: object stores put whole objects."""
    found = {}
    if location.is_local:
        for folder, _, names in os.walk(location.path):
            for name in filter(_UNFINISHED.fullmatch, names):
                path = Path(folder, name)
                with contextlib.suppress(OSError):  # finished meanwhile
                    found[path] = _touched(path)
    return found


def remove_leftovers(before: Leftovers) -> None:
    """Remove what is as it was `before` a pass; best effort: a leftover costs space only."""
    for path, touched in before.items():
        with contextlib.suppress(OSError):
            if _touched(path) == touched:
                path.unlink()


def _touched(path: Path) -> tuple[int, int]:
    status = path.lstat()
    return status.st_mtime_ns, status.st_size
