"""Owners: numbered claims on a run, by which a process learns that another has replaced it."""

from __future__ import annotations

import os
import re
import secrets
import socket
from collections.abc import Mapping
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
    here = this_process()
    owner = {
        "format": FORMAT_VERSION,
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "machine": here.machine,
        "began": here.began,
        "time": _now(),
        "nonce": secrets.token_hex(8),
    }
    epoch = newest_epoch(folder)
    while True:
        epoch += 1
        try:
            folder.create(_name(epoch), document(owner))
        except FileExistsError:
            # Another process claimed at the same moment, or the answer to our own put was lost.
            if not _is(folder, epoch, owner):
                continue
        return epoch


def release(folder: Folder, epoch: int) -> None:
    """Note that the process of `epoch` has failed and no longer owns the run.

    Failures are ignored.
    """
    name = _name(epoch)
    with suppress(EmdistError):
        owner = read_document(folder, name)
        folder.write(name, document(owner | {"ended": _now()}))


def is_free(folder: Folder) -> bool:
    """Return whether no process can be working on the run.

    That is so if its newest owner has failed or certainly ended, or if it never had an owner.
    """
    epoch = newest_epoch(folder)
    if epoch == 0:
        return True
    try:
        owner = read_document(folder, _name(epoch))
    except (CheckpointError, NotFoundError):
        return False
    if owner.get("ended"):
        return True
    machine, pid, began = owner.get("machine"), owner.get("pid"), owner.get("began")
    if not (isinstance(machine, str) and type(pid) is int and type(began) is int):
        return False
    return Process(machine, pid, began).has_ended()


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
    if newest > epoch:
        raise RunFencedError(
            f"{folder.location} was taken over by {_describe(folder, newest)}, so this process "
            f"(epoch {epoch}) must stop. Nothing is lost: the other process continues from the "
            "newest checkpoint."
        )


def newest_epoch(folder: Folder) -> int:
    """Return the last epoch claimed, or 0 if there is none."""
    found = (_OWNER.fullmatch(name) for name in folder.list("owners"))
    return max((int(match[1]) for match in found if match), default=0)


def _name(epoch: int) -> str:
    return f"owners/{epoch:08d}.json"


def _describe(folder: Folder, epoch: int) -> str:
    try:
        owner = read_document(folder, _name(epoch))
    except (CheckpointError, NotFoundError, StorageError):
        return f"epoch {epoch}"
    keys = ("host", "pid", "time")
    return f"epoch {epoch} (" + ", ".join(f"{key} {owner.get(key)}" for key in keys) + ")"
