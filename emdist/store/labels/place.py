"""The place of labels: whose it is, and whether labelling may create, continue or replace there."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from emdist.errors import (
    CheckpointError,
    EmdistError,
    NotFoundError,
    OutputExistsError,
    RunMismatchError,
)
from emdist.interfaces import Floats
from emdist.runtime.defects import is_defect
from emdist.store.chunks.bounded import bounded
from emdist.store.chunks.controls import open_sound_arrays
from emdist.store.chunks.layout import stored_cells
from emdist.store.chunks.zarr_thread import apart
from emdist.store.labels.digest import DIGEST
from emdist.store.places.faults import first_line, object_told, told
from emdist.store.places.files import open_folder
from emdist.store.places.location import Location, check_links, open_zarr_store
from emdist.store.sources.references import is_access_failure

#: What can be written, by the name of the array.
OUTPUTS = ("labels", "score", "responsibilities")
#: The attribute of the group in which emdist says what it wrote.
MARK = "emdist"
_META_LIMIT = 1 << 24
#: Numbers noted of a block, at most.
_MOST_COLUMNS = 1 << 20
#: What Zarr calls the group's metadata while it is being written.
_LEFTOVER = re.compile(r"zarr\.[0-9a-f]{32}\.partial")


#: How Zarr meets metadata that it did not write: with whatever comes of it.
_MALFORMED = (
    *(ValueError, TypeError, KeyError, IndexError, AttributeError, ArithmeticError),
    *(RuntimeError, NotImplementedError, MemoryError, AssertionError),
)


def storing(action: str, location: Location) -> AbstractContextManager[None]:
    """Around what writes: the store's failures become a StorageError with a remedy."""
    return told(action, location) if location.is_local else object_told(action, location)


@contextmanager
def telling(action: str, location: Location) -> Iterator[None]:
    """Failures inside become an error with a remedy, be they the store's or in what is there.

    Raises
    ------
    StorageError
        If the store, of whatever kind, fails.
    CheckpointError
        If what is there is damaged. A defect is raised as it was met.
    """
    with storing(action, location):
        try:
            yield
        except EmdistError:
            raise
        except _MALFORMED as error:
            if is_access_failure(error) or is_defect(error, open_sound_arrays):
                raise
            why = f"{type(error).__name__}: {first_line(error)}"
            cause = error if location.is_local else None  # it may quote a URL's credentials
            raise damaged(location, f"cannot {action} it: {why}") from cause


def damaged(location: Location, why: str) -> CheckpointError:
    """The error for labels that cannot be what emdist wrote."""
    return CheckpointError(
        f"The labels at {location} are damaged: {why}. Remove them, or name another place."
    )


@dataclass(frozen=True)
class Wanted:
    """What is to be labelled, as a place for labels is held to it.

    Attributes
    ----------
    identity
        JSON that says which model labels which data.
    outputs
        Names from `OUTPUTS`.
    overwrite
        Whether what emdist wrote there before may be replaced.
    layout
        Rows, rows of a block and components; None where they are not known yet.
    policies
        By which rows are left out or filled in, where `identity` does not say it.
    """

    identity: Mapping[str, Any]
    outputs: tuple[str, ...]
    overwrite: bool = False
    layout: tuple[int, ...] | None = None
    policies: Mapping[str, str] = field(default_factory=dict)


@apart
def check_place(location: Location, wanted: Wanted) -> str:
    """What labelling into `location` would do there: "create", "continue", "add" or "replace".

    Changes nothing, so that a long fit can be refused before it starts; errors as
    `label_writer`. "add" keeps what is there, and adds outputs.
    """
    check_links(location)
    with telling("look for labels in", location):
        if _is_free(location):
            return "create"
        mark = label_mark(location)
        if mark is None:
            raise OutputExistsError(
                f"There is already something at {location} that emdist did not write. Nothing was "
                "changed. Name another place for the labels."
            )
        if not is_created(mark):
            return "replace"  # cut off while it was created: no label was written
        why = _differs(mark, wanted)
        if why is None:
            _check_links(location)
            return _fitting(outputs_there(location, mark), wanted)
    if wanted.overwrite:
        return "replace"
    raise RunMismatchError(
        f"{location} holds labels {why}. Nothing was changed. Name another place for the labels, "
        "or allow overwriting them (--overwrite of `emdist label`, labels.overwrite in a "
        "configuration)."
    )


def _fitting(there: tuple[str, ...], wanted: Wanted) -> str:
    """What is done about outputs, where all else is as wanted."""
    if set(wanted.outputs) == set(there):
        return "continue"
    if wanted.overwrite:
        return "replace"
    return "continue" if set(wanted.outputs) < set(there) else "add"


def outputs_there(location: Location, mark: Mapping[str, Any]) -> tuple[str, ...]:
    """The outputs that a group of labels has by its `mark`, in the order of their digests."""
    there = mark.get("outputs")
    if not isinstance(there, list) or not there or any(name not in OUTPUTS for name in there):
        raise damaged(location, "it does not say which outputs it has")
    return tuple(there)


