"""Delete runs: what would be deleted of each, what refuses to be deleted, and the deletion."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from emdist.errors import ConfigError, RunError
from emdist.jobs.runs.described import COMPLETE, LABELS, RunInfo, is_own, parts_of
from emdist.jobs.runs.listing import ListedFolder, RunFilter, age, folders_of, look_at
from emdist.store.labels.place import label_mark
from emdist.store.places.entries import Entry
from emdist.store.places.files import open_folder
from emdist.store.places.files_local import TEMPORARY
from emdist.store.places.location import Location
from emdist.store.runs.deletion import Doomed, begin, begun, carry_out, is_below
from emdist.store.runs.owners import check_owner
from emdist.store.runs.run_folder import TOMBSTONE

#: What stays of a run whose model is kept.
_OF_MODEL = (
    "run.json",
    "owners",
    "from",
    "final",
    "models",
    "criterion.png",
    "summary.json",
    "summary.md",
)


@dataclass(frozen=True)
class KeptParts:
    """What is kept of a run that is deleted.

    Attributes
    ----------
    model
        Whether its model, its record and its summary stay. Checkpoints go.
    labels
        Whether labels in its folder stay, too.
    """

    model: bool = False
    labels: bool = False

    def __post_init__(self) -> None:
        if self.labels and not self.model:
            raise ConfigError(
                "Labels are only kept beside their model: --keep-labels needs --keep-model."
            )


@dataclass(frozen=True)
class Removal:
    """What is deleted of one run.

    Attributes
    ----------
    info
        The run.
    location
        Its folder.
    doomed
        What is deleted.
    bytes, files
        How much that is.
    kept
        What stays in the folder or elsewhere, a line for each.
    """

    info: RunInfo
    location: Location
    doomed: Doomed
    bytes: int
    files: int
    kept: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return {
            "run": self.info.path,
            "state": self.info.state,
            "whole": self.doomed.whole,
            "deletes": list(self.doomed.names),
            "bytes": self.bytes,
            "files": self.files,
            "kept": list(self.kept),
        }


def removal_of(run: Location, keep: KeptParts | None = None, force: bool = False) -> Removal:
    """Return what would be deleted of a run. Nothing is changed.

    Parameters
    ----------
    run
        The folder of the run.
    keep
        What stays of it.
    force
        Whether to delete it even if a process works on it, or may do so.

    Raises
    ------
    NotFoundError
        If there is no run.
    RunError
        If this is no run, if a process works on it, or if a symbolic link is involved.
    """
    found, info = look_at(run)
    return _removal(found, info, keep or KeptParts(), force)


def _removal(found: ListedFolder, info: RunInfo, keep: KeptParts, force: bool) -> Removal:
    _check(found, info, keep, force)
    assert not isinstance(found.entries, Exception)
    folder = open_folder(found.location)
    parts = parts_of(found.entries)
    asked = Doomed(tuple(_doomed(found.location, info, parts, keep)), not keep.model)
    doomed = asked.joined(begun(folder))
    gone = [one for one in found.entries if is_below(one.name, doomed.names)]
    staying = sorted({name for name in parts if not is_below(name, doomed.names)} - {TOMBSTONE})
    kept = [f"{found.location.child(name)}" for name in staying if not is_own(name)]
    kept += _labels_elsewhere(found.location, info)
    return Removal(
        info, found.location, doomed, sum(one.size for one in gone), len(gone), tuple(kept)
    )


def _check(found: ListedFolder, info: RunInfo, keep: KeptParts, force: bool) -> None:
    """Raise RunError if a run must not be deleted."""
    where = found.location
    if found.link:
        raise RunError(
            f"{where} is a symbolic link to {found.link}, and nothing was deleted. Give "
            f"{found.link} itself to delete that run, or remove the link: rm {where}."
        )
    if info.kind == LABELS:
        raise RunError(
            f"{where} holds labels, which `emdist runs rm` does not delete, because they may be of "
            "any run. Delete the folder itself if you do not need them."
        )
    names = {one.name for one in found.entries} if not isinstance(found.entries, Exception) else ()
    if not {"run.json", TOMBSTONE} & set(names) or info.state == "unreadable":
        raise RunError(f"{where} is not deleted: {info.why or 'it is not the folder of a run.'}")
    if info.at_work and not force:
        sure = "works" if info.state == "running" else "may still work"
        raise RunError(
            f"{where} is not deleted, because {info.why} {sure} on it. Stop that process first. "
            "--force deletes it all the same; the process then ends with an error."
        )
    if keep.model and not info.has_model and info.state != "deleting":
        raise RunError(
            f"{where} is not deleted, because it has no model that could be kept ({info.state}). "
            "Without --keep-model it is deleted."
        )


def _doomed(
    location: Location, info: RunInfo, parts: Iterable[str], keep: KeptParts
) -> Iterable[str]:
    """Yield the names directly in a run's folder that are deleted: emdist's own, and its labels."""
    for name in parts:
        if location.is_local and (path := location.path / name).is_symlink():
            if is_own(name):
                raise RunError(
                    f"{path} is a symbolic link, which emdist does not follow, and nothing was "
                    "deleted. Remove the link, or what it leads to, yourself first."
                )
            continue
        if name == TOMBSTONE or (keep.model and name in _OF_MODEL):
            continue
        own = is_own(name) or name.startswith(TEMPORARY)
        if own or (not keep.labels and _is_its_labels(location.child(name), info)):
            yield name


def _is_its_labels(place: Location, info: RunInfo) -> bool:
    """Return whether labels in a run's folder are those that the run wrote itself."""
    is_named = place.name == "labels.zarr" or str(place) == info.labels
    return is_named and label_mark(place) is not None


