"""Deletion of a run: announced first, fenced off from other processes, and finished if cut off.

`begin` writes ``deleting.json`` into the run's folder and then claims the run, so that a process
that works on it stops at its next checkpoint, and none starts. The record, the owners and at last
``deleting.json`` are removed when all else is gone. Until then the folder counts as being deleted.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from emdist.errors import CheckpointError, NotFoundError, StorageError
from emdist.interfaces import FORMAT_VERSION
from emdist.store.places.files import Folder
from emdist.store.places.files_local import TEMPORARY
from emdist.store.runs import owners
from emdist.store.runs.run_folder import TOMBSTONE
from emdist.store.runs.sealed import document, read_document

_RECORD, _OWNERS = "run.json", "owners"


@dataclass(frozen=True)
class Doomed:
    """What is deleted of a run.

    Attributes
    ----------
    names
        Names of files and folders directly in the run's folder.
    whole
        Whether the run itself ends: its record and owners are deleted too.
    """

    names: tuple[str, ...]
    whole: bool = True

    def joined(self, other: Doomed | None) -> Doomed:
        """Return what either of two deletions deletes."""
        if other is None:
            return self
        names = tuple(sorted({*self.names, *other.names}))
        return Doomed(names, self.whole or other.whole)


def begun(folder: Folder) -> Doomed | None:
    """Return what a deletion that has begun in `folder` deletes; None if none has."""
    try:
        found = read_document(folder, TOMBSTONE)
    except NotFoundError:
        return None
    except CheckpointError:
        return Doomed((), whole=False)  # It was torn. What is asked now decides.
    names = found.get("names")
    listed = [name for name in names if _is_plain(name)] if isinstance(names, list) else []
    return Doomed(tuple(listed), found.get("whole") is True)


def _is_plain(name: object) -> bool:
    return isinstance(name, str) and bool(name) and "/" not in name and name not in (".", "..")


def begin(folder: Folder, doomed: Doomed) -> int:
    """Announce the deletion in `folder`, and return the epoch by which others are fenced off."""
    told = {
        "format": FORMAT_VERSION,
        "names": sorted(doomed.names),
        "whole": doomed.whole,
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    folder.write(TOMBSTONE, document(told))
    return owners.claim(folder)


def carry_out(folder: Folder, doomed: Doomed, epoch: int) -> None:
    """Delete what is `doomed`. If that is cut off, the same call finishes it.

    Raises
    ------
    RunFencedError
        If another process has claimed the run since `begin`.
    StorageError
        If something could not be deleted. The run still counts as being deleted.
    """
    last = (_RECORD, _OWNERS, TOMBSTONE)
    for name in [name for name in doomed.names if name not in last]:
        owners.check_owner(folder, epoch)
        folder.delete(name)
    _check_gone(folder, [name for name in doomed.names if name not in last])
    owners.check_owner(folder, epoch)
    if doomed.whole:
        # A process that worked on the run finds its own claim gone, and stops too.
        folder.delete(_RECORD)
        folder.delete(_OWNERS)
        _check_gone(folder, (_RECORD, _OWNERS))
    else:
        owners.release(folder, epoch)
    folder.delete(TOMBSTONE)
    if folder.location.is_local:
        with suppress(OSError):  # It holds files that are not the run's.
            folder.location.path.rmdir()


def _check_gone(folder: Folder, names: Sequence[str]) -> None:
    """Raise StorageError if files of these `names` are left."""
    left = [entry.name for entry in folder.entries() if is_below(entry.name, names)]
    if left:
        raise StorageError(
            f"cannot delete {len(left):,} files in {folder.location}, such as {left[0]}. Check the "
            "permissions of the folders that contain them, and enter the same command again; the "
            "run counts as being deleted until then."
        )


def is_below(name: str, tops: Iterable[str]) -> bool:
    """Return whether a file belongs to one of `tops`, or was left by whoever deleted them."""
    top = name.partition("/")[0]
    return top in tops or top.startswith(TEMPORARY)
