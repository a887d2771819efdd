"""The target of an ingest: writes whole chunks, and shows the array only when it is complete."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import zarr
from zarr.codecs import ZstdCodec
from zarr.core.sync import sync

from emdist.errors import ConfigError, DataError, EmdistError, OutputExistsError, StorageError
from emdist.interfaces import FORMAT_VERSION, Array
from emdist.runtime.defects import is_defect
from emdist.runtime.locks import holding, taken_over
from emdist.store.chunks.controls import open_sound_arrays
from emdist.store.places.files_local import flush
from emdist.store.places.location import Location, open_zarr_store
from emdist.store.sources.source_checks import COMPLETE

#: What follows the target's name in the name of an array under construction, and the suffix of its
#: lock.
_LOCK = ".lock"
_PARTIAL = re.compile(r"\.partial-[0-9a-f]{8}\.lock")

#: Attributes that say that emdist wrote an array, and that it was written to its end.
FORMAT = "emdist.format"
#: An attribute that says from which files an array was made, and how.
KEY = "emdist.ingest"


def sibling(location: Location, name: str) -> Location:
    """Return the location called `name` in the folder of `location`."""
    return location.parent.child(name).given


@contextmanager
def storing(location: Location, left: str = "nothing is left there") -> Iterator[None]:
    """Turn failures of the file system or the object store into a StorageError."""
    try:
        yield
    except EmdistError:
        raise
    except _failures() as error:
        reason = (getattr(error, "strerror", None) or str(error).partition("\n")[0]).rstrip(".")
        raise StorageError(
            f"cannot write {location}: {reason}. Check the connection, free space, quota and "
            f"permissions, or choose another target; {left}."
        ) from error


def _failures() -> tuple[type[Exception], ...]:
    """Return the exceptions of file systems and, if obstore is loaded, of object stores."""
    if "obstore" not in sys.modules:
        return (OSError,)
    import obstore.exceptions

    return (OSError, obstore.exceptions.BaseError)


@dataclass
class Growing:
    """An array that grows by whole chunks. It holds the one chunk that is being filled.

    Parameters
    ----------
    location
        Where to create the array. Nothing may be there.
    tail
        The shape of a row: (d,), or () for weights.
    rows
        The largest number of rows in a chunk. If all rows fit into one chunk, this chunk is as
        large as the array.
    total
        The number of rows in all, or None if it is unknown.
    """

    location: Location
    dtype: np.dtype[Any]
    tail: tuple[int, ...]
    rows: int
    total: int | None = None
    written: int = 0

    def __post_init__(self) -> None:
        self._buffer = np.empty((self.rows, *self.tail), self.dtype)
        self._filled = 0
        self._array: zarr.Array[Any] | None = None

    def append(self, block: Array) -> None:
        """Add rows (m, d). Every chunk that becomes full is written once."""
        block = block.reshape(len(block), *self.tail)
        while len(block):
            m = min(len(block), self.rows - self._filled)
            self._buffer[self._filled : self._filled + m] = block[:m]
            self._filled += m
            block = block[m:]
            if self._filled == self.rows:
                self._flush()

    def close(self, attributes: Mapping[str, Any]) -> tuple[int, int]:
        """Write the rest, then the attributes and the mark. Return (chunks, bytes stored)."""
        if self._filled:
            self._flush()
        if self._array is None or self.written != self._array.shape[0]:
            raise DataError(
                f"emdist expected {self.total} rows and read {self.written}, because a source "
                "file changed while emdist read it. Ingest it again."
            )
        marks = {FORMAT: FORMAT_VERSION, COMPLETE: True}
        self._array.attrs.update({**attributes, **marks})
        return self._array.nchunks, int(self._array.nbytes_stored())

    def _flush(self) -> None:
        """Write the rows in the buffer as one chunk. The first call creates the array."""
        if self._array is None:
            # The array is not created before the first chunk is complete. Otherwise a small table
            # of unknown length would get a chunk of 8 MiB.
            shape = (self.total or self._filled, *self.tail)
            self._array = create(self.location, self.dtype, shape, self._filled)
        stop = self.written + self._filled
        if stop > self._array.shape[0]:
            self._array.resize((stop, *self.tail))
        self._array[self.written : stop] = self._buffer[: self._filled]
        self.written, self._filled = stop, 0


def create(
    location: Location,
    dtype: np.dtype[Any],
    shape: tuple[int, ...],
    rows: int,
    overwrite: bool = False,
) -> zarr.Array[Any]:
    """Create an array in chunks of `rows` whole rows with checksums, marked as incomplete."""
    return zarr.create_array(
        store=open_zarr_store(location, read_only=False),
        shape=shape,
        chunks=(rows, *shape[1:]),
        dtype=dtype,
        compressors=[ZstdCodec(level=1, checksum=True)],
        fill_value=0,
        dimension_names=("row", "feature")[: len(shape)],
        attributes={FORMAT: FORMAT_VERSION, COMPLETE: False},
        # If chunks of zeros were left out, they could not be distinguished from lost ones.
        config={"write_empty_chunks": True},
        overwrite=overwrite,
    )


@dataclass(frozen=True)
class Output:
    """Where an array will be, and where it is built until it is complete.

    A local array is built beside its final path and renamed. Object stores cannot rename. There, a
    new array is built in place and marked at the end. An array that replaces another is built
    beside it and copied, so that the old array stays until the new one is complete.
    """

    final: Location
    building: Location

    @classmethod
    def prepare(cls, target: Location, overwrite: bool) -> Output:
        """Return the output for `target`.

        Refuse a target that must not be written, before any work.
        """
        if target.is_local:
            # Resolve links, so that both names are in one file system.
            target = Location(str(target.path.resolve()), target.options)
        elif not urlsplit(target.url).path.strip("/"):
            raise ConfigError(
                f"{target} is a whole bucket; give a path in it, such as {target}/x.zarr."
            )
        name = f"{target.name}.partial-{secrets.token_hex(4)}"
        there = exists(target)
        if there and not overwrite:
            raise OutputExistsError(
                f"there is already something at {target}; choose another target, or "
                "replace it (ingest.overwrite)."
            )
        if there and not _is_array(target):
            raise OutputExistsError(
                f"{target} is not a Zarr array, and ingest.overwrite replaces nothing else; choose "
                "another target, or delete it yourself."
            )
        beside = target.is_local or there
        return cls(target, sibling(target, name) if beside else target)

    @contextmanager
    def owned(self) -> Iterator[None]:
        """Return a context that marks the array as being built by this process.

        It holds a lock beside the local folder that is built. It removes what an earlier process
        left there, if that process has provably ended, and nothing else.
        """
        if not self.building.is_local:
            yield
            return
        _remove_abandoned(self.final.path)
        place = self.building.path.with_name(f"{self.building.name}{_LOCK}")
        place.parent.mkdir(parents=True, exist_ok=True)
        with holding(place):
            yield

    def commit(self, overwrite: bool) -> None:
        """Make the complete array visible at `final`."""
        if self.final.is_local:
            try:
                _rename(self.building.path, self.final.path, overwrite)
            finally:
                self.discard()  # It no longer exists, unless the rename failed.
        elif self.building != self.final:
            with storing(self.final, f"the new array is complete at {self.building}"):
                _copy(self.building, self.final)
            self.discard()

    def discard(self) -> None:
        """Remove what was built, if it is still there. Failures of the store are ignored."""
        if self.building.is_local:
            shutil.rmtree(self.building.path, ignore_errors=True)
            return
        with suppress(*_failures()):
            sync(open_zarr_store(self.building, read_only=False).clear())


def _remove_abandoned(final: Path) -> None:
    """Remove what earlier ingests to `final` left, if their processes have provably ended.

    Failures are ignored.
    """
    with suppress(OSError):
        beside = [path for path in final.parent.iterdir() if path.name.startswith(final.name)]
        for place in beside:
            found = _PARTIAL.fullmatch(place.name.removeprefix(final.name))
            if found is None or place.is_symlink():
                continue
            with suppress(OSError), taken_over(place):
                left = place.with_name(place.name.removesuffix(_LOCK))
                if not left.is_symlink() and place.lstat().st_uid == os.getuid():
                    shutil.rmtree(left, ignore_errors=True)
                    place.unlink()


def exists(location: Location) -> bool:
    """Return whether anything but an empty folder is at `location`."""
    if location.is_local:
        path = location.path
        return any(path.iterdir()) if path.is_dir() else os.path.lexists(path)
    return not sync(open_zarr_store(location, read_only=True).is_empty(""))


def written_by(location: Location, key: str) -> zarr.Array[Any] | None:
    """Return the complete array at `location` if an ingest with this `key` wrote it, else None."""
    try:
        array = zarr.open_array(open_zarr_store(location, read_only=True), mode="r")
        marks = array.attrs.asdict()
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    except _failures():
        return None  # Preparing the target will report the failure.
    return array if marks.get(KEY) == key and marks.get(COMPLETE) is True else None


def _is_array(location: Location) -> bool:
    """Return whether a Zarr array is at `location`."""
    try:
        zarr.open_array(open_zarr_store(location, read_only=True), mode="r")
    except (ValueError, TypeError, KeyError, AttributeError, OSError) as error:  # no array
        if is_defect(error, open_sound_arrays):
            raise
        return False
    return True


def _rename(building: Path, final: Path, overwrite: bool) -> None:
    """Rename `building` to `final`, replacing an old array.

    If the machine crashes, the old array, the new one, or both are left.
    """
    for folder, _, names in os.walk(building):
        for name in names:
            _flush_to_disk(Path(folder) / name)
        _flush_to_disk(Path(folder))
    aside = final.with_name(f"{building.name}.old")
    replacing = overwrite and os.path.lexists(final)
    if replacing:
        final.rename(aside)
    try:
        building.rename(final)
    except OSError as error:
        if replacing:
            aside.rename(final)
        elif exists(Location(str(final))):
            raise OutputExistsError(
                f"another process created {final} meanwhile; choose another target."
            ) from error
        raise
    _flush_to_disk(final.parent)
    if replacing:
        shutil.rmtree(aside, ignore_errors=True)


def _flush_to_disk(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        flush(handle)
    finally:
        os.close(handle)


def _copy(source: Location, target: Location) -> None:
    """Copy a complete array over another one, chunk by chunk. Its mark is copied last."""
    old = zarr.open_array(open_zarr_store(source, read_only=True), mode="r")
    rows = old.chunks[0]
    new = create(target, old.dtype, old.shape, rows, overwrite=True)
    for start in range(0, old.shape[0], rows):
        new[start : start + rows] = old[start : start + rows]
    new.attrs.update(old.attrs.asdict())
