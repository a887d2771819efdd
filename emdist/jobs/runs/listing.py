"""List runs: which folders are runs, what is known of each, and which of them are asked for."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path

from emdist.errors import ConfigError, NotFoundError, StorageError
from emdist.inputs.plugins import nearest
from emdist.inputs.quoting import shown
from emdist.jobs.runs.described import STATES, RunInfo, described, unreadable
from emdist.store.places.entries import Entry
from emdist.store.places.faults import told
from emdist.store.places.files import no_folder, open_folder
from emdist.store.places.location import Location
from emdist.store.runs.run_folder import TOMBSTONE

#: How many runs of an object store are looked at at a time.
_ABREAST = 32
#: Files that make a folder a run's.
_MARKS = ("run.json", TOMBSTONE)


@dataclass(frozen=True)
class ListedFolder:
    """A folder below the folder of runs: its location, its files, and what it is a link to."""

    location: Location
    entries: Sequence[Entry] | StorageError
    link: str = ""

    def described(self) -> RunInfo | None:
        """Return what is known of it, or None if it is nothing of emdist's."""
        if isinstance(self.entries, StorageError):
            return unreadable(self.location, self.entries, self.link)
        return described(self.location, self.entries, self.link)


@dataclass(frozen=True)
class RunFilter:
    """Which runs are asked for.

    Attributes
    ----------
    states
        Only runs in one of these states; empty for all.
    older
        Only runs of which no file was written for so many seconds; None for all.
    model
        Only runs of models whose name matches this pattern; empty for all.
    """

    states: Sequence[str] = ()
    older: float | None = None
    model: str = ""

    def __post_init__(self) -> None:
        for name in self.states:
            if name not in STATES:
                raise ConfigError(
                    f"{shown(name)} is no state of a run{nearest(name, STATES)}; choose from "
                    f"{', '.join(STATES)}."
                )

    def accepts(self, info: RunInfo, now: datetime) -> bool:
        """Return whether a run is asked for."""
        if self.states and info.state not in self.states:
            return False
        if self.model and not any(
            fnmatchcase(name.strip(), self.model) for name in info.model.split(",")
        ):
            return False
        if self.older is None:
            return True
        return info.active is not None and age(info.active, now) >= self.older


def age(time: str, now: datetime) -> float:
    """Return the seconds since a time as it is stored."""
    return (now - datetime.fromisoformat(time)).total_seconds()


def list_runs(folder: Location, wanted: RunFilter | None = None) -> tuple[list[RunInfo], int]:
    """Return the runs in a folder, the newest first, and how many other folders are there.

    If `folder` is the folder of a run, that is the only one.

    Raises
    ------
    NotFoundError
        If there is no such local folder.
    StorageError
        If it cannot be listed. A run that cannot be read is listed as such.
    """
    found = list(folders_of(folder))
    if folder.is_local:
        told_of = [one.described() for one in found]
    else:
        with ThreadPoolExecutor(_ABREAST) as pool:
            told_of = list(pool.map(ListedFolder.described, found))
    infos = [info for info in told_of if info is not None]
    now, wanted = datetime.now(UTC), wanted or RunFilter()
    kept = [info for info in infos if wanted.accepts(info, now)]
    kept.sort(key=lambda info: (info.started or info.active or "", info.key), reverse=True)
    return kept, len(found) - len(infos)


def look_at(run: Location) -> tuple[ListedFolder, RunInfo]:
    """Return the folder of a run, or label store, and what is known of it.

    Raise NotFoundError if it is neither.
    """
    found = folder_at(run)
    info = found.described()
    if info is None:
        raise NotFoundError(
            no_folder(run)
            or f"There is no run in {run}: it has no run.json. Give the folder of a run, such as "
            "runs/NAME; `emdist runs ls` lists them."
        )
    return found, info


def folder_at(run: Location) -> ListedFolder:
    """Return one folder with its files."""
    return ListedFolder(run, open_folder(run).entries(), _link(run.path) if run.is_local else "")


def folders_of(folder: Location) -> Iterator[ListedFolder]:
    """Yield the folders directly below `folder`, or itself if it is the folder of a run."""
    if folder.is_local:
        yield from _local(folder)
        return
    below: dict[str, list[Entry]] = {}
    entries = open_folder(folder).entries()
    if any(entry.name in _MARKS for entry in entries):
        yield ListedFolder(folder, entries)
        return
    for entry in entries:
        top, _, name = entry.name.partition("/")
        if name:
            below.setdefault(top, []).append(Entry(name, entry.size, entry.modified))
    for top, inside in below.items():
        yield ListedFolder(folder.child(top).given, inside)


def _local(folder: Location) -> Iterator[ListedFolder]:
    if (missing := no_folder(folder)) is not None:
        raise NotFoundError(missing)
    if any(open_folder(folder).exists(name) for name in _MARKS):
        yield folder_at(folder)
        return
    with told("list", folder):
        names = sorted(path.name for path in folder.path.iterdir() if path.is_dir())
    for name in names:
        if name.startswith(".tmp-"):
            continue
        location = folder.child(name).given
        link = _link(location.path)
        try:
            yield ListedFolder(location, open_folder(location).entries(), link)
        except StorageError as error:
            yield ListedFolder(location, error, link)


def _link(path: Path) -> str:
    """Return what a path is a symbolic link to, or ""."""
    return os.path.realpath(path) if path.is_symlink() else ""
