"""References to Zarr arrays: open an array once per process, or say what is there instead."""

from __future__ import annotations

import os
import pickle
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias, TypeGuard

import zarr
from zarr.abc.store import Store
from zarr.storage import LocalStore, MemoryStore, ZipStore

from emdist.errors import (
    AccessDeniedError,
    DataError,
    DtypeError,
    EmdistError,
    NotAnArrayError,
    NotFoundError,
    StorageError,
)
from emdist.inputs.plugins import nearest
from emdist.runtime.defects import is_defect
from emdist.store.chunks.bounded import bounded, most_stored
from emdist.store.chunks.controls import open_sound_arrays
from emdist.store.chunks.layout import metadata_digest
from emdist.store.places.faults import AGAIN, access_denied, first_line, is_refusal
from emdist.store.places.files_local import kind_of
from emdist.store.places.location import Location, open_zarr_store
from emdist.store.places.store_objects import StoreObject
from emdist.store.places.zip_files import ZippedFiles, zip_store
from emdist.store.places.zip_paths import zip_at
from emdist.store.sources.other_files import advice, folder_advice, sparse_advice
from emdist.store.sources.strict_stores import Filled, Strict
from emdist.wording import either

#: How many members of a ZIP file are examined for the names of its arrays.
_LOOKED_AT = 100
#: Packages whose exceptions come from a store, and not from the bytes in it.
_REMOTE = ("obstore", "icechunk", "fsspec", "aiohttp", "botocore", "gcsfs", "azure", "requests")
#: The exceptions by which Zarr says that there is nothing at a path.
_ABSENT = (FileNotFoundError, NotADirectoryError, KeyError)


@lru_cache(maxsize=64)
def _reader(
    location: Location, options: tuple[tuple[str, str], ...], path: str, version: str, strict: bool
) -> zarr.Array[Any]:
    """Open an array, once per process.

    `options` is part of the cache key because a Location hashes by its URL only. `version` is part
    of it because a worker outlives runs, and the array may have been rewritten between them.
    """
    ref = ArrayRef(location, path, version=version)
    return _opened(open_zarr_store(location, read_only=True), ref, strict)


