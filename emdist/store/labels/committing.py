"""Labels in an Icechunk repository: complete labels are copied into a session as one commit."""

from __future__ import annotations

import os
from typing import Any

import zarr
from zarr.abc.store import Store
from zarr.core.buffer import default_buffer_prototype
from zarr.core.common import concurrent_map
from zarr.core.sync import sync

from emdist.errors import CheckpointError, ConfigError, OutputExistsError
from emdist.inputs.foreign import is_a
from emdist.store.chunks.zarr_thread import apart
from emdist.store.labels.check import damaged_blocks
from emdist.store.labels.place import MARK, label_mark, telling
from emdist.store.labels.progress import read_progress
from emdist.store.places.location import Location, check_name, open_zarr_store

#: How many objects are copied at a time.
_COPIES = 16


def commit_labels(
    labels: str | os.PathLike[str],
    session: Any,
    path: str = "labels",
    message: str = "Labels of emdist",
) -> str:
    """Copy finished labels into an Icechunk repository, as one commit.

    They are read twice, to verify and to copy them, and take their space twice until their folder
    is deleted.

    Nothing is committed unless all labels are copied. If this is killed, the repository is as it
    was, and the labels are still in their folder: open a new session, and call it again. Calling it
    again after the commit changes nothing.

    Parameters
    ----------
    labels : str or path
        The folder or URL of complete labels, such as ``labels.zarr`` in the folder of a run.
    session : icechunk.Session
        A session that is open for writing, without changes of its own: they would be committed too.
    path : str, default="labels"
        Where the group of labels goes in the repository.
    message : str, default="Labels of emdist"
        The message of the commit.

    Returns
    -------
    str
        The ID of the snapshot that has the labels.

    Raises
    ------
    ConfigError
        If `session` is not open for writing, or has changes of its own.
    CheckpointError
        If there are no labels, or they are not complete, or damaged.
    OutputExistsError
        If something else is at `path` in the repository.
    """
    _check_session(session)
    check_name(path)
    location = Location(os.fspath(labels))
    mark = label_mark(location)
    if mark is None:
        raise CheckpointError(f"There are no labels of emdist at {location}.")
    noted = read_progress(location)
    damaged = list(damaged_blocks(location))
    if len(noted.done) < noted.blocks or damaged:
        what = f"{len(damaged)} damaged blocks" if damaged else "blocks that are not labelled yet"
        raise CheckpointError(
            f"The labels at {location} have {what}. Start the same command or run again, which "
            "completes them, then commit them."
        )
    there = _mark_at(session.store, path)
    if there is not None:
        if there == mark:
            return str(session.snapshot_id)
        raise OutputExistsError(
            f"There is something else at {path} in the repository. Choose another path, or delete "
            f'it first: del zarr.open_group(session.store)["{path}"].'
        )
    _copied(location, session.store, path)
    return str(session.commit(message))


def _check_session(session: Any) -> None:
    """Raise ConfigError unless `session` is open for writing and has no changes."""
    if not is_a(session, "icechunk", "Session"):
        raise ConfigError(
            f"session is a {type(session).__name__}; expected a session of Icechunk, as "
            'repo.writable_session("main").'
        )
    if session.read_only:
        raise ConfigError(
            "session is read-only. Labels need a session that is open for writing, as "
            'repo.writable_session("main").'
        )
    if session.has_uncommitted_changes:
        raise ConfigError(
            "session has changes that are not committed, which would be committed with the "
            "labels. Commit or discard them first."
        )


def _mark_at(store: Store, path: str) -> Any:
    """Return emdist's mark at `path`, "other" for anything else there, or None for nothing."""
    # In a repository of Icechunk there is nothing but groups and arrays.
    if not sync(store.exists(f"{path}/zarr.json")):
        return None
    try:
        return zarr.open_group(store, mode="r", path=path).attrs.get(MARK, "other")
    except Exception:  # noqa: BLE001  whatever is there, it is no group of labels
        return "other"


@apart
def _copied(location: Location, target: Store, path: str) -> None:
    """Copy the labels. If the user interrupts it, it may go on, but nothing is committed."""
    with telling("copy the labels at", location):
        for at in range(path.count("/") + 1):
            zarr.open_group(target, mode="a", path="/".join(path.split("/")[:at]))
        sync(_copy(open_zarr_store(location), target, path))


async def _copy(source: Store, target: Store, path: str) -> None:
    """Copy all objects as they are: their codecs and checksums stay. Metadata come first."""

    async def copy(key: str) -> None:
        value = await source.get(key, default_buffer_prototype())
        if value is not None:
            await target.set(f"{path}/{key}", value)

    keys = sorted([key async for key in source.list()])
    about = [key for key in keys if key.endswith("zarr.json")]
    for key in sorted(about, key=lambda name: (name.count("/"), name)):
        await copy(key)
    rest = [(key,) for key in keys if not key.endswith(("zarr.json", ".partial"))]
    await concurrent_map(rest, copy, _COPIES)
