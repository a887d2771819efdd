"""The place of labels: whose it is, and whether labelling may create, continue or replace there."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import zarr

from emdist.errors import CheckpointError, NotFoundError, OutputExistsError, RunMismatchError
from emdist.store.chunks import missing_rows
from emdist.store.faults import object_told, told
from emdist.store.files import open_folder
from emdist.store.location import Location, open_zarr_store
from emdist.store.references import is_access_failure

#: What can be written, by the name of the array.
OUTPUTS = ("labels", "score", "responsibilities")
#: The attribute of the group in which emdist says what it wrote.
MARK = "emdist"
_META_LIMIT = 1 << 24
#: What Zarr calls the group's metadata while it is being written.
_LEFTOVER = re.compile(r"zarr\.[0-9a-f]{32}\.partial")


def telling(action: str, location: Location) -> AbstractContextManager[None]:
    """Failures inside, of whatever store it is, become a StorageError with a remedy."""
    return told(action, location) if location.is_local else object_told(action, location)


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
        fits = layout is None or mark.get("layout") == list(layout)
        # Cut off while creating, or other outputs or blocks of the same model: start over.
        return "continue" if same and fits else "replace"
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


def is_labelled(location: Location) -> bool:
    """Whether every block of the labels at `location` is done."""
    with telling("look for labels in", location):
        group = zarr.open_group(open_zarr_store(location, read_only=True), mode="r")
        try:
            arrays = dict(group.arrays())
            # A chunk that was lost would read as rows that were left out.
            if any(missing_rows(array) for array in arrays.values()):
                return False
            return bool(np.isfinite(np.asarray(arrays["progress"][:, 0])).all())
        except Exception as error:
            if is_access_failure(error):
                raise
            return False  # torn or lost: labelling goes on, or says what is the matter


def label_mark(location: Location) -> dict[str, Any] | None:
    """What `_create` wrote about a group, or None if emdist did not write it."""
    try:
        raw = json.loads(open_folder(location).read("zarr.json", _META_LIMIT))
        mark = raw["attributes"][MARK]
    except (NotFoundError, CheckpointError, ValueError, KeyError, TypeError):
        return None
    return mark if isinstance(mark, dict) else None


def remove(location: Location) -> None:
    """Delete a group that carries emdist's own mark, and nothing else."""
    folder = open_folder(location)
    for name in (*OUTPUTS, "progress", "zarr.json"):
        folder.delete(name)
