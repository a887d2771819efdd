"""Folder: the interface to files below one location, each written wholly or not at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from emdist.inputs.plugins import nearest
from emdist.store.places.entries import Entry
from emdist.store.places.files_local import LocalFolder
from emdist.store.places.files_object import ObjectFolder
from emdist.store.places.location import Location


class Folder(Protocol):
    """Files below one location. A name is a relative path joined by "/".

    Every method raises a StorageError with a remedy if the file system or the store fails.
    """

    @property
    def location(self) -> Location:
        """The location of this folder."""
        ...

    def read(self, name: str, limit: int | None = None) -> bytes:
        """Return all bytes of `name`.

        Raise NotFoundError if there is no such file, and CheckpointError if it has over `limit`
        bytes.
        """
        ...

    def write(self, name: str, data: bytes) -> None:
        """Write or replace `name` durably. After a crash the file is the old or the new one."""
        ...

    def create(self, name: str, data: bytes) -> None:
        """Write `name` if it does not exist, else raise FileExistsError.

        Of two writers one succeeds.
        """
        ...

    def publish(self, name: str, files: Mapping[str, bytes], check: Callable[[], None]) -> None:
        """Write the new folder `name`. Its last file commits it and is written after `check()`."""
        ...

    def list(self, prefix: str = "") -> list[str]:
        """Return the sorted names of all finished files below the folder `prefix`."""
        ...

    def entries(self, prefix: str = "") -> Sequence[Entry]:
        """Return all files below the folder `prefix`, with sizes and times, also unfinished ones.

        Links are listed and not followed.
        """
        ...

    def is_empty(self) -> bool:
        """Return whether there are only hidden files, without listing everything."""
        ...

    def exists(self, name: str) -> bool:
        """Return whether there is a file `name`."""
        ...

    def delete(self, name: str) -> None:
        """Remove the file or the whole folder `name`, if it exists."""
        ...

    def clean(self, prefix: str = "", age: float = 0.0) -> None:
        """Remove leftovers of killed writers below `prefix`, unchanged for `age` seconds."""
        ...


def no_folder(location: Location) -> str | None:
    """Return the message that `location` does not exist, with a similar name if there is one.

    The result is None if something is there, and for URLs.
    """
    if not location.is_local or location.path.exists():
        return None
    path = location.path
    siblings = sorted(one.name for one in path.parent.iterdir()) if path.parent.is_dir() else []
    return (
        f"There is no folder {location}{nearest(path.name, siblings)}. Check the path; relative "
        "paths start at the current folder."
    )


def open_folder(location: Location) -> Folder:
    """Return the folder at `location`, which need not exist yet."""
    return LocalFolder(location) if location.is_local else ObjectFolder(location)
