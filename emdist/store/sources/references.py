"""References to Zarr arrays: open an array once per process, or say what is there instead."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeGuard

import zarr
from zarr.abc.store import ByteRequest, Store
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.storage import LocalStore, WrapperStore

from emdist.errors import (
    DataError,
    DtypeError,
    EmdistError,
    NotAnArrayError,
    NotFoundError,
    StorageError,
)
from emdist.inputs.plugins import nearest, plugins
from emdist.runtime.defects import is_defect
from emdist.store.chunks.bounded import bounded, most_stored
from emdist.store.chunks.controls import open_sound_arrays
from emdist.store.chunks.layout import metadata_digest
from emdist.store.places.faults import first_line
from emdist.store.places.files_local import kind_of
from emdist.store.places.local_store import METADATA, RegularFiles
from emdist.store.places.location import Location, open_zarr_store
from emdist.wording import either

#: The exceptions by which Zarr says that there is nothing at a path.
_ABSENT = (FileNotFoundError, NotADirectoryError, KeyError)


class AbsentChunk(Exception):  # noqa: N818  a signal from the store to the reader
    """An object that should hold a chunk does not exist. The argument is its key."""


class Filled(WrapperStore[Store]):
    """A store that refuses empty chunk objects: Zarr would read an empty shard as the fill value.

    From local files it reads at most `most` bytes at a time. A sparse file can claim any size and
    occupy almost no disk space.
    """

    most: int | None = None

    async def get(
        self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        if self.most is not None and isinstance(self._store, RegularFiles) and _is_chunk(key):
            await asyncio.to_thread(self._store.check_size, key, byte_range, self.most)
        value = await self._store.get(key, prototype, byte_range)
        if value is not None and len(value) == 0 and _is_chunk(key):
            raise ValueError("the object, or the requested part of it, is empty")
        return value


class Strict(Filled):
    """A store that raises AbsentChunk for missing chunks, which Zarr would read as the fill value.

    Missing chunks are found before a run begins. This class catches chunks that vanish later,
    without any further request.
    """

    async def get(
        self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        value = await super().get(key, prototype, byte_range)
        if value is None and _is_chunk(key):
            raise AbsentChunk(key)
        return value


def _is_chunk(key: str) -> bool:
    return key.rpartition("/")[2] not in METADATA


@lru_cache(maxsize=64)
def _reader(
    location: Location, options: tuple[tuple[str, str], ...], path: str, version: str, strict: bool
) -> zarr.Array[Any]:
    """Open an array, once per process.

    `options` is part of the cache key because a Location hashes by its URL only. `version` is part
    of it because a worker outlives runs, and the array may have been rewritten between them.
    """
    store = open_zarr_store(location, read_only=True)
    array = zarr.open_array((Strict if strict else Filled)(store), mode="r", path=path)
    found = metadata_digest(array)
    if found != version:
        raise DataError(
            f"the metadata of {ArrayRef(location, path)} changed while emdist read it, so it is "
            "now another array. When its writer has finished, "
            + either("fit again.", "start again with another run.key.")
        )
    return _bounded(array)


def _bounded(array: zarr.Array[Any]) -> zarr.Array[Any]:
    """Return `array` with bounded decoding, and limit the size of its stored objects too."""
    found = bounded(array)
    store = array.store
    assert isinstance(store, Filled)
    store.most = most_stored(array)
    return found


@dataclass(frozen=True)
class ArrayRef:
    """The address of a Zarr array; small and picklable.

    Attributes
    ----------
    location
        The root of the store, or None for an array in memory.
    path
        The path of the array below the root; "" for the root itself.
    held
        An open array in memory, whose store has no address. It is usable in this process only.
    version
        The digest of the array's metadata when it was checked; "" before the check.
    """

    location: Location | None
    path: str = ""
    held: Any = field(default=None, repr=False)
    version: str = field(default="", repr=False)

    def open(self) -> zarr.Array[Any]:
        """Open the array anew, as it is now. `checked` and descriptions use this."""
        there = self.location
        store = self.held.store if there is None else open_zarr_store(there, read_only=True)
        return zarr.open_array(store, mode="r", path=self.path)

    def checked(self, array: zarr.Array[Any]) -> ArrayRef:
        """Return this reference with the version of `array`, which was opened from it."""
        return replace(self, version=metadata_digest(array))

    def reader(self, strict: bool = True) -> zarr.Array[Any]:
        """Return the open array, opened once per process.

        If `strict`, reading a missing chunk raises AbsentChunk.
        """
        if self.location is None:
            store = (Strict if strict else Filled)(self.held.store)
            return _bounded(zarr.open_array(store, mode="r", path=self.path))
        options = tuple(sorted(self.location.options.items()))
        return _reader(self.location, options, self.path, self.version, strict)

    def __str__(self) -> str:
        if self.location is None:
            return "the Zarr array in memory"
        return f"{self.location}/{self.path}" if self.path else str(self.location)


def is_stored(x: object) -> TypeGuard[str | os.PathLike[str] | zarr.Array[Any]]:
    """Return whether `x` is an address that `reference` accepts, rather than data."""
    return isinstance(x, str | os.PathLike | zarr.Array)


def reference(x: str | os.PathLike[str] | Location | zarr.Array[Any]) -> ArrayRef:
    """Return the reference of an array, from a path, a URL or an open ``zarr.Array``."""
    if isinstance(x, Location):
        return ArrayRef(x)
    if not isinstance(x, zarr.Array):
        return ArrayRef(Location(os.fspath(x)))
    if isinstance(x.store, LocalStore):
        return ArrayRef(Location(str(x.store.root)), x.path)
    return ArrayRef(None, x.path, x)


def is_access_failure(error: BaseException) -> bool:
    """Return whether the store failed, rather than the bytes in it."""
    # An errno is needed: some codecs raise an OSError without one for bytes that they cannot
    # decode.
    return (
        type(error).__module__.startswith("obstore")
        or isinstance(error, TimeoutError | ConnectionError)
        or (isinstance(error, OSError) and error.errno is not None)
    )


def open_checked(ref: ArrayRef) -> zarr.Array[Any]:
    """Open the array as it is now, or raise the error that says what is there instead."""
    try:
        return ref.open()
    except EmdistError:
        raise
    except (
        Exception
    ) as error:  # Zarr raises exceptions of any kind for metadata that it did not write
        if is_defect(error, open_sound_arrays):
            raise
        cause = shown_cause(ref, error)
        if is_access_failure(error) and not isinstance(error, _ABSENT):
            raise StorageError(
                f"{ref} cannot be opened: {first_line(error)}. Check the path and its permissions."
            ) from cause
        members = _members(ref)
        if members is not None:
            shown = ", ".join(members[:8]) or "it has none"
            raise NotAnArrayError(
                f"{ref} is a group, not an array. Name one of its arrays: {shown}."
            ) from cause
        if isinstance(error, _ABSENT):
            raise _nothing_there(ref) from cause
        if "data type" in str(error):  # Zarr knows no class for this dtype.
            raise DtypeError(
                f"{ref} has a dtype that Zarr cannot read ({first_line(error)}); expected real "
                "numbers. To continue, convert its columns to numbers."
            ) from cause
        raise NotAnArrayError(
            f"{ref} is not a readable Zarr array: {first_line(error)}. Give the path of a Zarr "
            "array, or convert the file to one with `emdist ingest`."
        ) from cause


def shown_cause(ref: ArrayRef, error: Exception) -> Exception | None:
    """Return `error` as the cause for a traceback, or None if it may quote credentials of a URL."""
    return error if ref.location is None or ref.location.is_local else None


def _members(ref: ArrayRef) -> list[str] | None:
    """Return the paths in the store of the arrays below `ref`, or None if it is no group."""
    if ref.location is None:
        return None
    try:
        store = open_zarr_store(ref.location, read_only=True)
        group = zarr.open_group(store, mode="r", path=ref.path)
        found = [name for name, at in group.members(max_depth=3) if isinstance(at, zarr.Array)]
    except Exception as error:  # as in `open_checked`
        if is_defect(error, open_sound_arrays):
            raise
        return None  # It is no group that can be listed.
    return sorted(f"{ref.path}/{name}" if ref.path else name for name in found)


def _of_file(path: Path) -> str:
    """Return advice for a file that was given in place of an array."""
    if path.suffix.lower() in (".yaml", ".yml"):
        return f"It is a configuration, which `emdist fit -f {path.name}` reads."
    if path.suffix.lower() == ".zip":
        return (
            f"Unpack a Zarr array in a ZIP file first: run `python -m zipfile -e {path.name} "
            f"{path.stem}.zarr`, then use {path.stem}.zarr."
        )
    known = [end for ends in plugins("emdist.ingest", "suffixes").values() for end in ends]
    if path.name.lower().endswith(tuple(known)):
        return f"Convert it to one with `emdist ingest {path.name} {path.stem}.zarr`."
    return f"`emdist ingest` converts files that end in {', '.join(sorted(known))}."


def _nothing_there(ref: ArrayRef) -> Exception:
    """Return the error that says what is at `ref` in place of an array."""
    location = ref.location
    if location is None or not location.is_local:
        return NotFoundError(
            f"There is no Zarr array at {ref}. Check the URL and the storage options."
        )
    path = location.path / ref.path
    if path.is_file():
        return NotAnArrayError(f"{ref} is a file, not a Zarr array. {_of_file(path)}")
    if path.is_dir():
        return NotAnArrayError(
            f"{ref} is a folder without the metadata of an array (zarr.json or .zarray). Give the "
            "path of a Zarr array, or make one with `emdist ingest`."
        )
    if path.exists():
        return NotAnArrayError(
            f"{ref} is {kind_of(path.stat())}, not a Zarr array. Save its contents to a file, and "
            "convert that to Zarr with `emdist ingest`."
        )
    siblings = sorted(os.listdir(path.parent)) if path.parent.is_dir() else []  # noqa: PTH208
    return NotFoundError(
        f"There is nothing at {ref}{nearest(path.name, siblings)}. Check the path; relative paths "
        "start at the folder where the command runs."
    )
