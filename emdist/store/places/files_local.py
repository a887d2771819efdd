"""LocalFolder: durable and atomic files in a POSIX file system."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import secrets
import shutil
import stat
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from emdist.errors import CheckpointError, NotFoundError, StorageError
from emdist.store.places.entries import Entry
from emdist.store.places.faults import storage_error, told
from emdist.store.places.location import Location, check_links
from emdist.store.places.processes import Process, this_process

#: The prefix of names that a writer uses before its work is complete. Readers ignore them.
TEMPORARY = ".tmp-"
_MAKER = re.compile(r"\.tmp-([0-9a-f]{8})-(\d+)-(\d+)-[0-9a-f]{8}")

#: File systems without hard links answer with one of these.
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


@dataclass(frozen=True)
class LocalFolder:
    """A folder of a POSIX file system.

    A file is written under a temporary name, synced to disk, read back and renamed; then its parent
    folder is synced.
    """

    location: Location

    def _path(self, name: str) -> Path:
        location = self.location.child(name) if name else self.location
        check_links(location)
        return location.path

    def read(self, name: str, limit: int | None = None) -> bytes:
        """Return all bytes of `name`.

        Raise NotFoundError if there is no such file, and CheckpointError if it has over `limit`
        bytes.
        """
        path = self._path(name)
        try:
            return _read(path, limit)
        except FileNotFoundError:
            raise NotFoundError(f"there is no file at {path}") from None
        except OSError as error:
            raise storage_error("read", path, error) from error

    def write(self, name: str, data: bytes) -> None:
        """Write or replace `name` durably. After a crash the file is the old or the new one."""
        path = self._path(name)
        with _making(path) as temporary:
            _write_new(temporary, data)
            _verify(temporary, data)
            temporary.replace(path)

    def create(self, name: str, data: bytes) -> None:
        """Write `name` if it does not exist, else raise FileExistsError.

        Of two writers one succeeds.
        """
        path = self._path(name)
        with _making(path) as temporary:
            _write_new(temporary, data)
            _verify(temporary, data)
            taken = not _link(temporary, path, data)
        if taken:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))

    def publish(self, name: str, files: Mapping[str, bytes], check: Callable[[], None]) -> None:
        """Write the new folder `name` with `files`. The rename after `check()` commits it."""
        path = self._path(name)
        with _making(path) as temporary:
            temporary.mkdir()
            for file, data in files.items():
                _write_new(temporary / file, data)
                _verify(temporary / file, data)
            _sync_folder(temporary)
            check()
            temporary.rename(path)

    def list(self, prefix: str = "") -> list[str]:
        """Return the sorted names of all finished files below the folder `prefix`."""
        root = self.location.path
        return sorted(path.relative_to(root).as_posix() for path in _walk(self._path(prefix)))

    def entries(self, prefix: str = "") -> Sequence[Entry]:
        """Return all files below the folder `prefix`, with sizes and times, also unfinished ones.

        Links are listed and not followed.
        """
        return sorted(_scan(self._path(prefix), f"{prefix}/" if prefix else ""), key=_by_name)

    def is_empty(self) -> bool:
        """Return whether there are only hidden files, without listing everything."""
        root = self._path("")
        names = (path.relative_to(root).parts[0] for path in _walk(root))
        return all(name.startswith(".") for name in names)

    def exists(self, name: str) -> bool:
        """Return whether there is a file `name`."""
        path = self._path(name)
        with told("examine", path):
            return path.is_file()

    def delete(self, name: str) -> None:
        """Remove the file or the whole folder `name`, if it exists."""
        path = self._path(name)
        with told("delete", path):
            if path.is_dir() and not path.is_symlink():
                # Rename it first, so that a reader sees the whole folder or none of it.
                doomed = path.with_name(_temporary())
                path.rename(doomed)
                shutil.rmtree(doomed, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)

    def clean(self, prefix: str = "", age: float = 0.0) -> None:
        """Remove leftovers of killed writers below `prefix`.

        Leftovers are temporary files that did not change for `age` seconds, or whose process has
        certainly ended.
        """
        root = self._path(prefix)
        oldest = time.time() - age
        for folder, folders, files in os.walk(root):
            for name in [name for name in folders + files if name.startswith(TEMPORARY)]:
                path = Path(folder, name)
                # Failures are ignored: a leftover costs only space, and it may just have been
                # removed.
                try:
                    if path.lstat().st_mtime > oldest and not _is_left(name):
                        continue
                    shutil.rmtree(path) if name in folders else path.unlink()
                except OSError:
                    continue
            folders[:] = [name for name in folders if not name.startswith(TEMPORARY)]


@contextmanager
def _making(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside `path`, to be renamed to `path` once it is complete.

    The parent folder is synced afterwards, so that the rename is durable. Whatever still has the
    temporary name at the end is removed.
    """
    with told("write", path):
        _make_folder(path.parent)
        temporary = path.with_name(_temporary())
        try:
            yield temporary
        finally:
            if temporary.is_dir():
                shutil.rmtree(temporary, ignore_errors=True)
            else:
                temporary.unlink(missing_ok=True)
        _sync_folder(path.parent)


