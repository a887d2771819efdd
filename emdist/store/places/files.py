"""Folder: named bytes below one location, each written wholly or not at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from emdist.store.places.files_local import LocalFolder
from emdist.store.places.files_object import ObjectFolder
from emdist.store.places.location import Location


class Folder(Protocol):
    """Named bytes below one location; a name is a relative path joined by "/".

    Every method raises StorageError when the file system or the store fails, with the remedy.
    """

    @property
    def location(self) -> Location:
        """Where this folder is."""
        ...

    def read(self, name: str, limit: int | None = None) -> bytes:
        """All bytes of `name`; NotFoundError, or CheckpointError if there are over `limit`."""
        ...

    def write(self, name: str, data: bytes) -> None:
        """Put or replace `name`, durably: after a crash it is the old or the new one."""
        ...

    def create(self, name: str, data: bytes) -> None:
        """Put `name` if there is none, else FileExistsError; of two writers one succeeds."""
        ...

    def publish(self, name: str, files: Mapping[str, bytes], check: Callable[[], None]) -> None:
        """Put the new folder `name`; its last file is the commit, made after `check()`."""
        ...

    def list(self, prefix: str = "") -> list[str]:
        """Sorted names of all files below the folder `prefix`, without unfinished ones."""
        ...

    def is_empty(self) -> bool:
        """Whether nothing but hidden files is there; no full listing."""
        ...

    def exists(self, name: str) -> bool:
        """Whether there is a file `name`."""
        ...

    def delete(self, name: str) -> None:
        """Remove the file or the whole folder `name`; nothing happens if there is none."""
        ...

    def clean(self, prefix: str = "", age: float = 0.0) -> None:
        """Remove what killed writers left below `prefix`, untouched for `age` seconds."""
        ...


def open_folder(location: Location) -> Folder:
    """The folder at `location`, which need not exist yet."""
    return LocalFolder(location) if location.is_local else ObjectFolder(location)
