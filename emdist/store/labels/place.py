"""Places for labels: whether labelling may create, resume or replace labels at a location."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from emdist.errors import (
    CheckpointError,
    ConfigError,
    EmdistError,
    NotFoundError,
    OutputExistsError,
    RunMismatchError,
)
from emdist.runtime.defects import is_defect
from emdist.store.chunks.controls import open_sound_arrays
from emdist.store.chunks.zarr_thread import apart
from emdist.store.labels.digest import DIGEST
from emdist.store.labels.layouts import LabelLayout, layout_in_mark
from emdist.store.labels.outputs import OUTPUTS
from emdist.store.places.faults import first_line, object_told, told
from emdist.store.places.files import open_folder
from emdist.store.places.location import Location, check_links, check_name
from emdist.store.sources.references import is_access_failure

#: The attribute of the group in which emdist stores its mark: what it wrote there.
MARK = "emdist"
#: Entries of the mark of labels that grow: whether they are being extended, and for blocks that are
#: older than the last extension, pairs of a number of blocks and the key of their digests.
GROWING, EARLIER = "growing", "earlier"
META_LIMIT = 1 << 24
#: The name of the group's metadata file while Zarr writes it.
_LEFTOVER = re.compile(r"zarr\.[0-9a-f]{32}\.partial")


#: What Zarr raises for metadata that it did not write.
_MALFORMED = (
    *(ValueError, TypeError, KeyError, IndexError, AttributeError, ArithmeticError),
    *(RuntimeError, NotImplementedError, MemoryError, AssertionError),
)


def storing(action: str, location: Location) -> AbstractContextManager[None]:
    """Return a context for writing: failures of the store become a StorageError with a remedy."""
    return told(action, location) if location.is_local else object_told(action, location)


@contextmanager
def telling(action: str, location: Location) -> Iterator[None]:
    """Turn failures inside, of the store or because of damaged labels, into errors with a remedy.

    Raises
    ------
    StorageError
        If the store fails, whether files or objects.
    CheckpointError
        If what is there is damaged. A defect of the code is raised unchanged.
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
            cause = error if location.is_local else None  # It may quote credentials of a URL.
            raise damaged(location, f"emdist cannot {action} it ({why})") from cause


def damaged(location: Location, why: str) -> CheckpointError:
    """Return the error for labels that cannot be what emdist wrote."""
    return CheckpointError(
        f"The labels at {location} are damaged: {why}. Delete them, or choose another place."
    )


@dataclass(frozen=True)
class Wanted:
    """The labels that are to be written, to be compared with those at a location.

    Attributes
    ----------
    identity
        JSON that says which model labels which data.
    outputs
        The requested outputs, names from `OUTPUTS`.
    overwrite
        Whether labels that emdist wrote there before may be replaced.
    layout
        Where the rows of each block lie; None if it is not known yet.
    columns
        The number of columns of the responsibilities.
    components
        The components that outputs of chosen components have, -1 for noise; None for all.
    policies
        The policies by which rows are left out or filled in, if `identity` does not contain them.
    """

    identity: Mapping[str, Any]
    outputs: tuple[str, ...]
    overwrite: bool = False
    layout: LabelLayout | None = None
    columns: int = 0
    components: tuple[int, ...] | None = None
    policies: Mapping[str, str] = field(default_factory=dict)


@apart
def check_place(location: Location, wanted: Wanted) -> str:
    """Return what labelling would do at `location`: "create", "continue", "add" or "replace".

    "add" keeps what is there and adds outputs. This function changes nothing, so that a long fit
    can be refused before it starts. It raises the errors of `label_writer`.
    """
    check_folder(location)
    check_links(location)
    with telling("look for labels in", location):
        if _is_free(location):
            return "create"
        mark = label_mark(location)
        if mark is None:
            raise OutputExistsError(
                f"There is already something at {location} that emdist did not write. Nothing was "
                "changed. Choose another place for the labels."
            )
        if not is_created(mark):
            return "replace"  # Creation was cut off, and no label was written.
        why = difference(mark, wanted, location)
        if why is None:
            check_no_links(location)
            return _fitting(outputs_there(location, mark), wanted)
    if wanted.overwrite:
        return "replace"
    raise RunMismatchError(
        f"{location} already holds labels, {why}. Nothing was changed. Choose another place for "
        "the labels, or allow emdist to overwrite them (`emdist label --overwrite`, or "
        "labels.overwrite=true in a fit)."
    )