def _opened(store: Store, ref: ArrayRef, strict: bool) -> zarr.Array[Any]:
    """Open the array of `ref` in `store` for reading; DataError if it is another array now."""
    array = zarr.open_array((Strict if strict else Filled)(store), mode="r", path=ref.path)
    if ref.version and metadata_digest(array) != ref.version:
        raise DataError(
            f"the metadata of {ref} changed while emdist read it, so it is "
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
    """The address of a Zarr array, or of a group; small and picklable.

    Attributes
    ----------
    location
        The root of the store, or None for a store that a user opened.
    path
        The path of the array below the root; "" for the root itself.
    opened
        The store that a user opened, or None if `location` has it.
    version
        The digest of the array's metadata when it was checked; "" before the check.
    """

    location: Location | None
    path: str = ""
    opened: StoreObject | None = field(default=None, repr=False)
    version: str = field(default="", repr=False)

    @property
    def store(self) -> Store:
        """The store, for reading, as it is now."""
        if self.opened is not None:
            return self.opened.store
        assert self.location is not None
        return open_zarr_store(self.location, read_only=True)

    @property
    def snapshot(self) -> str:
        """The ID of the snapshot of a versioned store, in which nothing changes; else ""."""
        return "" if self.opened is None else self.opened.snapshot

    def beside(self, path: str) -> ArrayRef:
        """Return the reference of another array of the same store, by its path from the root."""
        return replace(self, path=path.strip("/"), version="")

    def below(self, name: str) -> ArrayRef:
        """Return the reference of the member `name` of the group that this one refers to."""
        return self.beside(f"{self.path}/{name}" if self.path else name)

    def open(self) -> zarr.Array[Any]:
        """Open the array anew, as it is now. `checked` and descriptions use this."""
        return zarr.open_array(self.store, mode="r", path=self.path)

    def open_group(self) -> zarr.Group:
        """Open the group at this path anew, as it is now."""
        return zarr.open_group(self.store, mode="r", path=self.path)

    def above(self) -> ArrayRef:
        """Return the reference of the group that holds the array; of the root for the root."""
        return self.beside(self.path.rpartition("/")[0])

    def checked(self, array: zarr.Array[Any]) -> ArrayRef:
        """Return this reference with the version of `array`, which was opened from it."""
        return replace(self, version=metadata_digest(array))

    def reader(self, strict: bool = True) -> zarr.Array[Any]:
        """Return the open array, opened once per process.

        If `strict`, reading a missing chunk raises AbsentChunk.
        """
        if (opened := self.opened) is not None:
            key = (self.path, self.version, strict)
            return opened.remembered(key, lambda: _opened(opened.store, self, strict))
        assert self.location is not None
        options = tuple(sorted(self.location.options.items()))
        return _reader(self.location, options, self.path, self.version, strict)

    def __str__(self) -> str:
        if self.opened is not None:
            what = f"the array {self.path}" if self.path else "the array"
            return f"{what} in {self.opened}"
        return f"{self.location}/{self.path}" if self.path else str(self.location)


#: What `reference` accepts.
Stored: TypeAlias = "str | os.PathLike[str] | Location | zarr.Array[Any] | zarr.Group"


def is_stored(x: object) -> TypeGuard[str | os.PathLike[str] | zarr.Array[Any]]:
    """Return whether `x` is an address that `reference` accepts, rather than data."""
    return isinstance(x, str | os.PathLike | zarr.Array)


def reference(x: Stored) -> ArrayRef:
    """Return the reference of an array, from a path, a URL or an open ``zarr.Array``.

    An open ``zarr.Group`` gives the reference of the group, whose `below` refers to its members.
    """
    if isinstance(x, Location):
        return ArrayRef(x)
    if not isinstance(x, zarr.Array | zarr.Group):
        return ArrayRef(Location(os.fspath(x)))
    store: Any = x.store
    if isinstance(store, LocalStore):
        return ArrayRef(Location(str(store.root)), x.path)
    if isinstance(store, ZippedFiles):
        return ArrayRef(Location(str(store)), x.path)
    if isinstance(store, ZipStore):
        _check_closed(store)
        if zip_at((there := Location(str(store.path))).url) is not None:
            return ArrayRef(there, x.path)
    return ArrayRef(None, x.path, StoreObject(store))


def _check_closed(store: ZipStore) -> None:
    """Raise NotAnArrayError if a ZIP file is open for writing: its directory is written last."""
    if store._is_open and not store.read_only:
        raise NotAnArrayError(
            f"The ZIP file {store.path} is still open for writing, so its last part is not yet "
            "written. Close it with X.store.close(), then pass X or its path again."
        )


def is_access_failure(error: BaseException) -> bool:
    """Return whether the store failed, rather than the bytes in it."""
    # An errno is needed: some codecs raise an OSError without one for bytes that they cannot
    # decode.
    return (
        type(error).__module__.partition(".")[0] in _REMOTE
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
        if is_refusal(error):
            raise AccessDeniedError(
                f"{ref} cannot be opened: {access_denied(error, AGAIN)}"
            ) from cause
        if is_access_failure(error) and not isinstance(error, _ABSENT):
            raise StorageError(
                f"{ref} cannot be opened: {first_line(error)}. Check the path and its permissions."
            ) from cause
        members = _members(ref)
        if members is not None:
            if told := sparse_advice(ref.open_group().attrs, str(ref)):
                raise NotAnArrayError(told) from cause
            shown = ", ".join(members[:8]) or "it has none"
            raise NotAnArrayError(
                f"{ref} is a group, not an array. Name one of its arrays: {shown}. Or say which "
                "of them are features, in data.variables, and which dimensions make up the rows, "
                "in data.samples."
            ) from cause
        if isinstance(error, _ABSENT):
            raise _nothing_there(ref) from cause
        if "vlen-array" in str(error):
            raise DtypeError(
                f"{ref} is a ragged array, whose rows have different lengths (vlen-array). Write "
                "its rows as an array of one length, padded with NaN, and set data.non_finite to "
                "'missing'."
            ) from cause
        if "data type" in str(error):  # Zarr knows no class for this dtype.
            raise DtypeError(
                f"{ref} has a dtype that Zarr cannot read ({first_line(error)}); expected real "
                "numbers. To continue, convert its columns to numbers."
            ) from cause
        raise NotAnArrayError(
            f"{ref} is not a readable Zarr array: {first_line(error)}. Give the path of a Zarr "
            "array, or convert the file to one with `emdist ingest`."
        ) from cause


def cannot_open(pickled: bytes) -> str:
    """Return why this process cannot open an array, whose reference is pickled; "" if it can."""
    try:
        ref: ArrayRef = pickle.loads(pickled)
        array = open_checked(ref)
    except Exception as error:  # noqa: BLE001  packages may be missing here
        return f"{type(error).__name__}: {first_line(error)}"
    if ref.version and metadata_digest(array) != ref.version:
        return "it is another array there"
    return ""


def shown_cause(ref: ArrayRef, error: Exception) -> Exception | None:
    """Return `error` as the cause for a traceback, or None if it may quote credentials of a URL."""
    if ref.opened is not None:
        return error if isinstance(ref.opened.innermost, MemoryStore) else None
    return error if ref.location is None or ref.location.is_local else None


def _members(ref: ArrayRef) -> list[str] | None:
    """Return the paths in the store of the arrays below `ref`, or None if it is no group.

    Those of two dimensions or more are returned alone, if there are any.
    """
    try:
        group = ref.open_group()
        sizes = {
            name: at.ndim for name, at in group.members(max_depth=3) if isinstance(at, zarr.Array)
        }
    except Exception as error:  # as in `open_checked`
        if is_defect(error, open_sound_arrays):
            raise
        return None  # It is no group that can be listed.
    # Arrays of one dimension have no features: they are coordinates, or parts of other encodings.
    found = [name for name, ndim in sizes.items() if ndim > 1] or [*sizes]
    return sorted(f"{ref.path}/{name}" if ref.path else name for name in found)


def _not_in_zip(path: Path, inner: str) -> Exception:
    """Return the error that says what a ZIP file holds in place of an array at `inner`."""
    store = zip_store(path, "")
    names = list(store.members())
    found = [name for name in names if name.endswith(("/zarr.json", "/.zarray"))][:_LOOKED_AT]
    arrays = sorted(name.rpartition("/")[0] for name in found if store.is_array(name))
    if not arrays:
        shown = ", ".join(dict.fromkeys(name.partition("/")[0] for name in names)) or "no files"
        return NotAnArrayError(
            f"The ZIP file {path} holds no Zarr array (it has {shown:.200}). Unpack it, and "
            "convert its files with `emdist ingest`."
        )
    where = f"no array {inner}" if inner else "no array at its root"
    return NotAnArrayError(
        f"The ZIP file {path} has {where}. Name one of its arrays: {', '.join(arrays[:8])}."
    )


def _nothing_there(ref: ArrayRef) -> Exception:
    """Return the error that says what is at `ref` in place of an array."""
    location = ref.location
    if location is None or not location.is_local:
        return NotFoundError(
            f"There is no Zarr array at {ref}. Check the URL and the storage options."
        )
    if (zipped := zip_at(location.url)) is not None:
        return _not_in_zip(zipped[0], f"{zipped[1]}/{ref.path}".strip("/"))
    path = location.path / ref.path
    if path.is_file():
        return NotAnArrayError(f"{ref} is a file, not a Zarr array. {advice(path)}")
    if path.is_dir():
        return NotAnArrayError(
            f"{ref} is a folder without the metadata of an array (zarr.json or .zarray). "
            f"{folder_advice(path)}"
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