def _labels_elsewhere(run: Location, info: RunInfo) -> list[str]:
    """Return a line about labels of the run outside of its folder, which are not deleted."""
    place = Location(info.labels) if info.labels else run
    if place.is_within(run) or (place.is_local and not place.path.exists()):
        return []
    return [f"{info.labels} (its labels, outside of its folder)"]


def removals_in(
    folder: Location, wanted: RunFilter, keep: KeptParts | None = None, force: bool = False
) -> tuple[list[Removal], list[tuple[RunInfo, str]]]:
    """Return what would be deleted of the runs in `folder` that are asked for, and what would not.

    Label stores and folders that emdist did not write are passed over. The second list has runs
    that are asked for and refuse to be deleted, with the reason.
    """
    keep, now = keep or KeptParts(), datetime.now(UTC)
    found: list[Removal] = []
    refused: list[tuple[RunInfo, str]] = []
    for one in folders_of(folder):
        info = one.described()
        if info is None or info.kind == LABELS or not wanted.accepts(info, now):
            continue
        try:
            removal = _removal(one, info, keep, force)
        except RunError as error:
            refused.append((info, str(error)))
            continue
        if removal.files or removal.doomed.whole:
            found.append(removal)
    return found, refused


def expired_in(folder: Location, wanted: RunFilter | None = None) -> list[Removal]:
    """Return what the runs in `folder` say themselves is to be deleted of them by now.

    These are finished runs whose configuration has ``run.retention``, and that ended longer ago
    than it says. What is refused is left alone.
    """
    now, found, wanted = datetime.now(UTC), [], wanted or RunFilter()
    for one in folders_of(folder):
        info = one.described()
        if info is None or info.state not in (*COMPLETE, "deleting") or info.keep is None:
            continue
        if not wanted.accepts(info, now):
            continue
        seconds = info.keep.get("seconds")
        if not isinstance(seconds, int | float) or isinstance(seconds, bool) or seconds <= 0:
            continue
        # Its end, and not the last file written: labels of new data may have been put beside it.
        ended = info.ended or info.active
        if ended is None or age(ended, now) < seconds:
            continue
        keep = KeptParts(model=info.keep.get("keep_model") is not False)
        try:
            removal = _removal(one, info, keep, force=False)
        except RunError:
            continue
        if removal.files:
            found.append(removal)
    return found


def remove(removal: Removal) -> Removal:
    """Delete what `removal` says, and return it with what was there at that moment.

    If this is cut off, the run counts as being deleted, and the same call finishes it.

    Raises
    ------
    RunFencedError
        If another process claimed the run meanwhile.
    StorageError
        If something could not be deleted.
    """
    folder = open_folder(removal.location)
    epoch = begin(folder, removal.doomed)
    # A process that worked on it until now may have written more.
    entries: Sequence[Entry] = folder.entries()
    check_owner(folder, epoch)
    gone = [one for one in entries if is_below(one.name, removal.doomed.names)]
    carry_out(folder, removal.doomed, epoch)
    return replace(removal, bytes=sum(one.size for one in gone), files=len(gone))