def _temporary() -> str:
    maker, nonce = this_process(), secrets.token_hex(4)
    return f"{TEMPORARY}{maker.machine or 'unknown'}-{maker.pid}-{maker.began}-{nonce}"


def _is_left(name: str) -> bool:
    """Return whether the process that made the temporary file or folder `name` has ended."""
    match = _MAKER.fullmatch(name)
    return match is not None and Process(match[1], int(match[2]), int(match[3])).has_ended()


def _walk(root: Path) -> Iterator[Path]:
    """Yield all finished files below `root`; none if it does not exist."""

    def stop(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):
            raise storage_error("list", error.filename or root, error) from error

    for folder, folders, files in os.walk(root, onerror=stop):
        folders[:] = [name for name in folders if not name.startswith(TEMPORARY)]
        for name in files:
            if not name.startswith(TEMPORARY):
                yield Path(folder, name)


def _scan(folder: Path, above: str) -> Iterator[Entry]:
    """Yield all files below `folder`, named from `above` on; none if it does not exist."""
    try:
        with os.scandir(folder) as found:
            for one in found:
                if one.is_dir(follow_symlinks=False):
                    yield from _scan(Path(one.path), f"{above}{one.name}/")
                    continue
                with suppress(FileNotFoundError):  # A process at work has replaced it.
                    status = one.stat(follow_symlinks=False)
                    yield Entry(f"{above}{one.name}", status.st_size, status.st_mtime)
    except FileNotFoundError:
        return
    except OSError as error:
        raise storage_error("list", folder, error) from error


def _by_name(entry: Entry) -> str:
    return entry.name


def _read(path: Path, limit: int | None) -> bytes:
    """Return the bytes of a regular file. Raise CheckpointError for anything else but a folder."""
    # O_NONBLOCK: opening a FIFO in place of a file must not block the reader.
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno != errno.ENXIO:  # The error that opening a socket gives.
            raise
        raise CheckpointError(
            f"{path} is {kind_of(path.stat())}, expected a file. Put the file itself there."
        ) from None
    with os.fdopen(fd, "rb") as file:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            if not stat.S_ISDIR(status.st_mode):
                raise CheckpointError(
                    f"{path} is {kind_of(status)}, expected a file. Put the file itself there."
                )
            raise OSError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if limit is not None and status.st_size > limit:
            raise CheckpointError(f"{path} has {status.st_size} bytes, expected at most {limit}.")
        return file.read()


def kind_of(status: os.stat_result) -> str:
    """Return a name for what is neither a file nor a folder, such as ``a pipe (FIFO)``."""
    kinds = (
        (stat.S_ISFIFO, "a pipe (FIFO)"),
        (stat.S_ISSOCK, "a socket"),
        (stat.S_ISCHR, "a device"),
        (stat.S_ISBLK, "a device"),
    )
    return next((name for holds, name in kinds if holds(status.st_mode)), "not a regular file")


def flush(fd: int) -> None:
    """Make sure that what was written to `fd` survives a loss of power.

    On macOS, fsync leaves data in the cache of the drive. F_FULLFSYNC does not, where it is
    supported.
    """
    full = getattr(fcntl, "F_FULLFSYNC", None)
    if full is not None:
        with suppress(OSError):  # A network file system may not support it.
            fcntl.fcntl(fd, full)
            return
    os.fsync(fd)


def _write_new(path: Path, data: bytes) -> None:
    """Write `data` to a new file and flush it to disk."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    with os.fdopen(fd, "wb", buffering=0) as file:
        view = memoryview(data)
        while view:  # A write may be short: one call takes at most 2 GiB.
            view = view[file.write(view) :]
        flush(fd)


def _verify(path: Path, data: bytes) -> None:
    """Read the file back and raise StorageError if it differs from `data`."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    with os.fdopen(fd, "rb") as file:
        if hasattr(os, "posix_fadvise"):  # Otherwise the page cache would answer, and not the disk.
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        if file.read() != data:
            raise StorageError(
                f"{path} was written, but reading it back gives other bytes. Check the disk "
                "(dmesg, smartctl) or choose another; no existing data is lost."
            )


def _link(temporary: Path, path: Path, data: bytes) -> bool:
    """Give `temporary` the name `path`. Return False if that name is taken."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        return _create_in_place(path, data)
    return True


def _create_in_place(path: Path, data: bytes) -> bool:
    """Do the same as `_link` without hard links: exclusive, but a kill may leave a partial file."""
    try:
        _write_new(path, data)
    except FileExistsError:
        return False
    except OSError:
        path.unlink(missing_ok=True)
        raise
    return True


def _make_folder(path: Path) -> None:
    """Create a folder and its parents, and sync each parent, so that the new names are durable."""
    if path.is_dir():
        return
    if path.parent != path:
        _make_folder(path.parent)
    path.mkdir(exist_ok=True)
    _sync_folder(path.parent)


def _sync_folder(path: Path) -> None:
    """Flush the names in a folder to disk, which makes renames durable."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        flush(fd)
    except OSError as error:
        # Some network file systems cannot sync a folder. Their renames may or may not be durable.
        if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):
            raise
    finally:
        os.close(fd)
