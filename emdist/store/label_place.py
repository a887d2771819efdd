"""The place of labels: whose it is, and whether labelling may create, continue or replace there."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
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
from emdist.store.bounded import bounded
from emdist.store.chunks import stored_cells
from emdist.store.faults import first_line, object_told, told
from emdist.store.files import open_folder
from emdist.store.label_digest import DIGEST
from emdist.store.location import Location, open_zarr_store
from emdist.store.references import is_access_failure

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


@contextmanager
def telling(action: str, location: Location) -> Iterator[None]:
    """Failures inside become an error with a remedy, be they the store's or in what is there.

    Raises
    ------
    StorageError
        If the store, of whatever kind, fails.
    CheckpointError
        If what is there is damaged.
    """
    with told(action, location) if location.is_local else object_told(action, location):
        try:
            yield
        except EmdistError:
            raise
        except _MALFORMED as error:
            if is_access_failure(error):
                raise
            why = f"{type(error).__name__}: {first_line(error)}"
            cause = error if location.is_local else None  # it may quote a URL's credentials
            raise damaged(location, f"cannot {action} it: {why}") from cause


def damaged(location: Location, why: str) -> CheckpointError:
    """The error for labels that cannot be what emdist wrote."""
    return CheckpointError(
        f"The labels at {location} are damaged: {why}. Remove them, or name another place."
    )


def check_place(
    location: Location,
    identity: Mapping[str, Any],
    outputs: tuple[str, ...],
    overwrite: bool,
    layout: tuple[int, ...] | None = None,
) -> str:
    """What labelling into `location` would do there: "create", "continue" or "replace".

    Changes nothing, so that a long fit can be refused before it starts; errors as
    `label_writer`.

    Parameters
    ----------
    location, identity, outputs, overwrite
        As `label_writer`.
    layout
        Rows, rows of a block and components; None where they are not known yet.
    """
    with telling("look for labels in", location):
        if _is_free(location):
            return "create"
        mark = label_mark(location)
    if mark is None:
        raise OutputExistsError(
            f"There is already something at {location} that emdist did not write. Nothing was "
            "changed. Name another place for the labels."
        )
    if mark.get("identity") == dict(identity):
        same = mark.get("outputs") == list(outputs) and mark.get("complete")
        same = same and mark.get("digest") == DIGEST
        fits = layout is None or mark.get("layout") == list(layout)
        # Cut off while creating, of a version without digests, or other outputs or blocks of the
        # same model: start over.
        if same and fits:
            _check_links(location)
            return "continue"
        return "replace"
    if overwrite:
        return "replace"
    raise RunMismatchError(
        f"{location} holds labels of another model or of other data. Nothing was changed. "
        "Name another place for the labels, or allow overwriting them."
    )


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
        rows, block, columns = map(int, mark["layout"])
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
        raw = json.loads(open_folder(location).read("zarr.json", _META_LIMIT))
        mark = raw["attributes"][MARK]
    except (NotFoundError, CheckpointError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return mark if isinstance(mark, dict) else None


def labels_of_other_files(
    location: Location, identity: Mapping[str, Any], stamps: Mapping[str, str]
) -> bool:
    """Whether the labels of `identity` at `location` are of files with other `stamps`."""
    mark = label_mark(location)
    return (
        mark is not None
        and mark.get("identity") == dict(identity)
        and mark.get("stamps", {}) != dict(stamps)
    )


def remove(location: Location) -> None:
    """Delete a group that carries emdist's own mark, and nothing else."""
    folder = open_folder(location)
    for name in (*OUTPUTS, "progress", "zarr.json"):
        folder.delete(name)