def _differs(mark: Mapping[str, Any], wanted: Wanted) -> str | None:
    """How the labels there are others than those wanted, or None."""
    if mark.get("identity") != dict(wanted.identity):
        return "of another model or of other data"
    for name, asked in wanted.policies.items():
        there = mark.get("policies", {}).get(name, asked)
        # By "raise" no row was left out or filled in so far: any other policy may go on.
        if there not in (asked, "raise"):
            return f"by {name}: {there}, and {name}: {asked} was asked for"
    if mark.get("digest") != DIGEST:
        return "of a version of emdist that gave blocks no digests"
    if wanted.layout is not None and mark.get("layout") != list(wanted.layout):
        rows, size = mark["layout"][1], wanted.layout[1]
        return f"in blocks of {rows:,} rows, and those of {size:,} were asked for (data.block_size)"
    return None


def is_created(mark: Mapping[str, Any]) -> bool:
    """Whether all arrays of a group of labels were created."""
    # Earlier versions noted that as "complete".
    return bool(mark.get("created", mark.get("complete")))


def _is_free(location: Location) -> bool:
    """Whether nothing is there, or nothing but what a writer killed at its first file left."""
    folder = open_folder(location)
    if folder.is_empty():
        return True
    # Listed only where there is no group: of labels it would be long.
    if folder.exists("zarr.json"):
        return False
    return all(_LEFTOVER.fullmatch(name) for name in folder.list())


def _check_links(location: Location) -> None:
    """CheckpointError if there is a link below local labels: writing would follow it out."""
    if not location.is_local:
        return
    for folder, folders, files in os.walk(location.path):
        for name in (*folders, *files):
            path = Path(folder, name)
            if path.is_symlink():
                raise damaged(location, f"{path} is a symbolic link, which is not followed")


@dataclass(frozen=True)
class Noted:
    """What is noted of the blocks of a labelling.

    Attributes
    ----------
    blocks
        Of the labelling.
    done
        (m,) indices of those that are done, rising.
    rows
        (m, columns) what is noted of these; as `LabelWriter` packs it.
    """

    blocks: int
    done: NDArray[np.int64]
    rows: Floats


@apart
def read_progress(location: Location) -> Noted:
    """What is noted at `location`: as much as is stored there, whatever the metadata claims.

    Raises
    ------
    CheckpointError
        If it is not what emdist wrote.
    """
    _check_links(location)
    with telling("read the progress in", location):
        store = open_zarr_store(location, read_only=True)
        array: zarr.Array[Any] = zarr.open_array(store, mode="r", path="progress")
        mark = label_mark(location) or {}
        rows, block, columns = layout_of(mark, location)
        # Labels of earlier versions have no digests.
        wanted = (-(-rows // block), 2 + int("digest" in mark) + columns)
        if array.shape != wanted or array.dtype != np.float64 or array.chunks != (1, wanted[1]):
            raise damaged(location, f"its progress is {array.dtype}{array.shape}, not {wanted}")
        if wanted[1] > _MOST_COLUMNS:
            raise damaged(location, f"its progress claims {columns} components")
        at = np.array([row for row, _ in stored_cells(array, [wanted[0], 1])], np.int64)
        noted = np.empty((0, wanted[1]))
        if len(at):
            noted = np.asarray(bounded(array).get_orthogonal_selection((at, slice(None))), float)
        done = np.isfinite(noted[:, 0])
        return Noted(wanted[0], at[done], noted[done])


def label_mark(location: Location) -> dict[str, Any] | None:
    """What `_create` wrote about a group, or None if emdist did not write it."""
    try:
        found: Any = json.loads(open_folder(location).read("zarr.json", _META_LIMIT))
    except (NotFoundError, CheckpointError, ValueError, RecursionError):
        return None
    for key in ("attributes", MARK):
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else None


def layout_of(mark: Mapping[str, Any], location: Location) -> tuple[int, int, int]:
    """Rows, rows of a block and components that a mark tells; CheckpointError if it does not."""
    layout = mark.get("layout")
    if isinstance(layout, list) and len(layout) == 3:
        rows, block, columns = layout
        if all(type(n) is int for n in layout) and rows > 0 and block > 0 and columns > 0:
            return rows, block, columns
    raise damaged(location, "their metadata does not say how they are laid out")


@apart
def are_labels_of(location: Location, identities: Sequence[Mapping[str, Any]]) -> bool:
    """Whether there are labels at `location` of one of these `identities`."""
    mark = label_mark(location) if identities else None
    return mark is not None and mark.get("identity") in [dict(one) for one in identities]


def labels_of_other_files(
    location: Location, identity: Mapping[str, Any], stamps: Mapping[str, str]
) -> bool:
    """Whether the labels of `identity` at `location` are of files with other `stamps`."""
    mark = label_mark(location)
    return (
        mark is not None
        and is_created(mark)
        and mark.get("identity") == dict(identity)
        and mark.get("stamps", {}) != dict(stamps)
    )


def put_mark(location: Location, news: Mapping[str, Any]) -> None:
    """Change what emdist says about a group of labels, if that is not so yet."""
    folder = open_folder(location)
    raw = json.loads(folder.read("zarr.json", _META_LIMIT))
    mark = raw["attributes"][MARK]
    if any(mark.get(name) != value for name, value in news.items()):
        mark.update(news)
        folder.write("zarr.json", json.dumps(raw, indent=2).encode())


def remove(location: Location) -> None:
    """Delete a group that carries emdist's own mark, and nothing else."""
    put_mark(location, {"created": False})  # what is left of it if this is cut off
    folder = open_folder(location)
    for name in (*OUTPUTS, "progress", "zarr.json"):
        folder.delete(name)
