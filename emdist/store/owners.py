"""Owners: numbered claims on a run, so that a process that was replaced finds out."""

from __future__ import annotations

import os
import re
import secrets
import socket
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from emdist.errors import CheckpointError, NotFoundError, RunFencedError, StorageError
from emdist.interfaces import FORMAT_VERSION
from emdist.store.files import Folder
from emdist.store.sealed import MANIFEST_LIMIT, document, parse

_OWNER = re.compile(r"owners/(\d{8,})\.json")


def claim(folder: Folder) -> int:
    """A new owner epoch, above all others; exclusive creation makes it unique."""
    owner = {
        "format": FORMAT_VERSION,
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
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


def _is(folder: Folder, epoch: int, owner: Mapping[str, Any]) -> bool:
    name = _name(epoch)
    try:
        return parse(folder.read(name, MANIFEST_LIMIT), name) == owner
    except (CheckpointError, NotFoundError):
        return False


def check_owner(folder: Folder, epoch: int) -> None:
    """RunFencedError if a later owner than `epoch` has claimed the run."""
    newest = newest_epoch(folder)
    if newest > epoch:
        raise RunFencedError(
            f"{folder.location} was taken over by {_describe(folder, newest)}; this process "
            f"(epoch {epoch}) must stop. Nothing is lost: the other one continues from the "
            "newest checkpoint."
        )


def newest_epoch(folder: Folder) -> int:
    """The last epoch claimed; 0 if there is none."""
    found = (_OWNER.fullmatch(name) for name in folder.list("owners"))
    return max((int(match[1]) for match in found if match), default=0)


def _name(epoch: int) -> str:
    return f"owners/{epoch:08d}.json"


def _describe(folder: Folder, epoch: int) -> str:
    name = _name(epoch)
    try:
        owner = parse(folder.read(name, MANIFEST_LIMIT), name)
    except (CheckpointError, NotFoundError, StorageError):
        return f"epoch {epoch}"
    keys = ("host", "pid", "time")
    return f"epoch {epoch} (" + ", ".join(f"{key} {owner.get(key)}" for key in keys) + ")"
