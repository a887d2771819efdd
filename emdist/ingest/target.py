"""Writing the array: whole chunks only, and visible under its name only when it is complete."""

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

#: What an array under way is called behind its target's name, and the lock of whoever builds it.
_LOCK = ".lock"
_PARTIAL = re.compile(r"\.partial-[0-9a-f]{8}\.lock")

#: Attributes that say that an array is emdist's, and that it was written to its end.
FORMAT = "emdist.format"
#: Attribute that says which files an array was made of, and how.
KEY = "emdist.ingest"


def sibling(location: Location, name: str) -> Location:
    """`name` in the folder in which `location` lies."""
    return location.parent.child(name).given


@contextmanager
def storing(location: Location, left: str = "nothing was left there") -> Iterator[None]:
    """What the system or the object store refuses becomes a StorageError."""
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
    if "obstore" not in sys.modules:
        return (OSError,)
    import obstore.exceptions

    return (OSError, obstore.exceptions.BaseError)


@dataclass
class Growing:
    """An array that grows by whole chunks; holds the one chunk that is being filled.

    Parameters
    ----------
    location
        Where to create it; nothing may be there.
    tail
        Shape of a row: (d,), or () for weights.
    rows
        Rows of a chunk. An array that fits into one chunk gets a chunk of its own size.
    total
        Rows in all, or None if not known.
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
        """Add (m, d) rows; every chunk that becomes full is written once."""
        block = block.reshape(len(block), *self.tail)
        while len(block):
            m = min(len(block), self.rows - self._filled)
            self._buffer[self._filled : self._filled + m] = block[:m]
            self._filled += m
            block = block[m:]
            if self._filled == self.rows:
                self._flush()

    def close(self, attributes: Mapping[str, Any]) -> tuple[int, int]:
        """Write the rest, then the attributes and the mark; gives (chunks, bytes stored)."""
        if self._filled:
            self._flush()
        if self._array is None or self.written != self._array.shape[0]:
            raise DataError(
                f"{self.total} rows were announced and {self.written} read: a source file "
                "changed while it was read; ingest it again."
            )
        marks = {FORMAT: FORMAT_VERSION, COMPLETE: True}
        self._array.attrs.update({**attributes, **marks})
        return self._array.nchunks, int(self._array.nbytes_stored())

    def _flush(self) -> None:
        if self._array is None:
            # Not before now: a small table of unknown length would get a chunk of 8 MiB.
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
    """An array in chunks of `rows` whole rows with checksums, marked as incomplete."""
    return zarr.create_array(
        store=open_zarr_store(location, read_only=False),
        shape=shape,
        chunks=(rows, *shape[1:]),
        dtype=dtype,
        compressors=[ZstdCodec(level=1, checksum=True)],
        fill_value=0,
        dimension_names=("row", "feature")[: len(shape)],
        attributes={FORMAT: FORMAT_VERSION, COMPLETE: False},
        # A chunk of zeros that is left out could not be told from one that was lost.
        config={"write_empty_chunks": True},
        overwrite=overwrite,
    )


@dataclass(frozen=True)
class Output:
    """Where an array will be, and where it is built until it is complete.

    A local array is built beside its place and renamed. Object stores cannot rename: there a
    new array is built in its place and marked at the end; one that replaces another is built
    beside it and copied, so that the old one stays until the new one is complete.
    """

    final: Location
    building: Location

    @classmethod
    def prepare(cls, target: Location, overwrite: bool) -> Output:
        """Refuse a target that must not be written, before any work is done."""
        if target.is_local:
            # Through links, so that both names lie in one file system.
            target = Location(str(target.path.resolve()), target.options)
        elif not urlsplit(target.url).path.strip("/"):
            raise ConfigError(f"{target} is a whole bucket; give a path, as in {target}/x.zarr.")
        name = f"{target.name}.partial-{secrets.token_hex(4)}"
        there = exists(target)
        if there and not overwrite:
            raise OutputExistsError(
                f"there is something at {target} already; choose another target, or "
                "replace it (ingest.overwrite)."
            )
        if there and not _is_array(target):
            raise OutputExistsError(
                f"{target} is no Zarr array, and nothing else is replaced (ingest.overwrite); "
                "choose another target, or remove it yourself."
            )
        beside = target.is_local or there
        return cls(target, sibling(target, name) if beside else target)

    @contextmanager
    def owned(self) -> Iterator[None]:
        """Around the work: says that this process is at it, so that a later one can tell.

        There is a lock beside the local folder that is built. What an earlier process left, which
        provably is gone, is removed, and nothing else.
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
                self.discard()  # nothing there any more, unless the renaming failed
        elif self.building != self.final:
            with storing(self.final, f"the new array is complete at {self.building}"):
                _copy(self.building, self.final)
            self.discard()

    def discard(self) -> None:
        """Remove what was built, if it is still there; never raises for the store's sake."""
        if self.building.is_local:
            shutil.rmtree(self.building.path, ignore_errors=True)
            return
        with suppress(*_failures()):
            sync(open_zarr_store(self.building, read_only=False).clear())


def _remove_abandoned(final: Path) -> None:
    """Remove what ingests to `final` left whose owners are provably gone. Best effort."""
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
    """Whether anything but an empty folder is at `location`."""
    if location.is_local:
        path = location.path
        return any(path.iterdir()) if path.is_dir() else os.path.lexists(path)
    return not sync(open_zarr_store(location, read_only=True).is_empty(""))


def written_by(location: Location, key: str) -> zarr.Array[Any] | None:
    """The complete array at `location` if an ingest with this `key` wrote it, else None."""
    try:
        array = zarr.open_array(open_zarr_store(location, read_only=True), mode="r")
        marks = array.attrs.asdict()
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    except _failures():
        return None  # whoever prepares the target says what is the matter
    return array if marks.get(KEY) == key and marks.get(COMPLETE) is True else None


def _is_array(location: Location) -> bool:
    try:
        zarr.open_array(open_zarr_store(location, read_only=True), mode="r")
    except (ValueError, TypeError, KeyError, AttributeError, OSError) as error:  # zarr says no
        if is_defect(error, open_sound_arrays):
            raise
        return False
    return True


def _rename(building: Path, final: Path, overwrite: bool) -> None:
    """Replace `final`; a crash of the machine leaves the old array, the new one, or both."""
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
                f"{final} was created by someone else meanwhile; choose another target."
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
    """Copy a complete array over another one, chunk by chunk; its mark comes last."""
    old = zarr.open_array(open_zarr_store(source, read_only=True), mode="r")
    rows = old.chunks[0]
    new = create(target, old.dtype, old.shape, rows, overwrite=True)
    for start in range(0, old.shape[0], rows):
        new[start : start + rows] = old[start : start + rows]
    new.attrs.update(old.attrs.asdict())