def check_folder(location: Location) -> None:
    """Raise ConfigError if the name says that this is a ZIP file, or is in one, and no folder."""
    places = [*location.path.parents, location.path] if location.is_local else []
    named = [one for one in places if one.suffix.lower() == ".zip" and not one.is_dir()]
    if named or (not location.is_local and location.name.lower().endswith(".zip")):
        raise ConfigError(
            f"Labels cannot be written to {location}: they are written chunk by chunk, which a ZIP "
            "file does not allow. Give the path of a folder, such as labels.zarr, and pack it "
            "when the labels are complete."
        )


def _fitting(there: tuple[str, ...], wanted: Wanted) -> str:
    """Return what to do about the outputs if everything else matches."""
    if set(wanted.outputs) == set(there):
        return "continue"
    if wanted.overwrite:
        return "replace"
    return "continue" if set(wanted.outputs) < set(there) else "add"


def outputs_there(location: Location, mark: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the outputs that a group of labels has by its `mark`, in the order of its digests."""
    there = mark.get("outputs")
    if not isinstance(there, list) or not there or any(name not in OUTPUTS for name in there):
        raise damaged(location, "their metadata does not say which outputs they have")
    return tuple(there)


def difference(mark: Mapping[str, Any], wanted: Wanted, location: Location) -> str | None:
    """Return how the existing labels differ from those wanted, or None if they do not."""
    if mark.get("identity") != dict(wanted.identity):
        return "but they are of another model or of other data"
    for name, asked in wanted.policies.items():
        there = mark.get("policies", {}).get(name, asked)
        # Under "raise", no row was left out or filled in so far, so any other policy may continue.
        if there not in (asked, "raise"):
            return f"but they were written with {name}: {there}, and {name}: {asked} is requested"
    if mark.get("digest") != DIGEST:
        return "but the version of emdist that wrote them stored no digests of blocks"
    there = [name for name in outputs_there(location, mark) if OUTPUTS[name].chosen]
    if {*there} & {*wanted.outputs} and components_in(mark) != wanted.components:
        return f"but they have {', '.join(there)} of other components"
    if wanted.layout is None:
        return None
    layout, columns = layout_of(mark, location)
    found = layout.differs(wanted.layout)
    if columns != wanted.columns:
        found.append(
            f"they are of {columns:,} components, and the model now has {wanted.columns:,}"
        )
    return f"but {'; '.join(found)}" if found else None


def components_in(mark: Mapping[str, Any]) -> tuple[int, ...] | None:
    """Return the components that outputs of chosen components have by a mark; None for all."""
    stored = mark.get("components")
    if not isinstance(stored, list) or not all(type(n) is int for n in stored):
        return None
    return tuple(stored)


def is_created(mark: Mapping[str, Any]) -> bool:
    """Return whether all arrays of a group of labels were created."""
    # Earlier versions stored this as "complete", before any label was written.
    return bool(mark.get("created", mark.get("complete")))


def check_created(mark: Mapping[str, Any], location: Location) -> None:
    """Raise CheckpointError if labels were not all created, or not all deleted, by their mark."""
    if mark and not is_created(mark):
        raise CheckpointError(
            f"There are no labels at {location} yet: whatever created or replaced them has not "
            "finished, or was interrupted. If nothing writes there now, start the same labelling "
            "again, which writes all of them."
        )
    if mark.get(GROWING):
        raise CheckpointError(
            f"The labels at {location} are being extended by new rows, or this was interrupted. If "
            "nothing writes there now, start the same `emdist label --append` again."
        )


def earlier_keys(mark: Mapping[str, Any], location: Location) -> tuple[tuple[int, str], ...]:
    """Return, for blocks older than the last extension, numbers of blocks and their keys."""
    stored = mark.get(EARLIER, [])
    sound = isinstance(stored, list) and all(
        isinstance(one, list) and [type(part) for part in one] == [int, str] for one in stored
    )
    if not sound:
        raise damaged(location, "their metadata does not say how they have grown")
    return tuple((blocks, key) for blocks, key in stored)


def _is_free(location: Location) -> bool:
    """Return whether there is nothing, or only the first file of a writer that was killed."""
    folder = open_folder(location)
    if folder.is_empty():
        return True
    # Files are listed only if there is no group. A listing of labels would be long.
    if folder.exists("zarr.json"):
        return False
    return all(_LEFTOVER.fullmatch(name) for name in folder.list())


def check_no_links(location: Location) -> None:
    """Raise CheckpointError if there is a link below local labels.

    Writing through it would change files elsewhere.
    """
    if not location.is_local:
        return
    for folder, folders, files in os.walk(location.path):
        for name in (*folders, *files):
            path = Path(folder, name)
            if path.is_symlink():
                raise damaged(location, f"{path} is a symbolic link, which is not followed")


def label_mark(location: Location) -> dict[str, Any] | None:
    """Return the mark that emdist stored with a group, or None if it did not write the group."""
    try:
        found: Any = json.loads(open_folder(location).read("zarr.json", META_LIMIT))
    except (NotFoundError, CheckpointError, ValueError, RecursionError):
        return None
    for key in ("attributes", MARK):
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else None


def layout_of(mark: Mapping[str, Any], location: Location) -> tuple[LabelLayout, int]:
    """Return the layout and the number of columns that a mark states.

    Raise CheckpointError if the mark does not state them.
    """
    found = layout_in_mark(mark)
    if found is None:
        raise damaged(
            location, "their metadata lacks the numbers of rows, rows in a block and components"
        )
    return found


@apart
def are_labels_of(location: Location, identities: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether there are labels at `location` with one of these `identities`."""
    mark = label_mark(location) if identities else None
    return mark is not None and mark.get("identity") in [dict(one) for one in identities]


def labels_of_other_files(
    location: Location, identity: Mapping[str, Any], stamps: Mapping[str, str]
) -> bool:
    """Return whether the labels of `identity` at `location` are of files with other `stamps`."""
    mark = label_mark(location)
    return (
        mark is not None
        and is_created(mark)
        and mark.get("identity") == dict(identity)
        and mark.get("stamps", {}) != dict(stamps)
    )


def put_mark(location: Location, news: Mapping[str, Any]) -> None:
    """Change the mark of a group of labels as `news` says, if it differs."""
    folder = open_folder(location)
    raw = json.loads(folder.read("zarr.json", META_LIMIT))
    mark = raw["attributes"][MARK]
    if any(mark.get(name) != value for name, value in news.items()):
        mark.update(news)
        folder.write("zarr.json", json.dumps(raw, indent=2).encode())


def remove(location: Location) -> None:
    """Delete a group that carries emdist's mark, and nothing else."""
    # If the deletion is cut off, the remains count as not created.
    put_mark(location, {"created": False, "complete": False})
    folder = open_folder(location)
    for name in (*OUTPUTS, *companions_in(label_mark(location) or {}), "progress", MARK):
        folder.delete(name)
    folder.delete("zarr.json")


def companions_in(mark: Mapping[str, Any]) -> list[str]:
    """Return the names of the arrays beside the outputs that a mark lists: coordinates."""
    stored = mark.get("companions")
    names = stored if isinstance(stored, list) else []
    for name in names:
        check_name(name)
    return [name for name in names if "/" not in name]
