"""Owners: numbered claims on a run, by which a process learns that another has replaced it.

Checkpoints depend on these numbers alone. Whether an owner is still at work is a different
question; `emdist.store.runs.liveness` answers it.
"""

from __future__ import annotations

import os
import re
import secrets
import socket
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from emdist.errors import CheckpointError, EmdistError, NotFoundError, RunFencedError, StorageError
from emdist.interfaces import FORMAT_VERSION
from emdist.store.places.files import Folder
from emdist.store.places.processes import Process, this_process
from emdist.store.runs.sealed import document, read_document

_OWNER = re.compile(r"owners/(\d{8,})\.json")


def claim(folder: Folder) -> int:
    """Create a new owner epoch above all others and return it.

    Exclusive creation makes it unique.
    """
    owner, epoch = _this_owner(), newest_epoch(folder)
    while not _created(folder, epoch + 1, owner):
        epoch += 1
    return epoch + 1


def claim_after(folder: Folder, epoch: int) -> int | None:
    """Create the owner epoch that follows `epoch`; return None if another process was faster."""
    if newest_epoch(folder) != epoch or not _created(folder, epoch + 1, _this_owner()):
        return None
    return epoch + 1


def _this_owner() -> dict[str, Any]:
    here = this_process()
    return {
        "format": FORMAT_VERSION,
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "machine": here.machine,
        "began": here.began,
        "time": _now(),
        "nonce": secrets.token_hex(8),
    }


def _created(folder: Folder, epoch: int, owner: Mapping[str, Any]) -> bool:
    """Create `epoch` for `owner`; return False if it is another's."""
    try:
        folder.create(_name(epoch), document(owner))
    except FileExistsError:
        # Another process claimed at the same moment, or the answer to our own put was lost.
        return _is(folder, epoch, owner)
    return True


def release(folder: Folder, epoch: int, error: str = "") -> None:
    """Note that the process of `epoch` no longer works on the run, and the `error` that ended it.

    Failures are ignored.
    """
    name = _name(epoch)
    with suppress(EmdistError):
        owner = read_document(folder, name)
        told = {"error": error} if error else {}
        folder.write(name, document(owner | {"ended": _now()} | told))


def is_free(folder: Folder) -> bool:
    """Return whether no process can be working on the run.

    That is so if its newest owner has failed or certainly ended, or if it never had an owner.
    """
    epoch = newest_epoch(folder)
    return epoch == 0 or has_ended(folder, epoch)


def has_ended(folder: Folder, epoch: int) -> bool:
    """Return whether the owner `epoch` has said that it ended, or its process certainly has."""
    try:
        owner = read_document(folder, _name(epoch))
    except (CheckpointError, NotFoundError):
        return False
    return is_at_work(owner) is False


def is_claimed(folder: Folder, epoch: int) -> bool:
    """Return whether the claim of `epoch` is there. It is gone once the run was deleted."""
    return folder.exists(_name(epoch))


def is_at_work(owner: Mapping[str, Any]) -> bool | None:
    """Return whether an owner, as stored, may still work on its run; None if it cannot be known.

    It cannot be known of a process on another machine that has not noted its end.
    """
    if owner.get("ended"):
        return False
    machine, pid, began = owner.get("machine"), owner.get("pid"), owner.get("began")
    if not (isinstance(machine, str) and type(pid) is int and type(began) is int):
        return None
    process = Process(machine, pid, began)
    if process.has_ended():
        return False
    return True if process.is_of_this_machine() else None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _is(folder: Folder, epoch: int, owner: Mapping[str, Any]) -> bool:
    try:
        return read_document(folder, _name(epoch)) == owner
    except (CheckpointError, NotFoundError):
        return False


def check_owner(folder: Folder, epoch: int) -> None:
    """Raise RunFencedError if a later owner than `epoch` has claimed the run."""
    newest = newest_epoch(folder)
    if newest < epoch:
        raise RunFencedError(
            f"{folder.location} was deleted while this process (epoch {epoch}) worked on it, so "
            "the process must stop. Start the same run again to compute it anew."
        )
    if newest > epoch:
        raise RunFencedError(
            f"{folder.location} was taken over by {describe(folder, newest)}, so this process "
            f"(epoch {epoch}) must stop. Nothing is lost: the other process continues from the "
            "newest checkpoint."
        )


def newest_epoch(folder: Folder) -> int:
    """Return the last epoch claimed, or 0 if there is none."""
    return newest_of(folder.list("owners"))


def newest_of(names: Iterable[str]) -> int:
    """Return the last epoch claimed in a folder that has files of these `names`; 0 for none."""
    found = (_OWNER.fullmatch(name) for name in names)
    return max((int(match[1]) for match in found if match), default=0)


def read_owner(folder: Folder, epoch: int) -> dict[str, Any]:
    """Return what the owner of `epoch` stored. Raise NotFoundError or CheckpointError."""
    return read_document(folder, _name(epoch))


def _name(epoch: int) -> str:
    return f"owners/{epoch:08d}.json"


def describe(folder: Folder, epoch: int) -> str:
    """Return who claimed `epoch`, where and when, for messages."""
    try:
        owner = read_document(folder, _name(epoch))
    except (CheckpointError, NotFoundError, StorageError):
        return f"epoch {epoch}"
    keys = ("host", "pid", "time")
    return f"epoch {epoch} (" + ", ".join(f"{key} {owner.get(key)}" for key in keys) + ")"
